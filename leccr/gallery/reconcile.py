"""Finding the files that were moved, renamed or only touched, so that their items keep their views."""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from processing.folders import file_identity
from processing.read_ahead import read_ahead

from ..errors import UserError
from .candidates import Candidate
from .incoming import known_items, said_about
from .results import file_of
from .store.catalogue import FOLDER, Catalogue, Item, select_items, source_number, sources_of
from .store.followed import forget_empty, unmark
from .store.maintenance import delete_items
from .store.storage import open_storage
from .store.words import index_words

CANDIDATES_PER_READ = 500

Rows = Sequence[Item]
"""The items of one file: one, or all shots of a long video, whose ids begin with its path."""


@dataclass(frozen=True)
class Reconciled:
    """What became of the candidates.

    Attributes:
        moved: Files that have another path now.
        displaced: Files whose path a moved one has now, and whose content is nowhere any more.
        pending: Candidates that are new, or have changed, and have to be encoded.
    """

    moved: int
    displaced: int
    pending: int


@dataclass(frozen=True)
class _Open:
    """A file that is not as the gallery knows it.

    Attributes:
        candidate: The file.
        size: Its bytes.
        time: When it was last changed.
        rows: The items of its path, if there are any.
    """

    candidate: Candidate
    size: int
    time: int
    rows: Rows


def reconcile(catalogue: Catalogue, candidates: Sequence[Candidate], walked: Sequence[Path] = ()) -> Reconciled:
    """Give items whose files were moved or renamed their new paths, and touched ones their new times, in one step.

    A file belongs to an item if it has its content, and the item's own file is gone or has another content now. So two
    files that changed their names with each other are found, too.

    Args:
        catalogue: The gallery's catalogue.
        candidates: Files of folders.
        walked: Folders all of whose files are among these.
    """
    opened, changed = _opened(catalogue, candidates)
    donors = _donors(catalogue, opened, {candidate.key for candidate in candidates}, walked)
    hashes = _hashes([each for each in opened if each.size in {rows[0].size for rows in donors}])
    touched = [each for each in opened if each.rows and hashes.get(each.candidate.key) == each.rows[0].hash != ""]
    moves = _moves(opened, donors, hashes, {each.candidate.key for each in touched})
    displaced = _apply(catalogue, moves, touched) if moves or touched else 0
    settled = [(each.candidate, each.rows) for each in touched] + [(each.candidate, rows) for rows, each in moves]
    pending = changed + len(opened) - sum(not _changed(candidate, rows) for candidate, rows in settled)
    return Reconciled(len(moves), displaced, pending)


def _opened(catalogue: Catalogue, candidates: Sequence[Candidate]) -> tuple[list[_Open], int]:
    """Return the files with another size or time than their items, and how many others have to be encoded."""
    opened, changed = [], 0
    for start in range(0, len(candidates), CANDIDATES_PER_READ):
        chunk = candidates[start : start + CANDIDATES_PER_READ]
        with catalogue.reading() as connection:
            known = known_items(connection, chunk)
        for candidate in chunk:
            rows = known.get(candidate.key, ())
            try:
                size, time = candidate.stamp()
            except UserError:
                # It has vanished meanwhile, or is named when it is added.
                changed += 1
                continue
            if not rows or (size, time) != (rows[0].size, rows[0].time):
                opened.append(_Open(candidate, size, time, rows))
            else:
                changed += _changed(candidate, rows)
    return opened, changed


def _changed(candidate: Candidate, rows: Rows) -> bool:
    """Return whether a file has to be encoded though its content is the same."""
    return any(
        (said_about(candidate, item.id, item.description), candidate.kind) != (item.description, item.kind)
        for item in rows
    )


def _donors(catalogue: Catalogue, opened: Sequence[_Open], known: set[str], walked: Sequence[Path]) -> list[Rows]:
    """Return the items of files that one of these may be, as they are no longer where they were, or have changed."""
    keys = {each.candidate.key for each in opened}
    new = {file_identity(each.candidate.file) for each in opened if not each.rows and each.candidate.file} - {None}
    sizes = sorted({each.size for each in opened})
    files: dict[tuple[int, str], list[Item]] = defaultdict(list)
    with catalogue.reading() as connection:
        sources = sources_of(connection)
        for start in range(0, len(sizes), CANDIDATES_PER_READ):
            block = sizes[start : start + CANDIDATES_PER_READ]
            for item in select_items(connection, f"size IN ({','.join('?' * len(block))})", block, "number"):
                files[item.source, item.path].append(item)

    def may_have_moved(item: Item) -> bool:
        kind, location = sources.get(item.source, ("", ""))
        if kind != FOLDER:
            return False
        key, file = f"{location}/{item.path}", file_of(item, sources)
        if key in keys or file is None or key in known:
            return key in keys
        if not os.path.lexists(file):
            return True
        # The file was found by another name: a link leads to it, or only the case of letters has changed.
        return any(map(file.is_relative_to, walked)) and file_identity(file) in new

    return [rows for rows in files.values() if may_have_moved(rows[0])]


def _hashes(opened: Sequence[_Open]) -> dict[str, str]:
    """Return the content hashes of files by the candidates' keys; unreadable ones have an empty one."""

    def read(each: _Open) -> tuple[str, str]:
        try:
            return each.candidate.key, each.candidate.hash()
        except UserError:
            return each.candidate.key, ""

    with closing(read_ahead(read, opened)) as pieces:
        return dict(pieces)


def _moves(
    opened: Sequence[_Open], donors: Sequence[Rows], hashes: dict[str, str], touched: set[str]
) -> list[tuple[Rows, _Open]]:
    """Return whose items each moved file gets; of several, those of the same name, or else the oldest."""
    # Items whose own file is unreadable, or only touched, are where they were.
    staying = {
        each.rows[0].number
        for each in opened
        if each.rows and (each.candidate.key in touched or hashes.get(each.candidate.key) == "")
    }
    free: dict[tuple[str, str], list[Rows]] = defaultdict(list)
    for rows in donors:
        if staying.isdisjoint(item.number for item in rows):
            free[rows[0].hash, rows[0].kind].append(rows)
    moves = []
    for each in opened:
        digest = hashes.get(each.candidate.key)
        found = free.get((digest, each.candidate.kind)) if digest and each.candidate.key not in touched else None
        if found:
            name = os.path.basename(each.candidate.path)
            chosen = next((rows for rows in found if os.path.basename(rows[0].path) == name), found[0])
            found.remove(chosen)
            moves.append((chosen, each))
    return moves


def _apply(catalogue: Catalogue, moves: Sequence[tuple[Rows, _Open]], touched: Sequence[_Open]) -> int:
    """Write the new paths and times, and return how many files were displaced."""
    with catalogue.writing() as connection:
        # Another process may have found them meanwhile.
        moves = [(rows, each) for rows, each in moves if _are_as_before(connection, rows)]
        for each in touched:
            for item in each.rows:
                _set(connection, item, "size = ?, time = ?", each.size, each.time)
        moving = {item.number for rows, _ in moves for item in rows}
        targets = known_items(connection, [each.candidate for _, each in moves])
        replaced = [rows for rows in targets.values() if moving.isdisjoint(item.number for item in rows)]
        numbers = [item.number for rows in replaced for item in rows]
        state, positions = delete_items(connection, str(catalogue.folder), numbers)
        for number in moving:
            # No file has such a name: paths that items take from each other are free first.
            connection.execute("UPDATE items SET id = char(0) || number WHERE number = ?", (number,))
        for rows, each in moves:
            source = source_number(connection, FOLDER, each.candidate.location)
            for item in rows:
                name = each.candidate.id + item.id[len(item.path) :]
                values = (source, name, each.candidate.path, each.size, each.time)
                _set(connection, item, "source = ?, id = ?, path = ?, size = ?, time = ?", *values)
                index_words(connection, item.number)
        unmark(connection, moving)
        forget_empty(connection)
    open_storage(catalogue.folder, state).forget(state, positions)
    return len(replaced)


def _are_as_before(connection: sqlite3.Connection, rows: Rows) -> bool:
    return all(select_items(connection, "number = ?", [item.number]) == [item] for item in rows)


def _set(connection: sqlite3.Connection, item: Item, change: str, *values: object) -> None:
    connection.execute(f"UPDATE items SET {change} WHERE number = ?", (*values, item.number))
