import base64
import io
from pathlib import Path

import pytest
import torch
from PIL import Image as PillowImage

from processing.generation.answers import Answer, Decoding
from processing.generation.describers import OF_A_VIDEO, EndpointDescriber, LocalDescriber
from processing.generation.endpoint import ChatClient

from .chat_server import ChatServer, Reply, in_turn, question_of
from .tiny_models import WORDS, build_llava, build_marian

PICTURES = [PillowImage.new("RGB", (20 + index, 20), (index * 40, 99, index * 20)) for index in range(5)]


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llava(tmp_path_factory.mktemp("llava"))


def test_a_batch_answers_as_each_picture_alone(llava: Path) -> None:
    describer = LocalDescriber(str(llava), device="cpu", batch_size=5)
    # Several pictures in one message make a longer prompt, so that the others are padded.
    shown = [PICTURES[:1], PICTURES[1:2], PICTURES[2:4], PICTURES[4:]]
    decoding = Decoding(16)
    answers = describer.answer(shown, "What runs?", decoding)
    assert answers == [describer.answer([frames], "What runs?", decoding)[0] for frames in shown]
    assert len({answer.text for answer in answers}) > 1
    assert {word for answer in answers for word in answer.text.split()} <= set(WORDS)


def test_the_question_and_the_picture_both_matter(llava: Path) -> None:
    describer = LocalDescriber(str(llava), device="cpu", batch_size=1)
    answers = [
        describer.answer([PICTURES[picture : picture + 1]], question, Decoding(8))[0].text
        for picture in (0, 4)
        for question in ("What runs?", "the cat near the tree")
    ]
    assert len(set(answers)) == 4


def test_drawn_answers_depend_on_the_seed_alone(llava: Path) -> None:
    describer = LocalDescriber(str(llava), device="cpu", batch_size=1)
    shown = [[picture] for picture in PICTURES]
    drawn = []
    for seed in (1, 1, 2):
        torch.rand(3)
        drawn.append(describer.answer(shown, "What runs?", Decoding(16, 1.0, seed)))
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_answer_at_the_limit_is_cut_off(llava: Path) -> None:
    describer = LocalDescriber(str(llava), device="cpu", batch_size=1)
    describer.model.generation_config.update(eos_token_id=2, suppress_tokens=[2])
    short, long = (describer.answer([PICTURES[:1]], "What runs?", Decoding(tokens))[0] for tokens in (3, 6))
    assert (short.finished, long.finished) == (False, False)
    assert (len(short.text.split()), len(long.text.split())) == (3, 6)


def test_settings_name_the_model_and_its_number_format(llava: Path) -> None:
    describer = LocalDescriber(str(llava), dtype="bf16", device="cpu", batch_size=3)
    assert describer.settings == {"model": str(llava), "revision": None, "dtype": "bfloat16", "batch_size": 3}
    assert len(describer.answer([PICTURES[:1]], "What runs?", Decoding(4))) == 1


def test_models_that_cannot_be_used_are_named(llava: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Cannot load .*nowhere"):
        LocalDescriber(str(tmp_path / "nowhere"), batch_size=1)
    with pytest.raises(ValueError, match="There is no precision .int3."):
        LocalDescriber(str(llava), dtype="int3", batch_size=1)
    with pytest.raises(ValueError, match="no chat template"):
        LocalDescriber(str(build_marian(tmp_path / "marian")), batch_size=1)


def test_the_endpoint_gets_the_pictures_and_the_question() -> None:
    large = PillowImage.new("RGB", (4096, 1024), (255, 0, 0))
    with ChatServer(in_turn(Reply("Red."), Reply("Two.", finish_reason="length"))) as server:
        describer = EndpointDescriber(ChatClient(server.url, "tiny", timeout=300.0), 3)
        answers = describer.answer([[large], PICTURES[:2]], "What runs?", Decoding(9))
    assert answers == [Answer("Red."), Answer("Two.", finished=False)]
    assert (describer.in_flight, describer.batch_size, describer.settings["model"]) == (3, 1, "tiny")
    # Several pictures are a video's frames, which the model is told.
    assert [question_of(payload) for payload in server.payloads] == ["What runs?", f"{OF_A_VIDEO}What runs?"]
    parts = server.payloads[0]["messages"][0]["content"]
    kind, _, data = parts[0]["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with PillowImage.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.size == (2048, 512)
        red, green, blue = picture.getpixel((9, 9))
        assert red > 250 and green < 5 and blue < 5
    assert large.size == (4096, 1024)
    assert [part["type"] for part in server.payloads[1]["messages"][0]["content"]] == ["image_url", "image_url", "text"]
