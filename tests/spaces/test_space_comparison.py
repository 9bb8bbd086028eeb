import re

from space_comparison import Column, comparison

from tests.spaces.markup import BREAKOUT, check_harmless
from tests.spaces.test_space_tiles import hits


def test_no_text_from_outside_becomes_markup() -> None:
    pages = [
        comparison({"en": Column(text, hits(text)), text: Column(text, hits(text))}, 10, text)
        for text in ("plain", BREAKOUT)
    ]
    check_harmless(*pages)


def test_languages_are_compared_by_what_they_share() -> None:
    page = comparison({"en": Column("dog", hits("a")), "de": Column("Hund", hits("c"))}, 10)
    assert "1 of 2 as in English" in page
    assert re.findall(r'<td style="--weight:[0-9.]+">(\d)</td>', page) == ["2", "1", "1", "2"]


def test_what_the_model_cannot_read_is_not_compared() -> None:
    same = hits("a")
    page = comparison({"en": Column("dog", same), "de": Column("Hund", same), "zh": Column("狗", same, 1.0)}, 10)
    assert page.count("2 of 2") == 1 and "The model cannot read this query" in page
    assert len(re.findall("<td style", page)) == 4 and page.count("<ol") == 2
    alone = comparison({"en": Column("dog", same), "zh": Column("狗", same, 1.0)}, 10)
    assert "<table" not in alone and " of 2" not in alone


def test_the_first_language_that_is_read_is_compared_with() -> None:
    same = hits("a")
    page = comparison({"zh": Column("狗", same, 1.0), "de": Column("Hund", same), "fr": Column("chien", same)}, 10)
    assert "2 of 2 as in German" in page and "Chinese</p>" not in page
