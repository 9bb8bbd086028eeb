import pytest
from space_html import chips, empty, search_status, status

from tests.spaces.markup import BREAKOUT, check_harmless, read

PAGES = {
    "status": lambda text: status(text, "error"),
    "search status": lambda text: search_status(text, "de", 2),
    "unknown language": lambda text: search_status(text, text, 2),
    "empty": empty,
    "chips": lambda text: chips([(text, text)], text),
}


@pytest.mark.parametrize("name", PAGES)
def test_no_text_from_outside_becomes_markup(name: str) -> None:
    check_harmless(PAGES[name]("plain"), PAGES[name](BREAKOUT))


def test_what_the_model_cannot_read_is_told_above_the_answers() -> None:
    said = [search_status("שלום", None, 2, share) for share in (0.0, 0.4, 0.5, 1.0)]
    assert ["cannot read" in each for each in said] == [False, False, True, True]
    assert "cannot read 50% of this query" in said[2] and "cannot read this query" in said[3]
    assert read(said[3])


def test_the_language_is_told_where_it_is_known() -> None:
    assert '<span class="tag">German</span>' in search_status("Hund", "de", 1234)
    assert "1,234 pictures" in search_status("Hund", None, 1234) and "tag" not in search_status("Hund", None, 1234)


@pytest.mark.parametrize("page", [search_status("שלום", "he", 2), chips([("he", "שלום")], "Examples")])
def test_text_from_outside_tells_its_own_direction(page: str) -> None:
    assert 'dir="rtl"' in page or 'dir="auto"' in page
