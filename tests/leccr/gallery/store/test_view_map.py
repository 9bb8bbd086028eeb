import dataclasses
import os
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leccr.errors import UserError
from leccr.gallery.store.state import State
from leccr.gallery.store.view_map import ViewMap, append_to_map, map_path

STATE = State("m", "f", 5, 4, True)


def written(folder: Path, counts: list[int]) -> State:
    append_to_map(folder, STATE, np.array(counts))
    return dataclasses.replace(STATE, positions=len(counts), views=sum(counts))


@settings(max_examples=25)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.randoms())
def test_rows_and_positions_are_inverse(counts: list[int], random: Random) -> None:
    view_map = ViewMap(np.cumsum(counts), 5)
    owners = [position for position, count in enumerate(counts) for _ in range(count)]
    assert view_map.positions_of(np.arange(sum(counts))).tolist() == owners
    asked = random.choices(range(len(counts)), k=7)
    rows, own = view_map.rows_of(asked)
    assert own.tolist() == [counts[position] for position in asked]
    assert rows.tolist() == [row for position in asked for row, owner in enumerate(owners) if owner == position]


def test_a_map_is_appended_to_and_overwrites_what_a_killed_writer_left(tmp_path: Path) -> None:
    state = written(tmp_path, [2, 5, 1])
    append_to_map(tmp_path, state, np.array([4, 4, 4]))
    append_to_map(tmp_path, state, np.array([3]))
    more = dataclasses.replace(state, positions=4, views=11)
    assert ViewMap.open(tmp_path, more).ends.tolist() == [2, 7, 8, 11]
    assert ViewMap.open(tmp_path, state).ends.tolist() == [2, 7, 8], "readers look no further than their state says"


def test_a_gallery_without_items_has_no_views(tmp_path: Path) -> None:
    view_map = ViewMap.open(tmp_path, STATE)
    assert view_map.views == 0
    assert [part.tolist() for part in view_map.rows_of([])] == [[], []]


@pytest.mark.parametrize("change", ["missing", "short", "another number of views"])
def test_a_file_that_does_not_fit_the_state_is_refused(tmp_path: Path, change: str) -> None:
    state = written(tmp_path, [2, 5, 1])
    if change == "missing":
        map_path(tmp_path, state).unlink()
    elif change == "short":
        os.truncate(map_path(tmp_path, state), 20)
    else:
        state = dataclasses.replace(state, views=7)
    with pytest.raises(UserError, match=r"items without views, or views without an item; .*--repair"):
        ViewMap.open(tmp_path, state)


@pytest.mark.parametrize("ends", [[2, 2**62, 8], [2, -(2**63), 8], [9, 7, 8], [-1, 7, 8], [2**63 - 1, -(2**63), 8]])
def test_numbers_that_cannot_be_are_refused(ends: list[int]) -> None:
    view_map = ViewMap(np.array(ends), 5)
    with pytest.raises(UserError, match="--repair"):
        view_map.spans([0, 1, 2])


@pytest.mark.parametrize("position", [-1, 3, 2**62])
def test_positions_that_are_not_there_are_refused(position: int) -> None:
    with pytest.raises(UserError, match="--repair"):
        ViewMap(np.array([1, 2, 3]), 5).spans([0, position])
