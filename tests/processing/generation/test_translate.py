import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from processing.generation.answers import Answer, Decoding
from processing.generation.endpoint import ChatClient
from processing.generation.journal import Journal
from processing.generation.translate import (
    TRANSLATION_KEY,
    Caption,
    TranslationReport,
    captions_to_translate,
    captions_to_translate_back,
    chrf,
    mean_score,
    translate_captions,
)
from processing.generation.translators import EndpointTranslator

from .chat_server import ChatServer, Reply, question_of

ROWS = [
    {"id": "a", "source_language": "en", "source_captions": ["A dog runs.", "A brown dog runs in the snow."]},
    {"id": "b", "source_language": "en", "source_captions": ["Two cats sit.", "", "  "]},
    {"id": "c", "source_language": "de", "source_captions": ["Ein Mann liest seine Zeitung."]},
    {"id": "d", "source_language": "en", "source_captions": None},
]


class Stopped(BaseException):
    """Stands for a process that ends in the middle."""


class FakeTranslator:
    """Answers with the language and what else is in the batch."""

    in_flight = 1

    def __init__(self, batch_size: int = 2, stop_after: int = 10**9, bad: dict[str, list[str]] | None = None) -> None:
        self.batch_size = batch_size
        self.settings: dict[str, Any] = {"model": "fake", "batch_size": batch_size}
        self.calls: list[tuple[list[str], str, str, float]] = []
        self.stop_after = stop_after
        self.bad = bad or {}

    def check(self, source: str, target: str) -> None:
        if "xx" in (source, target):
            raise ValueError("no xx")

    def translate(self, texts: Sequence[str], source: str, target: str, decoding: Decoding) -> list[Answer]:
        if len(self.calls) >= self.stop_after:
            raise Stopped
        self.calls.append((list(texts), source, target, decoding.temperature))
        lengths = [len(text) for text in texts]
        return [
            Answer(self.bad[text][decoding.temperature > 0] if text in self.bad else f"{target} {text} {lengths}")
            for text in texts
        ]


def translate(
    path: Path, translator: Any, captions: Sequence[Caption] | None = None, **options: Any
) -> TranslationReport:
    with Journal(path, TRANSLATION_KEY) as journal:
        wanted = captions_to_translate(ROWS, ["de", "fr"], "fake") if captions is None else captions
        return translate_captions(wanted, translator, journal, **options)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_caption_goes_into_every_other_language() -> None:
    captions = captions_to_translate(ROWS, ["de", "fr"], "fake")
    assert [caption.key for caption in captions] == [
        ("a", 0, "de", "fake"),
        ("a", 1, "de", "fake"),
        ("a", 0, "fr", "fake"),
        ("a", 1, "fr", "fake"),
        ("b", 0, "de", "fake"),
        ("b", 0, "fr", "fake"),
        ("c", 0, "fr", "fake"),
    ]
    assert {caption.source for caption in captions if caption.key[0] == "c"} == {"de"}


def test_batches_hold_one_pair_and_go_from_long_to_short(tmp_path: Path) -> None:
    translator = FakeTranslator()
    report = translate(tmp_path / "t.jsonl", translator)
    assert report == TranslationReport(translated=7)
    assert [(texts, source, target) for texts, source, target, _ in translator.calls] == [
        (["Ein Mann liest seine Zeitung."], "de", "fr"),
        (["A brown dog runs in the snow.", "Two cats sit."], "en", "de"),
        (["A dog runs."], "en", "de"),
        (["A brown dog runs in the snow.", "Two cats sit."], "en", "fr"),
        (["A dog runs."], "en", "fr"),
    ]
    found = records(tmp_path / "t.jsonl")
    assert [(record["id"], record["source_number"], record["language"]) for record in found] == [
        caption.key[:3] for caption in captions_to_translate(ROWS, ["de", "fr"], "fake")
    ]
    assert found[1] == {
        "id": "a",
        "source_number": 1,
        "language": "de",
        "system": "fake",
        "source": "A brown dog runs in the snow.",
        "text": "de A brown dog runs in the snow. [29, 13]",
        "problems": [],
        "settings": {"model": "fake", "batch_size": 2, "max_new_tokens": 128, "seed": 0},
    }


def test_stopped_after_any_call_the_file_is_the_same_in_the_end(tmp_path: Path) -> None:
    bad = {"Two cats sit.": ["", "Deux chats."]}
    whole = FakeTranslator(bad=bad)
    translate(tmp_path / "whole.jsonl", whole)
    assert len(whole.calls) == 7
    for stop in range(len(whole.calls)):
        path = tmp_path / f"{stop}.jsonl"
        with pytest.raises(Stopped):
            translate(path, FakeTranslator(stop_after=stop, bad=bad))
        rest = FakeTranslator(bad=bad)
        translate(path, rest)
        assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
        assert rest.calls == whole.calls[len(whole.calls) - len(rest.calls) :]
    assert len(rest.calls) == 1


def test_languages_and_systems_add_up(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    translate(path, FakeTranslator(), captions_to_translate(ROWS, ["de"], "fake"))
    translate(path, FakeTranslator(), captions_to_translate(ROWS, ["de"], "other"))
    translator = FakeTranslator()
    translate(path, translator, captions_to_translate(ROWS, ["fr", "de"], "fake"))
    assert {target for _, _, target, _ in translator.calls} == {"fr"}
    assert [(record["system"], record["language"]) for record in records(path)] == [
        *[("other", "de")] * 3,
        *[("fake", "fr")] * 2,
        *[("fake", "de")] * 2,
        *[("fake", "fr"), ("fake", "de")],
        ("fake", "fr"),
    ]


def test_a_changed_caption_is_translated_again(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    translate(path, FakeTranslator())
    changed = [{**ROWS[0], "source_captions": ["A dog runs.", "A black dog."]}, *ROWS[1:]]
    translator = FakeTranslator()
    translate(path, translator, captions_to_translate(changed, ["de", "fr"], "fake"))
    assert [call[0] for call in translator.calls] == [["A black dog."]] * 2
    assert [record["source"] for record in records(path)[:2]] == ["A dog runs.", "A black dog."]
    assert len(records(path)) == 7


def test_useless_translations_are_made_again_and_then_left_out(tmp_path: Path) -> None:
    bad = {
        "Two cats sit.": ["na na na na na na na na na na na", "Zwei Katzen."],
        "A dog runs.": ["x1" + "".join(map(str, range(120))), "!"],
    }
    report = translate(tmp_path / "t.jsonl", FakeTranslator(bad=bad), captions_to_translate(ROWS, ["de"], "fake"))
    assert report == TranslationReport(translated=2, empty=1, retried={"runaway": 2})
    texts = {(record["id"], record["source_number"]): record for record in records(tmp_path / "t.jsonl")}
    assert (texts["a", 0]["text"], texts["a", 0]["problems"]) == (None, ["runaway", "empty"])
    assert (texts["b", 0]["text"], texts["b", 0]["problems"]) == ("Zwei Katzen.", ["runaway"])


def test_other_settings_and_missing_languages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    translate(path, FakeTranslator(), captions_to_translate(ROWS, ["de"], "fake"))
    with pytest.raises(ValueError, match="started with max_new_tokens 128, not 64"):
        translate(path, FakeTranslator(), max_new_tokens=64)
    with pytest.raises(ValueError, match="no xx"):
        translate(path, FakeTranslator(), captions_to_translate(ROWS, ["xx"], "fake"))


def test_translating_back_rates_what_is_there(tmp_path: Path) -> None:
    captions = captions_to_translate(ROWS[:2], ["de"], "fake")
    bad = {"A dog runs.": ["", ""], "Two cats sit.": ["Zwei Katzen sitzen.", ""]}
    back_bad = {"Zwei Katzen sitzen.": ["", ""]}
    with (
        Journal(tmp_path / "t.jsonl", TRANSLATION_KEY) as journal,
        Journal(tmp_path / "b.jsonl", TRANSLATION_KEY) as back_journal,
    ):
        translate_captions(captions, FakeTranslator(bad=bad), journal)
        back = captions_to_translate_back(captions, journal)
        assert [(caption.key[:2], caption.source, caption.target) for caption in back] == [
            (("a", 1), "de", "en"),
            (("b", 0), "de", "en"),
        ]
        translate_captions(back, FakeTranslator(bad=back_bad), back_journal, rate=lambda caption, text: {"chrf": 40.0})
        first, second = (back_journal.get(caption.key) for caption in back)
        assert first is not None and second is not None
        assert (first["source"], first["chrf"]) == ("de A brown dog runs in the snow. [29, 13]", 40.0)
        assert second["text"] is None and "chrf" not in second
        assert mean_score(back, back_journal) == 20.0
        assert mean_score([], back_journal) is None


def test_chrf_is_the_share_that_comes_back() -> None:
    assert chrf("A dog runs.", "A dog runs.") == 100
    assert 20 < chrf("A dog runs in the snow.", "A dog is running in snow.") < 60
    assert chrf("A dog runs.", "Zwei Kühe.") < 10
    # The mean over the orders of n-grams that there are: one of two letters is the same, and no pair.
    assert chrf("ab", "ac") == pytest.approx(100 * (0.5 + 0) / 2)


def test_the_endpoint_translates_with_many_requests(tmp_path: Path) -> None:
    def reply(number: int, payload: dict[str, Any]) -> Reply:
        if number % 3 == 0:
            return Reply(status=503)
        return Reply(question_of(payload).rsplit("\n\n", 1)[1].upper())

    with ChatServer(reply) as server:
        client = ChatClient(server.url, "tiny", timeout=300.0, first_wait=0.01)
        report = translate(tmp_path / "t.jsonl", EndpointTranslator(client, 4))
    assert report == TranslationReport(translated=7)
    assert all(record["text"] == record["source"].upper() for record in records(tmp_path / "t.jsonl"))
