"""Moving a gallery from one form to another: number format, engine, approximate index, and without its holes."""

import dataclasses
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ...errors import UserError
from .catalogue import Catalogue, read_state, write_state
from .ranking import Array, Engine
from .state import State
from .storage import open_storage

POSITIONS_AT_ONCE = 2**14
MOST_REMOVED, MOST_NEW = 0.2, 0.1
OUR_FILES = ("views-", "hnsw-", "ivfpq-")


def rewrite(catalogue: Catalogue, **changes: Any) -> State:
    """Write all views anew, without those of removed items, and replace the old ones at one moment.

    Args:
        catalogue: The gallery's catalogue.
        **changes: Fields of the state that become others: `dtype`, `engine`, `uri`, `collection`.

    Returns:
        The new state. An approximate index does not fit it and is gone.
    """
    with catalogue.writing() as connection:
        old = read_state(connection, str(catalogue.folder))
        engine = open_storage(catalogue.folder, old).engine(old, approximate=False)
        kept = np.array([row[0] for row in connection.execute("SELECT position FROM items ORDER BY position")], int)
        empty: dict[str, Any] = {"positions": 0, "approximation": None, "generation": old.generation + 1}
        if changes.get("dtype", old.dtype) != old.dtype:
            empty["ranges"] = _ranges(engine, kept, old) if changes["dtype"] == "int8" else None
        new = dataclasses.replace(old, **(changes | empty))
        target = open_storage(catalogue.folder, new)
        checksums: list[int] = []
        for positions in _blocks(kept, "Writing views"):
            place = dataclasses.replace(new, positions=len(checksums))
            checksums += target.append(place, engine.at(positions))
        # In rising order, so that the place that a position moves to is free.
        connection.executemany(
            "UPDATE items SET position = ?, checksum = ? WHERE position = ?",
            zip(range(len(kept)), checksums, kept.tolist()),
        )
        connection.execute("DELETE FROM removed")
        new = dataclasses.replace(new, positions=len(kept), items=len(kept), version=old.version + 1)
        write_state(connection, new)
    open_storage(catalogue.folder, old).discard(old)
    tidy(catalogue)
    return new


def _ranges(engine: Engine, positions: Array, state: State) -> tuple[float, ...]:
    from .vectors import learn_ranges

    extremes = [np.zeros((1, state.width), np.float32)]
    for some in _blocks(positions, "Looking at views"):
        views = engine.at(some).reshape(-1, state.width)
        extremes += [views.min(axis=0, keepdims=True), views.max(axis=0, keepdims=True)]
    return learn_ranges(np.concatenate(extremes))


def _blocks(positions: Array, description: str) -> Iterator[Array]:
    for start in tqdm(
        range(0, len(positions), POSITIONS_AT_ONCE), desc=description, disable=len(positions) <= POSITIONS_AT_ONCE
    ):
        yield positions[start : start + POSITIONS_AT_ONCE]


def approximate(catalogue: Catalogue, kind: str) -> State:
    """Build an approximate index over all views; until it is done, the gallery is searched as before."""
    with catalogue.writing() as connection:
        state = read_state(connection, str(catalogue.folder))
        if not state.items:
            raise UserError(f"The gallery {catalogue.folder} is empty; add items before building an index.")
        built = open_storage(catalogue.folder, state).approximate(state, kind)
        state = dataclasses.replace(state, approximation=built, version=state.version + 1)
        write_state(connection, state)
    tidy(catalogue)
    return state


def make_exact(catalogue: Catalogue) -> State:
    """Give up the approximate index."""
    with catalogue.writing() as connection:
        state = read_state(connection, str(catalogue.folder))
        open_storage(catalogue.folder, state).make_exact(state)
        state = dataclasses.replace(state, approximation=None, version=state.version + 1)
        write_state(connection, state)
    tidy(catalogue)
    return state


def settle(catalogue: Catalogue) -> State:
    """After a change: close the holes if there are many, and take up what an approximate index does not cover yet."""
    with catalogue.reading() as connection:
        state = read_state(connection, str(catalogue.folder))
    index = state.approximation
    uncovered = state.positions - index.positions if index else 0
    if state.engine == "faiss" and state.positions - state.items > MOST_REMOVED * state.positions:
        state = rewrite(catalogue)
        uncovered = state.positions
    if index and state.items and uncovered > MOST_NEW * state.positions:
        state = approximate(catalogue, index.kind)
    return state


def remove_items(catalogue: Catalogue, numbers: Sequence[int]) -> None:
    """Take items out of the gallery, all at one moment."""
    with catalogue.writing() as connection:
        state = read_state(connection, str(catalogue.folder))
        positions = [_take_out(connection, number) for number in numbers]
        gone = [position for position in positions if position is not None]
        connection.executemany("INSERT INTO removed VALUES (?)", [(position,) for position in gone])
        write_state(connection, dataclasses.replace(state, items=state.items - len(gone), version=state.version + 1))
    open_storage(catalogue.folder, state).forget(state, gone)


def _take_out(connection: sqlite3.Connection, number: int) -> int | None:
    row = connection.execute("DELETE FROM items WHERE number = ? RETURNING position", (number,)).fetchone()
    connection.execute("DELETE FROM thumbnails WHERE number = ?", (number,))
    return None if row is None else row[0]


def leftovers(folder: Path, state: State) -> list[Path]:
    """Return files of earlier states, and of writers that were killed."""
    from .catalogue import FILE
    from .vectors import views_path

    used = {views_path(folder, state).name}
    if state.approximation is not None:
        used.add(str(state.approximation.file))
    return sorted(
        path
        for path in folder.iterdir()
        if path.name not in used
        and (path.name.startswith(OUR_FILES) or (path.name.startswith(FILE) and path.suffix == ".part"))
    )


def tidy(catalogue: Catalogue) -> list[Path]:
    """Remove leftovers, and return them. Readers that have them open keep what they see."""
    removed = []
    with catalogue.writing() as connection:
        for path in leftovers(catalogue.folder, read_state(connection, str(catalogue.folder))):
            try:
                path.unlink()
                removed.append(path)
            except PermissionError:
                # Windows keeps files that are open; they go another time.
                continue
    return removed
