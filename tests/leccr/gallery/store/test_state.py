import dataclasses
import json
from typing import Any

import pytest

from leccr.errors import UserError
from leccr.gallery.store.state import FORMAT, Approximation, State

STATE = State(
    "model",
    "0123",
    4,
    2,
    True,
    dtype="int8",
    ranges=(0.1, 0.2, 0.3, 0.4),
    approximation=Approximation("hnsw", 7, "hnsw-1-7", "ab", 0.99, 100),
    positions=9,
    items=8,
    uri=None,
)


def test_a_state_survives_json() -> None:
    assert State.from_json(STATE.to_json(), "g") == STATE


def test_another_format_is_refused_with_both_named() -> None:
    fields = dataclasses.asdict(STATE) | {"format": FORMAT + 6, "unheard": 1}
    with pytest.raises(UserError, match=f"The gallery g has format {FORMAT + 6}, but .* reads format {FORMAT}:"):
        State.from_json(json.dumps(fields), "g")


@pytest.mark.parametrize(
    "change",
    [
        {"view_count": 0},
        {"view_count": 2**40},
        {"width": -1},
        {"width": 2.0},
        {"positions": True},
        {"positions": 2**60},
        {"items": 10},
        {"generation": 0},
        {"dtype": "fp64"},
        {"dtype": "fp32"},
        {"ranges": [1.0]},
        {"ranges": None},
        {"engine": "pickle"},
        {"model": None},
        {"approximation": {"kind": "hnsw", "positions": 10}},
        {"approximation": {"kind": "flat", "positions": 1}},
        {"approximation": {"kind": "hnsw", "positions": 1, "file": "../../secret"}},
        {"approximation": {"kind": "hnsw", "positions": 1, "file": "/etc/passwd"}},
        {"approximation": {"kind": "hnsw", "positions": 1, "unheard": 1}},
        {"unheard": 1},
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="The catalogue of the gallery g is damaged; index its pictures again"):
        State.from_json(json.dumps(dataclasses.asdict(STATE) | change), "g")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '"text"', "{"])
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is damaged"):
        State.from_json(text, "g")
