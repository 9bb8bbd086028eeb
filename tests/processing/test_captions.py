from typing import Any

import pytest
import torch
from datasets import Dataset

from processing.captions import (
    captions_by_language,
    check_languages,
    draw_pair,
    evaluation_rows,
    languages_of,
    undrawable,
)
from processing.errors import UserError
from tests.tiny_data import dataset, row, target


def draws(languages: set[str] | None, count: int = 60, **fields: Any) -> set[tuple[str, str | None]]:
    torch.manual_seed(0)
    pairs = [draw_pair(row("a", **fields), languages) for _ in range(count)]
    return {(pair.source, None if pair.target is None else pair.target["text"]) for pair in pairs}


class TestDrawPair:
    def test_every_translation_comes_with_its_source(self) -> None:
        expected = {(f"en a {number}", f"{language} a {number}") for language in ("de", "zh") for number in range(3)}
        assert draws(None) == expected

    def test_only_the_wanted_languages(self) -> None:
        assert draws({"zh", "cs"}) == {(f"en a {number}", f"zh a {number}") for number in range(3)}

    def test_the_numbers_are_places_in_the_rows_lists(self) -> None:
        ours = row("a")
        torch.manual_seed(0)
        drawn = [draw_pair(ours, languages) for languages in [None, {"zh"}] * 30]
        for pair in drawn:
            assert ours["source_captions"][pair.source_number] == pair.source
            assert ours["target_captions"][pair.target_number] is pair.target
        assert {pair.target_number for pair in drawn[1::2]} == {3, 4, 5}
        alone = draw_pair(row("a", languages=[]), None)
        assert alone.target is alone.target_number is None
        assert row("a")["source_captions"][alone.source_number] == alone.source

    def test_a_caption_that_translates_nothing_meets_every_source(self) -> None:
        pairs = draws({"de"}, target_captions=[target("de", "own words")])
        assert pairs == {(f"en a {number}", "own words") for number in range(3)}

    @pytest.mark.parametrize("languages", [None, set()])
    def test_without_target_captions_there_are_sources_alone(self, languages: set[str] | None) -> None:
        assert draws(languages, target_captions=None) == {(f"en a {number}", None) for number in range(3)}

    def test_no_wanted_language_is_sources_alone(self) -> None:
        assert {translation for _, translation in draws(set())} == {None}

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({}, "Row 'a' has no caption in cs, fr; it has de, zh."),
            ({"target_captions": []}, "Row 'a' has no caption in cs, fr; it has no target caption at all."),
            ({"target_captions": None}, "Row 'a' has no caption in cs, fr; it has no target caption at all."),
            ({"source_captions": []}, "Row 'a' has no source caption"),
            ({"target_captions": [target("fr", " ")]}, "Row 'a' has an empty caption"),
            ({"target_captions": [target("fr", "b")], "source_captions": [""]}, "Row 'a' has an empty caption"),
            (
                {"target_captions": [target("fr", "b", 3)]},
                "caption in fr that translates source caption 3, but its source captions are numbered 0 to 2.",
            ),
            ({"target_captions": [target("fr", "b", -1)]}, "translates source caption -1"),
        ],
    )
    def test_what_cannot_be_drawn_names_the_row(self, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            draw_pair(row("a", **fields), {"cs", "fr"})


class TestEvaluationRows:
    def test_captions_of_the_wanted_languages_in_their_order(self) -> None:
        (only,) = evaluation_rows(dataset([row("a", captions=2)]), ["zh", "en"])
        assert only["captions"] == ["zh a 0", "zh a 1", "en a 0", "en a 1"]
        assert only["caption_languages"] == [0, 0, 1, 1]
        assert {"id", "image", "description"} <= set(only)
        assert not {"source_captions", "target_captions", "source_language"} & set(only)
        assert only["description"] == "This is a"

    def test_images_without_a_wanted_caption_are_left_out(self) -> None:
        rows = dataset([row("a", ["de"]), row("b"), row("c", []), row("d", target_captions=None)])
        assert evaluation_rows(rows, ["zh"])["id"] == ["b"]
        assert list(evaluation_rows(rows, ["de"])["id"]) == ["a", "b"]

    def test_many_images_without_a_wanted_caption_may_come_first(self) -> None:
        rows = [row(str(index), ["de"], captions=1, image=None) for index in range(1100)]
        last = row("last", captions=1, image=None)
        assert [kept["captions"] for kept in evaluation_rows(dataset([*rows, last]), ["zh"])] == [["zh last 0"]]

    def test_part_of_a_data_set(self) -> None:
        rows = dataset([row(name) for name in "abc"]).select([2, 0])
        evaluated = evaluation_rows(rows, ["de"])
        assert [(item["id"], item["captions"][0]) for item in evaluated] == [("c", "de c 0"), ("a", "de a 0")]

    def test_a_language_that_is_not_there(self) -> None:
        with pytest.raises(ValueError, match="no captions in fr, cs; they have en, de, zh."):
            evaluation_rows(dataset([row("a")]), ["de", "fr", "cs"])

    def test_an_empty_caption_names_its_row(self) -> None:
        rows = dataset([row("a"), row("b", target_captions=[target("de", "")])])
        with pytest.raises(ValueError, match="Row 'b' has an empty caption"):
            evaluation_rows(rows, ["de"])


def test_captions_by_language_joins_source_and_target() -> None:
    mixed = row("a", captions=1, target_captions=[target("zh", "zh"), target("en", "more")])
    assert captions_by_language(mixed) == {"en": ["en a 0", "more"], "zh": ["zh"]}


@pytest.mark.parametrize(
    ("rows", "languages"),
    [
        ([row("a", ["zh", "de"])], ["en", "de", "zh"]),
        ([row("a", ["zh"]), row("b", ["de"], source_language="fr")], ["en", "fr", "de", "zh"]),
        ([row("a", []), row("b", target_captions=None)], ["en"]),
        ([row("a", ["zh"], source_captions=[])], ["zh"]),
    ],
)
def test_languages_of(rows: list[dict[str, Any]], languages: list[str]) -> None:
    data: Dataset = dataset(rows)
    assert languages_of(data) == languages
    check_languages(data, languages)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t", "\u200b", "\ufeff \u2060", "\u00ad", "\u202e\u202c", "\x00\x07", "\u3000"]
)
def test_a_caption_without_anything_to_see_is_found_before_it_is_drawn(text: str) -> None:
    """Training says so before its first step, and evaluation before it encodes anything."""
    for fields in ({"source_captions": ["A.", text]}, {"target_captions": [target("de", text)]}):
        broken = row("a", **fields)
        assert undrawable(broken, ["de"] if "target_captions" in fields else []) == "an empty caption"
        with pytest.raises(UserError, match="Row 'a' has an empty caption"):
            captions_by_language(broken)


@pytest.mark.parametrize("text", ["a", "7", "犬", "?", "\u200b.", "\u3164", "é"])
def test_anything_that_can_be_seen_is_a_caption(text: str) -> None:
    assert undrawable(row("a", source_captions=[text]), []) is None
