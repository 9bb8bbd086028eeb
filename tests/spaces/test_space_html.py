import re
from html.parser import HTMLParser

import pytest
from space_explain import Explanation, SlotPart
from space_html import chips, comparison, empty, explanation, legend, search_status, status, tiles
from space_search import Hit

from tests.spaces.hostile import SCRIPT

BREAKOUT = f"\"'> </q></mark></bdi>{SCRIPT}"


class Tags(HTMLParser):
    """Collects the tags and attributes that a browser would see, and checks that they are nested."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "img":
            assert dict(attrs)["alt"] and (dict(attrs)["src"] or "").startswith("data:image/jpeg;base64,")
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def results(text: str) -> list[Hit]:
    return [Hit(text, 1, 0.5, 2, text, text, b"picture"), Hit("b", 2, 0.25, None, "b.png", None, b"picture")]


def found(text: str, points: float = 0.1) -> Explanation:
    slots = [
        SlotPart(1, 0.2, 0.04, b"picture", 0.1, [(text, 0.5), (" ", 0.0), ("end", 0.1)]),
        SlotPart(2, 0.5, points, None, None, []),
    ]
    return Explanation(0.4 + points, 0.4, slots, 2, text, text, b"picture")


PAGES = {
    "status": lambda text: status(text, "error"),
    "search status": lambda text: search_status(text, "de", True, 1, 2),
    "unknown language": lambda text: search_status(text, text, False, 1, 2),
    "empty": empty,
    "chips": lambda text: chips([(text, text)], text),
    "tiles": lambda text: tiles(results(text), text, text),
    "own tiles": lambda text: tiles(results(text), text, text, scores=False, small=True),
    "explanation": lambda text: explanation(found(text), text, text),
    "no slots": lambda text: explanation(Explanation(0.4, 0.4, [], None, text, None, b"picture"), text, text),
    "comparison": lambda text: comparison({"en": (text, results(text)), text: (text, results(text))}, 10),
}


def test_what_the_model_cannot_read_is_told_above_the_answers() -> None:
    said = [search_status("שלום", None, False, 1, 2, share) for share in (0.0, 0.4, 0.5, 1.0)]
    assert ["cannot read" in each for each in said] == [False, False, True, True]
    assert "cannot read 50% of this query" in said[2] and "cannot read this query" in said[3]
    assert read(said[3])


@pytest.mark.parametrize("name", PAGES)
def test_no_text_from_outside_becomes_markup(name: str) -> None:
    harmless, hostile = read(PAGES[name]("plain")), read(PAGES[name](BREAKOUT))
    assert hostile.seen == harmless.seen and "script" not in hostile.seen
    assert hostile.attributes == harmless.attributes
    assert not any(attribute.startswith("on") for attribute in hostile.attributes)


@pytest.mark.parametrize("name", ["tiles", "explanation", "search status", "chips", "comparison"])
def test_text_from_outside_tells_its_own_direction(name: str) -> None:
    page = PAGES[name]("שלום")
    assert re.search(r'(dir="(auto|ltr|rtl)"[^>]*|<bdi)>שלום|alt="שלום', page)


def test_an_explanation_says_which_slot_answered_and_its_share() -> None:
    page = explanation(found("a dog"), "7", "Hund")
    assert "Score <b>0.500</b> = whole picture 0.400 + <b>slot 2</b> 0.100, which is <b>20 %</b>" in page
    assert page.index("Slot 2 — answered") < page.index("The other slots") < page.index("<b>Slot 1</b>")
    assert '<mark style="--weight:1.00" title="50.0 %">a dog</mark> <mark style="--weight:0.20"' in page
    assert 'data-action="more" data-id="7"' in page


def test_score_and_slots_are_explained_where_they_appear() -> None:
    hits = results("a")
    assert "higher is better" in legend(hits) and "called <em>slots</em>" in legend(hits)
    assert "higher is better" in legend(hits[1:]) and "slot" not in legend(hits[1:])
    assert legend([]) == ""
    assert "called <em>slots</em>" in explanation(found("a dog"), "7", "Hund")
    assert "higher is better" in comparison({"en": ("dog", hits)}, 10)


def test_no_share_is_given_where_a_part_is_negative() -> None:
    page = explanation(found("a dog", points=-0.1), "7", "Hund")
    assert "One of the two is negative" in page and "%</b>" not in page


def test_languages_are_compared_by_what_they_share() -> None:
    other = [Hit("c", 1, 0.5, 1, "c.png", None, b"picture"), results("a")[0]]
    page = comparison({"en": ("dog", results("a")), "de": ("Hund", other)}, 10)
    assert "1 of 2 as in English" in page
    assert re.findall(r'<td style="--weight:[0-9.]+">(\d)</td>', page) == ["2", "1", "1", "2"]
