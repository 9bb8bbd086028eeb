"""Changing how a gallery is stored: number format, engine, approximate index; and closing the gaps of removed items."""

import dataclasses
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm.auto import tqdm

from processing.notes import is_quiet
from processing.writing import part_path

from ...errors import UserError
from .catalogue import FILE, Catalogue, Item, read_state, select_items, write_state
from .ranking import Engine
from .state import APPROXIMATIONS, DTYPES, ENGINES, State
from .storage import check_installed, open_storage
from .view_map import map_path
from .words import index_words

NO_APPROXIMATION = "none"
POSITIONS_PER_BLOCK = 2**14
ITEMS_PER_READ = 4096
MOST_REMOVED, MOST_NEW = 0.2, 0.1
STORED_FILES = ("views-", "hnsw-", "ivfpq-")
Positions = TypeVar("Positions", list[int], np.ndarray)


def engine_fields(engine: str, uri: str | None) -> dict[str, Any]:
    """Return the fields of a state that say where views are kept; each Milvus gallery has its own name there."""
    collection = f"leccr_{secrets.token_hex(6)}" if engine == "milvus" else None
    return {"engine": engine, "uri": uri, "collection": collection}


def check_choices(store: str | None, ann: str | None, engine: str | None, uri: str | None) -> None:
    """Raise UserError unless the choices are known, go together and are installed; None stands for no choice."""
    for name, value, known in (
        ("--store", store, DTYPES),
        ("--ann", ann, (*APPROXIMATIONS, NO_APPROXIMATION)),
        ("--engine", engine, ENGINES),
    ):
        if value is not None and value not in known:
            raise UserError(f"{name} is {value!r}, but has to be one of {', '.join(known)}.")
    if engine == "milvus" and not uri:
        raise UserError("Say with --uri where the Milvus server is, for example http://localhost:19530.")
    if uri and engine != "milvus":
        raise UserError("--uri is the address of a Milvus server; use it with --engine milvus.")
    if engine == "milvus" and store not in (None, "fp32"):
        raise UserError("Milvus stores fp32 views only; leave --store out, and choose --ann ivfpq to save memory.")
    if engine is not None:
        check_installed(engine)


def convert_gallery(
    catalogue: Catalogue, store: str | None, ann: str | None, engine: str | None, uri: str | None
) -> State:
    """Change how the views of a gallery are stored; None leaves a choice as it is, `ann="none"` searches exactly."""
    with catalogue.reading() as connection:
        state = read_state(connection, str(catalogue.folder))
    if engine == "milvus" and state.engine == "milvus":
        uri = uri or state.uri
    check_choices(store, ann, engine, uri)
    changes: dict[str, Any] = {}
    if engine is not None and (engine, uri) != (state.engine, state.uri):
        changes |= engine_fields(engine, uri)
    if store is not None and store != state.dtype:
        changes["dtype"] = store
    if changes.get("engine", state.engine) == "milvus" and changes.get("dtype", state.dtype) != "fp32":
        changes["dtype"] = "fp32"
    kind = state.approximation.kind if state.approximation and ann is None else ann
    if changes:
        state = rewrite(catalogue, **changes)
    elif kind == NO_APPROXIMATION and state.approximation:
        state = set_approximation(catalogue, None)
    if kind not in (None, NO_APPROXIMATION) and (state.approximation is None or state.approximation.kind != kind):
        state = set_approximation(catalogue, str(kind))
    return settle(catalogue)


def rewrite(catalogue: Catalogue, **changes: Any) -> State:
    """Write all views again, without those of removed items, and replace the old ones in one step.

    Args:
        catalogue: The gallery's catalogue.
        **changes: New values of the state's fields `dtype`, `engine`, `uri`, `collection`.

    Returns:
        The new state. An approximate index does not fit it and is gone.
    """
    with catalogue.writing() as connection:
        old = read_state(connection, str(catalogue.folder))
        engine = open_storage(catalogue.folder, old).engine(old, approximate=False)
        kept = np.array([row[0] for row in connection.execute("SELECT position FROM items ORDER BY position")], int)
        empty: dict[str, Any] = {"positions": 0, "views": 0, "approximation": None, "generation": old.generation + 1}
        if changes.get("dtype", old.dtype) != old.dtype:
            empty["ranges"] = _ranges(engine, kept, old) if changes["dtype"] == "int8" else None
        new = dataclasses.replace(old, **(changes | empty))
        target = open_storage(catalogue.folder, new)
        checksums: list[int] = []
        for positions in blocks(kept, POSITIONS_PER_BLOCK, "Writing views"):
            views, counts = engine.at(positions)
            checksums += target.append(new, views, counts)
            new = dataclasses.replace(new, positions=len(checksums), views=new.views + len(views))
        # In ascending order, so that the position that an item moves to is free.
        connection.executemany(
            "UPDATE items SET position = ?, checksum = ? WHERE position = ?",
            zip(range(len(kept)), checksums, kept.tolist()),
        )
        connection.execute("DELETE FROM removed")
        new = dataclasses.replace(new, items=len(kept), version=old.version + 1)
        write_state(connection, new)
    open_storage(catalogue.folder, old).discard(old)
    tidy(catalogue)
    return new


def _ranges(engine: Engine, positions: np.ndarray, state: State) -> tuple[float, ...]:
    from .vectors import learn_ranges

    extremes = [np.zeros((1, state.width), np.float32)]
    for block in blocks(positions, POSITIONS_PER_BLOCK, "Reading views"):
        views, _ = engine.at(block)
        extremes += [views.min(axis=0, keepdims=True), views.max(axis=0, keepdims=True)]
    return learn_ranges(np.concatenate(extremes))


def blocks(positions: Positions, size: int, description: str) -> Iterator[Positions]:
    """Yield positions in blocks, with a progress bar if there are several."""
    steps = range(0, len(positions), size)
    for start in tqdm(steps, desc=description, disable=len(steps) <= 1 or is_quiet()):
        yield positions[start : start + size]


def set_approximation(catalogue: Catalogue, kind: str | None) -> State:
    """Build an approximate index over all views, or give it up if `kind` is None.

    Until it is done, the gallery is searched as before.

    Raises:
        UserError: If the gallery has no items to build it from.
    """
    with catalogue.writing() as connection:
        state = read_state(connection, str(catalogue.folder))
        storage, index = open_storage(catalogue.folder, state), None
        if kind is None:
            storage.make_exact(state)
        elif not state.items:
            raise UserError(f"The gallery {catalogue.folder} is empty; add items before building an index.")
        else:
            index = storage.approximate(state, kind)
        state = dataclasses.replace(state, approximation=index, version=state.version + 1)
        write_state(connection, state)
    tidy(catalogue)
    return state


def settle(catalogue: Catalogue) -> State:
    """After a change, close the gaps if there are many, and rebuild an approximate index that misses many items."""
    with catalogue.reading() as connection:
        state = read_state(connection, str(catalogue.folder))
    index = state.approximation
    uncovered = state.positions - index.positions if index else 0
    if state.engine == "faiss" and state.positions - state.items > MOST_REMOVED * state.positions:
        state = rewrite(catalogue)
        uncovered = state.positions
    if index and state.items and uncovered > MOST_NEW * state.positions:
        state = set_approximation(catalogue, index.kind)
    return state


def remove_items(catalogue: Catalogue, numbers: Sequence[int]) -> None:
    """Remove items from the gallery, all in one step."""
    with catalogue.writing() as connection:
        state, positions = delete_items(connection, str(catalogue.folder), numbers)
    open_storage(catalogue.folder, state).forget(state, positions)


def delete_items(connection: sqlite3.Connection, gallery: str, numbers: Sequence[int]) -> tuple[State, list[int]]:
    """Remove items within a transaction.

    Args:
        connection: A connection to the catalogue, in a transaction.
        gallery: The gallery's name, for messages.
        numbers: Their keys.

    Returns:
        The new state, and the positions that the storage can forget after the commit.
    """
    state = read_state(connection, gallery)
    deleted = [delete_item(connection, number) for number in numbers]
    positions = [gap[0] for gap in deleted if gap is not None]
    state = dataclasses.replace(state, items=state.items - len(positions), version=state.version + 1)
    write_state(connection, state)
    return state, positions


def delete_item(connection: sqlite3.Connection, number: int) -> tuple[int, int] | None:
    """Delete all that the catalogue has of an item, and return its position and its number of views, if it was there.

    The position becomes one of those removed.
    """
    row = connection.execute("DELETE FROM items WHERE number = ? RETURNING position, views", (number,)).fetchone()
    if row is not None:
        connection.execute("INSERT INTO removed VALUES (?, ?)", row)
    for table in ("thumbnails", "moments", "facts", "missing"):
        connection.execute(f"DELETE FROM {table} WHERE number = ?", (number,))
    index_words(connection, number)
    return row


def all_items(catalogue: Catalogue) -> Iterator[Item]:
    """Yield all items, in several reads, so that writers need not wait."""
    last = -1
    while True:
        with catalogue.reading() as connection:
            items = select_items(connection, "number > ?", [last], f"number LIMIT {ITEMS_PER_READ}")
        if not items:
            return
        yield from items
        last = items[-1].number


def leftovers(folder: Path, state: State) -> list[Path]:
    """Return files of earlier states, and of writers that were killed."""
    from .vectors import views_path

    used = {views_path(folder, state).name, map_path(folder, state).name}
    if state.approximation is not None:
        used.add(str(state.approximation.file))
    unfinished_catalogue = part_path(folder / FILE).name
    return sorted(
        path
        for path in folder.iterdir()
        if path.name not in used
        and (path.is_symlink() or not path.is_dir())
        # The hidden ones are not yet whole.
        and (path.name.removeprefix(".").startswith(STORED_FILES) or path.name.startswith(unfinished_catalogue))
    )


def tidy(catalogue: Catalogue) -> list[Path]:
    """Delete leftovers, and return them. Readers that have them open keep what they see."""
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
