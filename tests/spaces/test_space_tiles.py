import re
from dataclasses import replace

import pytest
from space_files import VERSION
from space_filters import Filters
from space_search import Hit
from space_tiles import clock, nothing_found, tiles

from tests.spaces.markup import BREAKOUT, check_harmless

DOG = Hit("7", 3, 0.374, 2, "trips/dog.png", "A dog.", "pictures/7/small", 0.874, shared=True)
CLIP = replace(DOG, id="8", name="clip.mp4", kind="video", start=83.0, end=91.4)


def hits(text: str) -> list[Hit]:
    """Return a picture that a text names and describes, and one without a description."""
    uploaded = Hit("b", 2, 0.25, None, "b.png", None, "data:image/jpeg;base64,")
    return [replace(DOG, id=text, name=text, description=text), uploaded]


@pytest.mark.parametrize("query", ["", "x"])
def test_no_text_from_outside_becomes_markup(query: str) -> None:
    pages = [tiles(hits(text), query and text, text, text, text, True) for text in ("plain", BREAKOUT)]
    check_harmless(*pages)


def test_pictures_are_labelled_in_words_and_not_with_scores() -> None:
    page = tiles([DOG], "Hund", "Pictures", "why")
    assert 'data-note="No. 3 of this search, 87 % sure"' in page and 'alt="A dog."' in page
    assert "0.374" not in page and "slot" not in page
    assert "data-note" not in tiles([DOG], "", "Pictures", "why")
    assert "sure" not in tiles([replace(DOG, confidence=None)], "Hund", "Pictures")


def test_words_that_spoke_for_an_answer_are_named() -> None:
    page = tiles([replace(DOG, words=("dog", "beach"))], "a dog on the beach", "Pictures")
    assert "87 % sure. The query&#x27;s words in its texts or its name count, too: dog, beach" in page
    assert "words" not in tiles([DOG], "Hund", "Pictures")


@pytest.mark.parametrize(
    ("query", "filters", "expected"),
    [
        ("", Filters(kind="video"), "No picture passes these filters."),
        ('a "red dog"', Filters(alike=True), "No picture has the words in quotes."),
        ("ein „roter Hund“", Filters(since=2020), "No picture passes these filters and has the words in quotes."),
        ("Hund", Filters(), "There are no pictures here."),
    ],
)
def test_why_nothing_is_found_is_said(query: str, filters: Filters, expected: str) -> None:
    assert expected in nothing_found(query, filters)


def test_a_picture_of_the_gallery_has_addresses_and_an_uploaded_one_none() -> None:
    page = tiles([DOG, hits("x")[1]], "Hund", "Pictures")
    assert re.findall(r'data-(\w+)="(pictures/[^"]+)"', page) == [
        ("large", f"pictures/7/large?v={VERSION}"),
        ("file", f"pictures/7/file?v={VERSION}"),
    ]
    assert page.count("data-heart=") == page.count("data-pick=") == 1


def test_a_video_plays_at_its_moment_where_browsers_can() -> None:
    page = tiles([CLIP], "Hund", "Videos")
    assert f'data-video="pictures/8/video?v={VERSION}#t=83.0,91.4"' in page and "▶ 1:23" in page
    assert "at 1:23–1:31" in page
    whole = tiles([replace(CLIP, start=None, end=None)], "Hund", "Videos")
    assert f'data-video="pictures/8/video?v={VERSION}"' in whole and "▶ video" in whole
    assert "data-video" not in tiles([replace(CLIP, name="clip.avi")], "Hund", "Videos")


def test_rows_keep_proportions_and_the_list_goes_on() -> None:
    page = tiles([replace(DOG, ratio=1.5), replace(DOG, ratio=99.0)], "", "Pictures", has_more=True)
    assert re.findall(r"--ratio:([0-9.]+)", page) == ["1.500", "3.000"]
    assert 'data-count="2"' in page and 'data-action="next"' in page
    assert "next" not in tiles([DOG], "", "Pictures")


def test_folded_duplicates_are_counted() -> None:
    page = tiles([replace(DOG, alike=2)], "Hund", "Pictures")
    assert "+2 alike" in page and "Near duplicates of it that are not shown: 2 (see Filters)" in page


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (83.9, "1:23"), (3_725, "1:02:05")])
def test_moments_are_told_as_players_do(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
