from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from transformers import BlipForImageTextRetrieval, BlipProcessor

from leccr.errors import UserError
from leccr.models.reranker import Reranker, Shown
from processing.generation.endpoint import ChatClient
from tests.leccr.models.tiny_rerankers import build_blip, build_cross_encoder, build_judge
from tests.processing.generation.chat_server import ChatServer, Reply, question_of

QUERY = "en red 1"


@pytest.fixture(scope="module")
def pictures() -> list[Shown]:
    generator = np.random.default_rng(0)
    blocks = [generator.integers(0, 255, (4, 4, 3), dtype=np.uint8) for _ in range(11)]
    return [
        Shown(PillowImage.fromarray(each).resize((20, 16 + number), PillowImage.Resampling.NEAREST), f"de red {number}")
        for number, each in enumerate(blocks)
    ]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_blip(tmp_path_factory.mktemp("blip") / "blip")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return build_judge(tmp_path_factory.mktemp("judge") / "judge", patch)


def test_a_matching_head_scores_each_picture(blip: Path, pictures: list[Shown]) -> None:
    reranker = Reranker.load(str(blip), "cpu")
    model, processor = BlipForImageTextRetrieval.from_pretrained(blip), BlipProcessor.from_pretrained(blip)
    expected = []
    for each in pictures:
        inputs = processor(images=each.picture, text=QUERY, return_tensors="pt")
        with torch.inference_mode():
            expected.append(model(**inputs).itm_score.softmax(-1)[0, 1].item())
    assert reranker.scores(QUERY, pictures) == pytest.approx(expected, abs=1e-5)
    assert len(set(np.round(expected, 4))) > 5, "pictures differ"
    assert (reranker.calls, reranker.answers) == (2, 11) and reranker.seconds > 0
    assert reranker.cost().startswith(f"{blip} scored 11 answers again: 2 calls, ")
    assert (reranker.calls, reranker.answers, reranker.seconds) == (0, 0, 0)


def test_yes_against_no(judge: Path, pictures: list[Shown]) -> None:
    reranker = Reranker.load(str(judge), "cpu")
    scores = reranker.scores(QUERY, pictures)
    assert len(scores) == reranker.calls == 11 and ((scores > 0) & (scores < 1)).all()
    assert len(set(np.round(scores, 5))) > 5 and not np.allclose(scores, reranker.scores("de blue 1", pictures))
    for index, each in enumerate(pictures):
        assert reranker.scores(QUERY, [each]) == pytest.approx(scores[index : index + 1], abs=1e-6)


def test_a_cross_encoder_of_pictures(judge: Path, pictures: list[Shown], tmp_path: Path) -> None:
    transformer = Transformer(str(judge), transformer_task="any-to-any")
    yes, no = (transformer.tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    CrossEncoder(modules=[transformer, LogitScore(yes, no)], device="cpu").save_pretrained(str(tmp_path / "cross"))
    reranker = Reranker.load(f"st:{tmp_path / 'cross'}", "cpu")
    scores = reranker.scores(QUERY, pictures)
    assert len(set(np.round(scores, 5))) > 5
    assert reranker.scores(QUERY, [Shown(None, "a text")]).tolist() == [-np.inf]


def test_a_cross_encoder_of_descriptions(pictures: list[Shown], tmp_path: Path) -> None:
    build_cross_encoder(tmp_path)
    reranker = Reranker.load(f"st:{tmp_path}", "cpu")
    shown = [Shown(None, "de red 1"), Shown(pictures[0].picture), Shown(None, "zh blue 1")]
    scores = reranker.scores(QUERY, shown)
    expected = CrossEncoder(str(tmp_path), device="cpu").predict([(QUERY, "de red 1"), (QUERY, "zh blue 1")])
    assert scores[[0, 2]] == pytest.approx(expected, abs=1e-5)
    assert scores[1] == -np.inf, "it has no description to look at"


def test_an_endpoint_is_asked_for_numbers(pictures: list[Shown]) -> None:
    answers = {"en red 1": "87", "de blue 1": " 12.5 % "}

    def reply(number: int, payload: dict[str, object]) -> Reply:
        asked = question_of(payload)
        return Reply(next(text for query, text in answers.items() if query in asked))

    with ChatServer(reply) as server:
        reranker = Reranker.load("judge", endpoint=server.url)
        assert reranker.scores("en red 1", pictures[:3]).tolist() == [0.87] * 3
        assert reranker.scores("de blue 1", pictures[:1]).tolist() == [0.125]
        assert reranker.calls == len(server.payloads) == 4
        answers["en red 1"] = "it fits well"
        with pytest.raises(UserError, match="judge answers 'it fits well' where a number from 0 to 100 was asked for"):
            reranker.scores("en red 1", pictures[:3])


def test_undefined_numbers_are_one_sentence(blip: Path, pictures: list[Shown]) -> None:
    reranker = Reranker.load(str(blip), "cpu")
    reranker.model.itm_head.bias.data[0] = float("nan")  # type: ignore[attr-defined]
    with pytest.raises(UserError) as caught:
        reranker.scores(QUERY, pictures[:4])
    assert str(caught.value) == (
        f"The reranker {blip} returns infinite or undefined numbers (NaN) for 4 of 4 answers; try --dtype fp32, or "
        "choose another model."
    )


def test_nothing_to_see_needs_no_model(blip: Path) -> None:
    reranker = Reranker.load(str(blip), "cpu")
    assert reranker.scores(QUERY, []).tolist() == []
    assert reranker.scores(QUERY, [Shown(None, "text")]).tolist() == [-np.inf]
    assert reranker.calls == 0


def _no_tokens(folder: Path) -> str:
    from tests.processing.generation.tiny_models import build_llava

    return str(build_llava(folder))


def _no_reranker(folder: Path) -> str:
    return f"st:{build_cross_encoder(folder, labels=3)}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: str(folder / "none"), "none"),
        (lambda folder: f"st:{folder / 'none'}", "cannot be loaded as a cross-encoder"),
        (_no_tokens, 'has no tokens "yes" and "no" to answer with'),
        (_no_reranker, "gives 3 numbers a pair, and no score"),
    ],
)
def test_other_models_are_one_sentence(make: Callable[[Path], str], message: str, tmp_path: Path) -> None:
    name = make(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        Reranker.load(name, "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (lambda count: [[0.1, 0.9]] * count, r"returns numbers of the shape \(2, 2\) for 2 answers"),
        (lambda count: [0.5] * (count + 1), r"returns numbers of the shape \(3,\) for 2 answers"),
        (lambda count: [0.5, [1, 2]], r"fails \(ValueError: "),
        (lambda count: [None] * count, "returns infinite or undefined numbers"),
        (lambda count: {}["score"], r"fails \(KeyError: 'score'\)"),
    ],
)
def test_what_is_no_score_is_one_sentence(pictures: list[Shown], scores: Callable[[int], Any], said: str) -> None:
    class Odd(Reranker):
        def _scores(self, query: str, shown: Sequence[Shown]) -> Any:
            return scores(len(shown))

    with pytest.raises(UserError, match=f"The reranker odd {said}") as caught:
        Odd("odd").scores(QUERY, pictures[:2])
    assert "\n" not in str(caught.value)


def test_an_endpoint_that_fails_is_not_asked_for_long(pictures: list[Shown], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChatClient.__init__, "__kwdefaults__", {"attempts": 6, "first_wait": 0.0})
    with ChatServer(lambda number, payload: Reply(status=500)) as server:
        with pytest.raises(UserError, match="failed 2 times; the last failure: status 500"):
            Reranker.load("judge", endpoint=server.url).scores(QUERY, pictures[:1])
        assert len(server.payloads) == 2
