"""What a call takes besides its inputs: the standard arguments of image processors and tokenizers of transformers."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, AutoTokenizer

from processing import LeccrProcessor
from tests.tiny_data import picture, processor, row

TEXTS = ["A red Dog runs in front of an old house", "old house"]
PICTURES = [picture("red", (40, 30)), picture("blue", (50, 64))]
OF_PICTURES: list[dict[str, Any]] = [
    {"do_rescale": False},
    {"rescale_factor": 0.5},
    {"size": {"height": 20, "width": 24}},
    {"size": {"shortest_edge": 24}, "do_center_crop": True, "crop_size": 20},
    {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 16, "width": 16}},
    {"do_normalize": False},
    {"image_mean": [0.0, 0.1, 0.2], "image_std": [1.0, 2.0, 3.0]},
    {"resample": 0},
    {"data_format": "channels_last"},
    {"do_convert_rgb": False},
]
OF_TEXTS: list[dict[str, Any]] = [
    {"max_length": 5},
    {"max_length": 20, "padding": "max_length"},
    {"padding": "max_length"},
    {"padding": "longest"},
    {"padding": True, "truncation": "longest_first"},
    {"truncation": False},
    {"padding": False, "return_tensors": None},
    {"padding_side": "left"},
    {"pad_to_multiple_of": 5},
    {"add_special_tokens": False},
    {"return_token_type_ids": True},
    {"return_attention_mask": False},
    {"return_length": True},
    {"return_special_tokens_mask": True},
    {"return_offsets_mapping": True},
]
DEFAULTS = {"padding": True, "truncation": True, "max_length": 10, "return_tensors": "pt"}


@pytest.fixture(scope="module")
def ours() -> LeccrProcessor:
    return processor([row("a", source_captions=TEXTS)], text_max_length=10, description_max_length=14)


def equal(actual: Any, expected: Any) -> None:
    assert list(actual) == list(expected)
    for name in expected:
        assert type(actual[name]) is type(expected[name])
        assert np.array_equal(np.asarray(actual[name], dtype=object), np.asarray(expected[name], dtype=object)), name


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("arguments", OF_PICTURES, ids=str)
def test_of_image_processors(ours: LeccrProcessor, arguments: dict[str, Any], nested: bool) -> None:
    given = {"images_kwargs": arguments} if nested else arguments
    expected = ours.image_processor(PICTURES, return_tensors="pt", **arguments)
    equal(ours(images=PICTURES, **given), expected)
    clips = ours(videos=[PICTURES], **given)["pixel_values"]
    assert torch.equal(clips[0], expected["pixel_values"])


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("arguments", OF_TEXTS, ids=str)
def test_of_tokenizers(ours: LeccrProcessor, arguments: dict[str, Any], nested: bool) -> None:
    given = {"text_kwargs": arguments} if nested else arguments
    always = {"return_token_type_ids": False, "return_attention_mask": True}
    defaults = always | DEFAULTS
    if arguments.get("truncation") is False:
        del defaults["max_length"]
    expected = ours.tokenizer(TEXTS, **(defaults | arguments))
    equal(ours(text=TEXTS, **given), expected)


@pytest.mark.parametrize("kind", ["pt", "np", None])
@pytest.mark.parametrize("nested", [False, True])
def test_the_kind_of_tensors_holds_for_everything_and_only_for_this_call(
    ours: LeccrProcessor, kind: str | None, nested: bool
) -> None:
    given: dict[str, Any] = {"return_tensors": kind}
    batch = ours(images=PICTURES, text=TEXTS, descriptions=TEXTS, **({"common_kwargs": given} if nested else given))
    expected = {"pt": torch.Tensor, "np": np.ndarray, None: list}[kind]
    assert all(isinstance(value, expected) for name, value in batch.items() if name != "pixel_values" or kind)
    assert all(isinstance(value, torch.Tensor) for value in ours(images=PICTURES, text=TEXTS).values())


def test_those_of_texts_hold_for_descriptions_but_for_their_length(ours: LeccrProcessor) -> None:
    batch = ours(text=TEXTS, descriptions=TEXTS, max_length=4, padding="max_length", return_attention_mask=False)
    assert "attention_mask" not in batch
    assert batch["input_ids"].shape == (2, 4)
    assert batch["description_input_ids"].shape == batch["description_attention_mask"].shape == (2, 14)


def test_padding_is_what_the_model_needs_unless_a_call_says_how(ours: LeccrProcessor) -> None:
    padded = LeccrProcessor(ours.image_processor, ours.tokenizer, 10, pad_to_max_length=True)
    for given, width in (({}, 10), ({"padding": True}, 10), ({"padding": "longest"}, 4)):
        assert padded(text=["old house"], **given)["input_ids"].shape == (1, width)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"do_rescal": False}, "do_rescal"),
        ({"text_kwargs": {"max_lenght": 3}}, "max_lenght"),
        ({"images_kwargs": {"max_length": 3}, "padding": True}, "max_length"),
        ({"common_kwargs": {"return_tensor": "pt"}}, "return_tensor"),
        ({"sampling_rate": 16000}, "sampling_rate"),
        ({"videos_kwargs": {"fps": 2}}, "fps"),
        ({"description_length": 3, "text_kwargs": {"padding": True}}, "description_length"),
    ],
)
def test_an_unknown_one_is_refused(ours: LeccrProcessor, arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"have an argument {name};"):
        ours(images=PICTURES, text=TEXTS, **arguments)


def test_one_of_a_wrong_type_is_refused(ours: LeccrProcessor) -> None:
    with pytest.raises(Exception, match="max_length"):
        ours(text=TEXTS, max_length="long")


class TestLength:
    def test_the_tokenizer_alone_cuts_where_the_processor_does(self, ours: LeccrProcessor, tmp_path: Path) -> None:
        ours.save_pretrained(tmp_path)
        tokenizer = AutoTokenizer.from_pretrained(tmp_path)
        assert tokenizer(TEXTS[0], truncation=True)["input_ids"] == ours(text=TEXTS[0])["input_ids"][0].tolist()

    def test_what_is_set_at_the_tokenizer_cuts_and_is_saved(self, ours: LeccrProcessor, tmp_path: Path) -> None:
        changed = LeccrProcessor(ours.image_processor, ours.tokenizer, text_max_length=10)
        changed.tokenizer.model_max_length = 6
        try:
            assert changed.text_max_length == 6 and changed(text=TEXTS)["input_ids"].shape == (2, 6)
            changed.save_pretrained(tmp_path)
        finally:
            changed.tokenizer.model_max_length = 10
        assert LeccrProcessor.from_pretrained(tmp_path).text_max_length == 6

    def test_it_can_be_set_when_loading(self, ours: LeccrProcessor, tmp_path: Path) -> None:
        ours.save_pretrained(tmp_path)
        for name in ("model_max_length", "text_max_length"):
            loaded = AutoProcessor.from_pretrained(tmp_path, trust_remote_code=True, **{name: 7})
            assert loaded.text_max_length == loaded.tokenizer.model_max_length == 7


@pytest.mark.parametrize("name", ["max_length", "stride", "pad_to_multiple_of"])
@pytest.mark.parametrize("value", [-1, 2**40, 1.5, "five"], ids=str)
def test_numbers_of_tokens_that_cannot_be_are_one_sentence(ours: LeccrProcessor, name: str, value: Any) -> None:
    for given in ({name: value}, {"text_kwargs": {name: value}}):
        with pytest.raises(ValueError, match=f"^{name} is {value!r}, but has to be a whole number from [01] to "):
            ours(text=TEXTS, **given)
    for least in (-1, 0):
        with pytest.raises(ValueError, match=f"^max_length is {least}, but"):
            LeccrProcessor(ours.image_processor, copy.deepcopy(ours.tokenizer), least)(text=TEXTS)
