"""`leccr gallery check`: whether everything in a gallery is there and as it was written, and repairing it."""

import dataclasses
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..errors import UserError
from ..models.encoder import Encoder
from .add import Adder
from .folder_sources import files_source
from .results import file_of, hash_file
from .store.catalogue import FOLDER, Catalogue, Item, items_at, read_state, select_items, sources_of, write_state
from .store.maintenance import approximate, leftovers, remove_items, tidy
from .store.state import State
from .store.storage import open_storage

ITEMS_AT_ONCE = 4096


@dataclass
class CheckReport:
    """What a check found.

    Attributes:
        items: Items looked at.
        problems: What is wrong and what to do about it, one sentence each.
        repaired: What was mended.
        removed: Files of earlier states that were in the way.
    """

    items: int = 0
    problems: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)


def check_gallery(
    catalogue: Catalogue, load: Callable[[], Encoder], repair: bool = False, files: bool = False
) -> CheckReport:
    """Check counts and checksums of everything that the gallery has stored, and that its files are as they were.

    Args:
        catalogue: The gallery's catalogue.
        load: Returns the gallery's encoder, which only damaged views need.
        repair: Mend what can be mended: damaged views are computed anew from their files, or taken out where there is
            no file; an index that does not fit is built anew.
        files: Read all files and compare their content, not only sizes and times.

    Returns:
        What was found. Files that earlier states or writers that were killed left behind are removed in any case.
    """
    report = CheckReport()
    with catalogue.reading() as connection:
        state = read_state(connection, str(catalogue.folder))
        report.items = state.items
        counts = _count_problems(connection, state)
        damaged = _damaged(connection, catalogue, state)
        index = _index_problem(catalogue.folder, state)
    _report(report, "counts of the catalogue do not agree: " + "; ".join(counts), bool(counts), repair)
    _report(report, f"the views of {len(damaged)} items are damaged", bool(damaged), repair)
    _report(report, f"the approximate index is missing or broken: {index}", bool(index), repair)
    if repair:
        if counts:
            _mend_counts(catalogue)
        if damaged:
            _compute_anew(catalogue, load(), damaged, report)
        if index and state.approximation:
            approximate(catalogue, state.approximation.kind)
    report.problems += _file_problems(catalogue, files)
    if state.unfinished:
        report.problems.append(
            f"Indexing {state.unfinished} was not finished; `leccr gallery add {catalogue.folder} {state.unfinished}` "
            "goes on."
        )
    if leftovers(catalogue.folder, state):
        report.removed = tidy(catalogue)
    return report


def _report(report: CheckReport, problem: str, there: bool, repair: bool) -> None:
    if there:
        (report.repaired if repair else report.problems).append(
            problem[0].upper() + problem[1:] + ("." if repair else "; `--repair` mends this.")
        )


def _count_problems(connection: sqlite3.Connection, state: State) -> list[str]:
    [(verdict,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()[:1]
    if verdict != "ok":
        raise UserError(f"The catalogue is damaged ({verdict}); index the pictures anew.")
    problems = []
    items, removed, highest = (
        connection.execute(query).fetchone()[0]
        for query in (
            "SELECT count(*) FROM items",
            "SELECT count(*) FROM removed",
            "SELECT coalesce(max(position), -1) FROM (SELECT position FROM items UNION SELECT position FROM removed)",
        )
    )
    both = connection.execute("SELECT count(*) FROM items JOIN removed USING (position)").fetchone()[0]
    if items != state.items:
        problems.append(f"there are {items} items and not {state.items}")
    if items + removed != state.positions or both or highest >= state.positions:
        problems.append(f"{items} items and {removed} removed ones do not fill {state.positions} positions")
    return problems


def _mend_counts(catalogue: Catalogue) -> None:
    with catalogue.writing() as connection:
        state = read_state(connection, str(catalogue.folder))
        highest = connection.execute("SELECT coalesce(max(position), -1) FROM items").fetchone()[0]
        positions = max(state.positions, highest + 1)
        taken = {row[0] for row in connection.execute("SELECT position FROM items")}
        connection.execute("DELETE FROM removed")
        free = ((position,) for position in range(positions) if position not in taken)
        connection.executemany("INSERT INTO removed VALUES (?)", free)
        state = dataclasses.replace(state, items=len(taken), positions=positions, version=state.version + 1)
        write_state(connection, state)


def _damaged(connection: sqlite3.Connection, catalogue: Catalogue, state: State) -> list[Item]:
    storage = open_storage(catalogue.folder, state)
    damaged = []
    for positions in _blocks([row[0] for row in connection.execute("SELECT position FROM items ORDER BY position")]):
        items = items_at(connection, positions)
        for position, checksum in zip(positions, storage.checksums(state, positions)):
            if checksum != items[position].checksum:
                damaged.append(items[position])
    return damaged


def _blocks(positions: Sequence[int]) -> Iterator[Sequence[int]]:
    steps = range(0, len(positions), ITEMS_AT_ONCE)
    for start in tqdm(steps, desc="Checking views", disable=len(steps) <= 1):
        yield positions[start : start + ITEMS_AT_ONCE]


def _index_problem(folder: Path, state: State) -> str | None:
    index = state.approximation
    if index is None or index.file is None:
        return None
    try:
        with (folder / index.file).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != index.digest:
                return f"{index.file} is not as it was written"
    except OSError as error:
        return f"{index.file} cannot be read: {error.strerror}"
    return None


def _compute_anew(catalogue: Catalogue, encoder: Encoder, damaged: Sequence[Item], report: CheckReport) -> None:
    """Encode the files of damaged items again; take out those without a file."""
    with catalogue.reading() as connection:
        state, sources = read_state(connection, str(catalogue.folder)), sources_of(connection)
    storage = open_storage(catalogue.folder, state)
    files: dict[str, list[Path]] = {}
    descriptions = {}
    for item in damaged:
        file, location = file_of(item, sources), sources[item.source][1]
        if file is not None and file.is_file():
            files.setdefault(location, []).append(file)
            if item.description is not None:
                descriptions[f"{location}/{item.id}"] = item.description
    with catalogue.writing() as connection:
        # A file that was cut off gets its length back.
        storage.append(state, np.empty((0, state.view_count, state.width), np.float32))
        # No file has an empty hash, so that all of them count as changed.
        connection.executemany(
            "UPDATE items SET hash = '', time = 0 WHERE number = ?", [(item.number,) for item in damaged]
        )
    for root, its_files in files.items():
        Adder(catalogue, storage, encoder).add(files_source(its_files, [root], Path(root)), descriptions)
    with catalogue.reading() as connection:
        gone = select_items(connection, "hash = ''")
    if gone:
        remove_items(catalogue, [item.number for item in gone])
        report.repaired.append(
            f"{len(gone)} of these have no file that can be read, such as {_names(gone)}; they were taken out, and "
            f"`leccr gallery add {catalogue.folder} SOURCE` brings back what is still there."
        )


def _names(items: Sequence[Item]) -> str:
    return ", ".join(item.id for item in items[:3])


def _file_problems(catalogue: Catalogue, read: bool) -> list[str]:
    with catalogue.reading() as connection:
        sources = sources_of(connection)
    found: dict[str, list[Item]] = {}
    for item in tqdm(_all_items(catalogue), desc="Checking files", disable=not read):
        kind, location = sources.get(item.source, ("", ""))
        if kind == FOLDER:
            verdict = _compare(file_of(item, sources), Path(location), item, read)
            found.setdefault(verdict, []).extend([item] if verdict else [])
    folder = catalogue.folder
    advice = {
        "are gone": f"take them out with `leccr gallery remove {folder} PATH ...`",
        "have changed": f"`leccr gallery add {folder} PATH` takes them up",
        "lie outside of their folder": f"take them out with `leccr gallery remove {folder} PATH ...`",
    }
    return [
        f"{len(found[what])} files {what}, such as {_names(found[what])}; {then}."
        for what, then in advice.items()
        if what in found
    ]


def _all_items(catalogue: Catalogue) -> Iterator[Item]:
    """Yield all items, in pieces, so that writers need not wait."""
    last = -1
    while True:
        with catalogue.reading() as connection:
            items = select_items(connection, "number > ?", [last], f"number LIMIT {ITEMS_AT_ONCE}")
        if not items:
            return
        yield from items
        last = items[-1].number


def _compare(file: Path | None, root: Path, item: Item, read: bool) -> str:
    """Return how a file differs from what was indexed, empty for not at all; one outside of the root is not touched."""
    if file is None:
        return "lie outside of their folder"
    try:
        if not file.resolve(strict=True).is_relative_to(root.resolve()):
            return "lie outside of their folder"
        status = file.stat()
        if (status.st_size, status.st_mtime_ns) == (item.size, item.time) and not read:
            return ""
        return "" if status.st_size == item.size and hash_file(file) == item.hash else "have changed"
    except (OSError, RuntimeError):
        return "are gone"
