from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from processing.generation.answers import Answer, Decoding
from processing.generation.endpoint import ChatClient
from processing.generation.language_codes import LANGUAGES
from processing.generation.translators import EndpointTranslator, LocalTranslator

from .chat_server import ChatServer, Reply, in_turn, question_of
from .tiny_models import build_llava, build_m2m100, build_madlad, build_marian, build_nllb

TEXTS = ["a dog runs", "the cat sits near the tree", "two"]
DECODING = Decoding(12)


class Spy:
    """Keeps what a model was given and what it generated."""

    def __init__(self, translator: LocalTranslator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[dict[str, Any]] = []
        self.made: list[torch.Tensor] = []
        generate = translator.model.generate

        def keep(**options: Any) -> torch.Tensor:
            self.given.append(options)
            self.made.append(generate(**options))
            return self.made[-1]

        monkeypatch.setattr(translator.model, "generate", keep)


def open_model(build: Callable[..., Path], folder: Path, *arguments: Any) -> LocalTranslator:
    return LocalTranslator(str(build(folder / "model", *arguments)), device="cpu", batch_size=1, beams=2)


@pytest.mark.parametrize(("build", "written"), [(build_nllb, "{nllb}"), (build_m2m100, "__{code}__")])
def test_languages_are_forced(
    build: Callable[[Path], Path], written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = open_model(build, tmp_path)
    spy = Spy(translator, monkeypatch)
    texts = {}
    for source, target in (("en", "de"), ("en", "zh"), ("ja", "en")):
        translator.check(source, target)
        answers = translator.translate(TEXTS, source, target, DECODING)
        numbers = [
            translator.tokenizer.convert_tokens_to_ids(written.format(code=code, nllb=LANGUAGES[code].nllb))
            for code in (source, target)
        ]
        assert translator.tokenizer.unk_token_id not in numbers
        assert spy.given[-1]["input_ids"][:, 0].tolist() == [numbers[0]] * 3
        assert spy.made[-1][:, 1].tolist() == [numbers[1]] * 3
        texts[source, target] = [answer.text for answer in answers]
        assert not any("_" in text for text in texts[source, target])
    assert len({tuple(found) for found in texts.values()}) > 1


@pytest.mark.parametrize(
    ("build", "arguments", "targets"),
    [
        (build_marian, (("deu", "fra", "cmn_Hans"),), {"de": ">>deu<<", "fr": ">>fra<<", "zh": ">>cmn_Hans<<"}),
        (build_marian, (("de", "fr"),), {"de": ">>de<<"}),
        (build_madlad, (), {"de": "<2de>", "he": "<2iw>"}),
    ],
    ids=["Marian with ISO 639-3", "Marian with ISO 639-1", "MADLAD"],
)
def test_the_target_stands_in_front_of_the_text(
    build: Callable[..., Path],
    arguments: tuple[Any, ...],
    targets: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    translator = open_model(build, tmp_path, *arguments)
    spy = Spy(translator, monkeypatch)
    for target, token in targets.items():
        translator.check("en", target)
        assert len(translator.translate(TEXTS, "en", target, DECODING)) == 3
        first = spy.given[-1]["input_ids"][:, 0].tolist()
        assert first == [translator.tokenizer.convert_tokens_to_ids(token)] * 3
        assert translator.tokenizer.unk_token_id not in first
        assert "forced_bos_token_id" not in spy.given[-1]


@pytest.mark.parametrize("build", [build_marian, build_madlad, build_m2m100, build_nllb])
def test_a_batch_translates_as_each_text_alone(build: Callable[..., Path], tmp_path: Path) -> None:
    translator = open_model(build, tmp_path)
    answers = translator.translate(TEXTS, "en", "de", DECODING)
    assert answers == [translator.translate([text], "en", "de", DECODING)[0] for text in TEXTS]
    assert len({answer.text for answer in answers}) > 1


def test_a_pair_has_no_language_in_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = open_model(build_marian, tmp_path)
    spy = Spy(translator, monkeypatch)
    translator.check("en", "de")
    translator.translate(TEXTS, "en", "de", DECODING)
    expected = translator.tokenizer(TEXTS, padding=True)["input_ids"]
    assert spy.given[0]["input_ids"].tolist() == expected
    assert spy.given[0]["num_beams"] == 2


def test_a_forced_end_is_no_end(tmp_path: Path) -> None:
    translator = open_model(build_marian, tmp_path)
    translator.model.generation_config.eos_token_id = 0
    translator.model.generation_config.forced_eos_token_id = 0
    translator.model.final_logits_bias[0, 0] = -1e4  # It never ends by itself.
    assert [answer.finished for answer in translator.translate(TEXTS, "en", "de", Decoding(4))] == [False] * 3


@pytest.mark.parametrize(
    ("build", "arguments", "pair", "message"),
    [
        (build_marian, (), ("en", "fr"), "translates into de, not fr"),
        (build_marian, ((), "eng", "zho"), ("de", "zh"), "translates from en, not de"),
        (build_marian, (("deu", "fra"),), ("en", "cs"), "has no language cs; it has de, fr"),
        (build_madlad, (), ("de", "cs"), "has no language cs; it has de, en, he"),
        (build_m2m100, (), ("en", "te"), "has no language te; it has af, ar,"),
        (build_m2m100, (), ("xx", "de"), "has no language xx"),
        (build_nllb, (), ("en", "xx"), "There is no language xx"),
    ],
)
def test_pairs_that_a_model_lacks_are_named(
    build: Callable[..., Path], arguments: tuple[Any, ...], pair: tuple[str, str], message: str, tmp_path: Path
) -> None:
    translator = open_model(build, tmp_path, *arguments)
    with pytest.raises(ValueError, match=message):
        translator.check(*pair)


def test_groups_and_long_codes_of_a_pair_fit(tmp_path: Path) -> None:
    open_model(build_marian, tmp_path, (), "eng", "zho").check("en", "zh")
    open_model(build_marian, tmp_path / "group", (), "gem", "eng").check("de", "en")


def test_models_of_another_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Cannot load"):
        open_model(build_llava, tmp_path)
    with pytest.raises(ValueError, match="is not an NLLB-200, M2M-100, MADLAD-400 or Marian model"):
        open_model(build_madlad, tmp_path / "plain", ())


def test_the_endpoint_is_asked_in_words() -> None:
    with ChatServer(in_turn(Reply('"Ein Hund rennt."'), Reply("Ein Hund", finish_reason="length"))) as server:
        translator = EndpointTranslator(ChatClient(server.url, "tiny", timeout=300.0), 5)
        translator.check("en", "de")
        answers = translator.translate(["A dog runs.", "A dog"], "en", "de", DECODING)
    assert answers == [Answer("Ein Hund rennt."), Answer("Ein Hund", finished=False)]
    asked = question_of(server.payloads[0])
    assert "from English into German" in asked and asked.endswith("\n\nA dog runs.")
    with pytest.raises(ValueError, match="There is no language xx"):
        translator.check("en", "xx")


@pytest.mark.parametrize(
    ("text", "translation", "expected"),
    [
        ("Stop.", "„Halt.“", "Halt."),
        ('"Stop" it says.', '"Halt" steht da.', '"Halt" steht da.'),
        ('"Stop"', '"Halt"', '"Halt"'),
        ("A sign: stop", '"', '"'),
    ],
)
def test_only_added_quotation_marks_go(text: str, translation: str, expected: str) -> None:
    with ChatServer(in_turn(Reply(translation))) as server:
        translator = EndpointTranslator(ChatClient(server.url, "tiny", timeout=300.0), 1)
        assert translator.translate([text], "en", "de", DECODING)[0].text == expected
