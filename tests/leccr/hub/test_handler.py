"""What an Inference Endpoint answers. Its process without our packages is in `tests/test_hub_over_http.py`."""

import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leccr.hub.handler import EndpointHandler
from tests.test_sentence_transformers import TEXTS, build, pictures

PICTURE = pictures()[0]
LABELS = ["Hund", "a red ball", "ein roter Ball"]


def encoded(picture: Image.Image, format: str = "PNG") -> str:
    stream = io.BytesIO()
    picture.save(stream, format)
    return base64.b64encode(stream.getvalue()).decode()


def handler_of(kind: str, folder: Path) -> EndpointHandler:
    for part in build(kind):
        part.save_pretrained(folder)
    return EndpointHandler(str(folder))


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> EndpointHandler:
    return handler_of("anchored", tmp_path_factory.mktemp("anchored"))


def close(actual: Any, expected: torch.Tensor) -> None:
    torch.testing.assert_close(torch.tensor(actual), expected, rtol=0, atol=1e-5)


def views(handler: EndpointHandler) -> torch.Tensor:
    with torch.inference_mode():
        return handler.model.get_image_views(**handler.processor(images=PICTURE))[0]


def features(handler: EndpointHandler, texts: list[str]) -> torch.Tensor:
    with torch.inference_mode():
        return handler.model.get_text_features(**handler.processor(text=texts))


def test_texts(handler: EndpointHandler) -> None:
    expected = features(handler, TEXTS)
    close(handler({"inputs": TEXTS}), expected)
    for parameters in (None, {"candidate_labels": None}):
        close(handler({"inputs": TEXTS[0], "parameters": parameters}), expected[:1])


@pytest.mark.parametrize(
    "inputs",
    [
        {"image": encoded(PICTURE)},
        {"image": f"data:image/png;base64,{encoded(PICTURE)}"},
        {"image": "\n".join((encoded(PICTURE)[:76], encoded(PICTURE)[76:]))},
        base64.b64decode(encoded(PICTURE)),
        PICTURE,
    ],
    ids=["base64", "data url", "lines", "bytes", "opened"],
)
def test_a_picture(handler: EndpointHandler, inputs: Any) -> None:
    close(handler({"inputs": inputs}), views(handler))


@pytest.mark.parametrize("template", [None, "Das ist {}."])
def test_labels(handler: EndpointHandler, template: str | None) -> None:
    given = {"candidate_labels": LABELS, "hypothesis_template": template}
    texts = [(template or "{}").format(label) for label in LABELS]
    best = (features(handler, texts) @ views(handler).T).amax(dim=1)
    expected = (handler.model.inverse_temperature() * best).softmax(dim=0)
    for inputs in (encoded(PICTURE), {"image": encoded(PICTURE)}):
        answer = handler({"inputs": inputs, "parameters": given})
        assert [entry["label"] for entry in answer] == [LABELS[place] for place in expected.argsort(descending=True)]
        close([entry["score"] for entry in answer], expected.sort(descending=True)[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "There are no inputs. Give inputs as a text"),
        ("Hund", "There are no inputs"),
        ({"inputs": 3}, "The picture is neither base64 nor bytes. Give inputs as a text"),
        ({"inputs": None}, "neither base64 nor bytes"),
        ({"inputs": []}, "There are 0 texts; give from 1 to 1000"),
        ({"inputs": ["Hund"] * 1001}, "There are 1001 texts"),
        ({"inputs": ""}, "Text 0 is empty or no text"),
        ({"inputs": ["Hund", " "]}, "Text 1 is empty or no text"),
        ({"inputs": ["Hund", 3]}, "Text 1 is empty or no text"),
        ({"inputs": "Hund", "parameters": ["a"]}, "The parameters are not a mapping"),
        ({"inputs": {"text": "Hund"}}, r"The inputs have other fields than image: \['text'\]"),
        ({"inputs": {"image": "https://example.org/a.png"}}, "The picture is not base64. .* no address is fetched"),
        ({"inputs": {"image": "/etc/passwd"}}, "The picture is"),
        ({"inputs": {"image": "Hund"}}, "The picture is broken, or none of these: JPEG, PNG"),
        ({"inputs": {"image": encoded(PICTURE)[:200]}}, "The picture is broken"),
        ({"inputs": {"image": encoded(PICTURE, "PPM")}}, "The picture is broken, or none of these"),
        ({"inputs": encoded(PICTURE), "parameters": {"candidate_labels": "Hund"}}, "are not a list of texts"),
        ({"inputs": encoded(PICTURE), "parameters": {"candidate_labels": []}}, "There are 0 texts"),
        ({"inputs": encoded(PICTURE), "parameters": {"candidate_labels": ["Hund", None]}}, "Text 1 is empty"),
        (
            {"inputs": encoded(PICTURE), "parameters": {"candidate_labels": LABELS, "hypothesis_template": "Das"}},
            "The hypothesis_template is no text of at most 1000 characters with one {}",
        ),
        (
            # A small request must not become many times as much text.
            {"inputs": encoded(PICTURE), "parameters": {"candidate_labels": LABELS, "hypothesis_template": "{}{}"}},
            "with one {}",
        ),
        (
            {
                "inputs": encoded(PICTURE),
                "parameters": {"candidate_labels": LABELS, "hypothesis_template": "{}" + "x" * 1000},
            },
            "at most 1000 characters",
        ),
        ({"inputs": {"image": encoded(Image.new("1", (10_000, 5_001)))}}, "too many pixels; send one of at most 50,0"),
    ],
)
def test_bad_input_is_said(handler: EndpointHandler, data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        handler(data)


KEYS = st.sampled_from(["inputs", "parameters", "image", "candidate_labels", "hypothesis_template", "text"])
LEAVES = st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from([encoded(PICTURE), *LABELS, "{}", ""])
REQUESTS = st.recursive(LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part), max_leaves=8)


@settings(max_examples=25, deadline=None)
@given(inputs=REQUESTS, parameters=REQUESTS)
def test_any_request_is_answered_or_said_to_be_wrong(handler: EndpointHandler, inputs: Any, parameters: Any) -> None:
    with contextlib.suppress(ValueError):
        assert json.dumps(handler({"inputs": inputs, "parameters": parameters}))


def test_too_many_pixels(handler: EndpointHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match="too many pixels"):
        handler({"inputs": {"image": encoded(PICTURE)}})


def test_videos_are_their_frames(tmp_path: Path) -> None:
    handler = handler_of("videos", tmp_path)
    frames = [encoded(picture) for picture in pictures()[:2]]
    with torch.inference_mode():
        expected = handler.model.get_image_views(**handler.processor(videos=[pictures()[:2]]))[0]
    close(handler({"inputs": {"image": frames}}), expected)
    with pytest.raises(ValueError, match="The video has 6 frames; give from 1 to 4"):
        handler({"inputs": {"image": frames * 3}})
    assert len(handler({"inputs": frames, "parameters": {"candidate_labels": LABELS}})) == 3


@pytest.mark.parametrize("kind", ["texts", "features"])
def test_models_that_take_no_pictures(kind: str, tmp_path: Path) -> None:
    handler = handler_of(kind, tmp_path)
    assert len(handler({"inputs": [*TEXTS, "half \ud800 a pair"]})) == len(TEXTS) + 1
    with pytest.raises(ValueError, match="This model takes texts only"):
        handler({"inputs": {"image": encoded(PICTURE)}})
