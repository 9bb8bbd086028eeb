from typing import Any

import pytest
from space_errors import SpaceError
from space_filters import MOST_FOLDERS, Facets, Filters, check_filters, facets_of

FACETS = facets_of([("trips/sea/a.png", "image", 2024), ("home/b.mp4", "video", 2019), ("c.png", "image", None)])


def test_facets_are_what_there_is() -> None:
    assert Facets(("image", "video"), ("home", "trips", "trips/sea"), (2024, 2019)) == FACETS
    assert not FACETS.is_empty and facets_of([("a.png", "image", 2024)]).is_empty and facets_of([]).is_empty


def test_of_many_folders_the_upper_ones_are_offered() -> None:
    facets = facets_of((f"top/{number}/a.png", "image", None) for number in range(MOST_FOLDERS + 50))
    assert len(facets.folders) == MOST_FOLDERS and "top" in facets.folders


@pytest.mark.parametrize(
    ("filters", "passing"),
    [
        (Filters(), "abc"),
        (Filters(kind="video"), "b"),
        (Filters(folder="trips"), "a"),
        (Filters(folder="trips/se"), ""),
        (Filters(since=2020), "a"),
        (Filters(until=2020), "b"),
        (Filters("image", "trips/sea", 2024, 2024), "a"),
    ],
)
def test_filters_pass_what_they_say(filters: Filters, passing: str) -> None:
    pictures = [("trips/sea/a.png", "image", 2024), ("home/b.mp4", "video", 2019), ("c.png", "image", None)]
    assert "".join(name[-5] for name, *rest in pictures if filters.passes(name, *rest)) == passing


def test_what_is_offered_can_be_chosen() -> None:
    assert check_filters(FACETS, "image", "trips/sea", 2019, 2024, True) == Filters(
        "image", "trips/sea", 2019, 2024, True
    )
    assert check_filters(FACETS, "", None, "", None, False) == Filters()


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        (("audio", "", "", ""), "no such kind"),
        (("", "../../etc", "", ""), "no such folder"),
        (("", ["trips"], "", ""), "no such folder"),
        (("", "", 1999, ""), "such a year"),
        (("", "", "", "2024-01-01 OR 1"), "such a year"),
        (("", "", "", [2024]), "such a year"),
    ],
)
def test_what_is_not_offered_is_refused(chosen: tuple[Any, ...], problem: str) -> None:
    with pytest.raises(SpaceError, match=problem):
        check_filters(FACETS, *chosen, False)
