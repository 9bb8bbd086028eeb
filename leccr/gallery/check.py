"""`leccr gallery check`: whether a gallery is complete and as it was written, and repairing it."""

import dataclasses
import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from processing.names import stored_path
from processing.notes import is_quiet

from ..errors import UserError
from ..models.encoder import Encoder
from .reencoding import encode_again
from .results import file_of, hash_file, stamp_of
from .store.catalogue import FOLDER, Catalogue, Item, items_at, read_state, sources_of, write_state
from .store.followed import missing_numbers
from .store.maintenance import all_items, blocks, leftovers, set_approximation, tidy
from .store.moments import FRAGMENT, further_shots
from .store.state import State
from .store.storage import Storage, open_storage
from .store.untrusted import position_problems
from .store.vectors import by_item
from .store.view_map import fits_catalogue, recorded_counts, write_map
from .thumbnails import broken_thumbnails, make_thumbnails_again
from .word_index import check_words

ITEMS_PER_BLOCK = 4096
MOST_GAPS = 1_000_000
MISSING, CHANGED, OUTSIDE = "are missing", "have changed", "are outside their folder"


@dataclass
class CheckReport:
    """The outcome of a check.

    Attributes:
        items: Items checked.
        problems: What is wrong and what to do about it, one sentence each.
        repaired: What was repaired.
        removed: Leftover files of earlier states.
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
        load: Returns the gallery's encoder, which only repairs need.
        repair: Repair what can be repaired: damaged views are computed again from their files, items without a file
            are removed, and an index that does not fit is built again.
        files: Read all files and compare their content, not only sizes and times, and decode all thumbnails, which
            `repair` does, too.

    Returns:
        The outcome. Files that earlier states or killed writers left behind are removed in any case.
    """
    report = CheckReport()
    with catalogue.reading() as connection:
        state = read_state(connection, str(catalogue.folder))
        report.items = state.items
        counts = _count_problems(connection, state)
        unmapped = not counts and not fits_catalogue(connection, catalogue.folder, state)
    _report(report, "counts of the catalogue do not agree: " + "; ".join(counts), bool(counts), repair)
    _report(report, "the map of views does not agree with the catalogue", unmapped, repair)
    if repair and (counts or unmapped):
        _repair_counts(catalogue)
    elif unmapped:
        # All else would be said about the views of other items.
        return report
    with catalogue.reading() as connection:
        state = read_state(connection, str(catalogue.folder))
        damaged = _damaged(connection, catalogue, state)
        undefined = _undefined(connection, catalogue, state, damaged)
        index = _index_problem(catalogue.folder, state)
    _report(report, f"the views of {len(damaged)} items are damaged", bool(damaged), repair)
    _report(report, f"the approximate index is missing or broken: {index}", bool(index), repair)
    what = f"the views of {len(undefined)} items, such as {_names(undefined)}, are undefined numbers, so that no query "
    _report(report, what + "finds them", bool(undefined), repair)
    if repair:
        if damaged or undefined:
            lost = encode_again(catalogue, load(), [*damaged, *undefined])
            if lost:
                report.repaired.append(
                    f"{len(lost)} of these have no readable file, such as {_names(lost)}; they were removed, and "
                    f"`leccr gallery add {catalogue.folder} SOURCE` adds those that still exist."
                )
        if index and state.approximation:
            set_approximation(catalogue, state.approximation.kind)
    _report(report, "the index of words does not agree with the items", check_words(catalogue, repair), repair)
    if files or repair:
        _check_thumbnails(catalogue, load, repair, report)
    report.problems += _file_problems(catalogue, files)
    if state.unfinished:
        report.problems.append(
            f"Indexing {state.unfinished} was not finished; `leccr gallery add {catalogue.folder} {state.unfinished}` "
            "resumes it."
        )
    if leftovers(catalogue.folder, state):
        report.removed = tidy(catalogue)
    return report


def _check_thumbnails(catalogue: Catalogue, load: Callable[[], Encoder], repair: bool, report: CheckReport) -> None:
    broken = broken_thumbnails(catalogue)
    said = f"the thumbnails of {len(broken)} items are broken"
    if broken and repair:
        removed = make_thumbnails_again(catalogue, broken, load().background)
        said += f"; {removed} of these items have no readable file and no longer a thumbnail" if removed else ""
    _report(report, said, bool(broken), repair)


def _report(report: CheckReport, problem: str, exists: bool, repair: bool) -> None:
    if exists:
        (report.repaired if repair else report.problems).append(
            problem[0].upper() + problem[1:] + ("." if repair else "; `--repair` repairs this.")
        )


def _count_problems(connection: sqlite3.Connection, state: State) -> list[str]:
    [(verdict,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()[:1]
    # An index of words can be made again: `check_words`.
    if verdict != "ok" and "FTS5" not in verdict:
        raise UserError(f"The catalogue is damaged ({verdict}); index the pictures again.")
    return position_problems(connection, state)


def _repair_counts(catalogue: Catalogue) -> None:
    """Let removed positions fill the gaps between items, and write the map of views again."""
    with catalogue.writing() as connection:
        state = read_state(connection, str(catalogue.folder))
        used = {row[0] for row in connection.execute("SELECT position FROM items")}
        positions = max(state.positions, max(used, default=-1) + 1)
        if min(used, default=0) < 0 or positions > 2 * len(used) + MOST_GAPS:
            raise UserError(
                f"The catalogue of the gallery {catalogue.folder} has {len(used)} items at impossible positions; index "
                "its pictures again."
            )
        gaps = dict(connection.execute("SELECT position, views FROM removed"))
        connection.execute("DELETE FROM removed")
        free = ((position, gaps.get(position, 1)) for position in range(positions) if position not in used)
        connection.executemany("INSERT INTO removed VALUES (?, ?)", free)
        counts = recorded_counts(connection)
        write_map(catalogue.folder, state, counts)
        state = dataclasses.replace(
            state,
            items=len(used),
            positions=positions,
            views=int(counts.sum()),
            view_count=max(state.view_count, int(counts.max(initial=0))),
            version=state.version + 1,
        )
        write_state(connection, state)


def _damaged(connection: sqlite3.Connection, catalogue: Catalogue, state: State) -> list[Item]:
    storage = open_storage(catalogue.folder, state)
    damaged = []
    positions = [row[0] for row in connection.execute("SELECT position FROM items ORDER BY position")]
    for block in blocks(positions, ITEMS_PER_BLOCK, "Checking views"):
        items = items_at(connection, block)
        for position, checksum in zip(block, _checksums(storage, state, block)):
            if checksum != items[position].checksum:
                damaged.append(items[position])
    return damaged


def _checksums(storage: Storage, state: State, positions: Sequence[int]) -> list[int]:
    """Return the checksums of what is stored, and −1 at positions that have no views."""
    try:
        return storage.checksums(state, positions)
    except UserError:
        if len(positions) == 1:
            return [-1]
        return [checksum for position in positions for checksum in _checksums(storage, state, [position])]


def _undefined(
    connection: sqlite3.Connection, catalogue: Catalogue, state: State, damaged: Sequence[Item]
) -> list[Item]:
    """Return the items whose views are as they were written, but not finite."""
    if damaged:
        # They may be missing altogether; a check after the repair finds the others.
        return []
    engine = open_storage(catalogue.folder, state).engine(state, approximate=False)
    found: list[Item] = []
    positions = [row[0] for row in connection.execute("SELECT position FROM items ORDER BY position")]
    for block in blocks(positions, ITEMS_PER_BLOCK, "Checking numbers"):
        views = by_item(*engine.at(np.array(block)))
        items = items_at(connection, [position for position, own in zip(block, views) if not np.isfinite(own).all()])
        found += items.values()
    return found


def _index_problem(folder: Path, state: State) -> str | None:
    index = state.approximation
    if index is None or index.file is None:
        return None
    try:
        with (folder / index.file).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != index.digest:
                return f"{index.file} has changed since it was written"
    except OSError as error:
        return f"{index.file} cannot be read: {error.strerror}"
    return None


def _names(items: Sequence[Item]) -> str:
    # Of a long video it is the file that counts.
    names = [item.path if item.id.startswith(item.path + FRAGMENT) else item.id for item in items]
    return ", ".join(list(dict.fromkeys(names))[:3])


def _file_problems(catalogue: Catalogue, read: bool) -> list[str]:
    with catalogue.reading() as connection:
        sources, further = sources_of(connection), further_shots(connection)
        kept = missing_numbers(connection)
    items_by_problem: dict[str, list[Item]] = {}
    for item in tqdm(all_items(catalogue), desc="Checking files", disable=not read or is_quiet()):
        kind, location = sources.get(item.source, ("", ""))
        if kind == FOLDER and item.number not in further:
            problem = _compare(file_of(item, sources), stored_path(location), item, read)
            if problem and not (problem == MISSING and item.number in kept):
                items_by_problem.setdefault(problem, []).append(item)
    folder = catalogue.folder
    advice = {
        MISSING: f"`leccr gallery sync {folder}` finds those that were moved and removes the others",
        CHANGED: f"`leccr gallery sync {folder}` updates them",
        OUTSIDE: f"remove them with `leccr gallery remove {folder} PATH ...`",
    }
    return [
        f"{len(items_by_problem[problem])} files {problem}, such as {_names(items_by_problem[problem])}; {action}."
        for problem, action in advice.items()
        if problem in items_by_problem
    ]


def _compare(file: Path | None, root: Path, item: Item, read: bool) -> str:
    """Return how a file differs from what was indexed, or nothing; a file outside the root is not opened."""
    if file is None:
        return OUTSIDE
    try:
        if not file.resolve(strict=True).is_relative_to(root.resolve()):
            return OUTSIDE
        size, time = stamp_of(file)
        if (size, time) == (item.size, item.time) and not read:
            return ""
        return "" if size == item.size and hash_file(file) == item.hash else CHANGED
    except (OSError, RuntimeError):
        return MISSING
