"""Telling a gallery that a folder is at another path now, such as on another drive or another machine."""

import dataclasses
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path, PurePath

from processing.names import stored_name

from ..errors import UserError
from .store.catalogue import FOLDER, Catalogue, Item, folder_roots, select_items, source_number, sources_of, write_state
from .store.followed import followed_folders, outermost
from .store.maintenance import delete_items
from .store.storage import open_storage
from .store.words import index_words


def relocate_folder(catalogue: Catalogue, old: str, new: Path) -> int:
    """Give a folder another path, and all items in it, in one step; no file is read.

    Items of which the gallery has others at their new path, since the folder was added there, are removed.

    Args:
        catalogue: The gallery's catalogue.
        old: The folder's path so far; it need not exist, or be a path that this system could have.
        new: Its path now.

    Returns:
        The number of files in it.

    Raises:
        UserError: If there is no such folder now, or the gallery has no items in the old one.
    """
    if not new.is_dir():
        raise UserError(f"There is no folder {new}; name the path that {old} has now.")
    target = stored_name(new.resolve())
    with catalogue.writing() as connection:
        start = _location(connection, old)
        if start is None:
            roots = ", ".join(folder_roots(connection)) or "none"
            raise UserError(f"The gallery {catalogue.folder} has no items in {old}; its folders are: {roots}.")
        moved = _items_in(connection, start)
        sources = [number for number, (kind, path) in sources_of(connection).items() if _is_in(kind, path, start)]
        for number in sources:
            # Where the folder was added at its new path, too, that source takes the items.
            location = _moved(sources_of(connection)[number][1], start, target)
            connection.execute("UPDATE OR IGNORE sources SET location = ? WHERE number = ?", (location, number))
        _rename_followed(connection, start, target)
        doubled = _put(connection, [(item, _moved(path, start, target)) for item, path in moved], target)
        for number in sources:
            connection.execute(
                "DELETE FROM sources WHERE number = ? AND number NOT IN (SELECT source FROM items)", (number,)
            )
        state, positions = delete_items(connection, str(catalogue.folder), doubled)
        if state.unfinished is not None and _below(state.unfinished, start):
            write_state(connection, dataclasses.replace(state, unfinished=_moved(state.unfinished, start, target)))
    open_storage(catalogue.folder, state).forget(state, positions)
    return len({(item.source, item.path) for item, _ in moved})


def _location(connection: sqlite3.Connection, old: str) -> str | None:
    """Return a folder as the gallery writes it, if it has something in it."""
    written = stored_name(old)
    spellings = [written.rstrip("/\\") or written, stored_name(os.path.abspath(old)), stored_name(Path(old).resolve())]
    followed = [folder.location for folder in followed_folders(connection)]
    known = [*folder_roots(connection), *followed]
    for name in dict.fromkeys(spellings):
        if any(_below(location, name) for location in known) or _items_in(connection, name):
            return name
    return None


def _items_in(connection: sqlite3.Connection, folder: str) -> list[tuple[Item, str]]:
    """Return the items in a folder, and their paths so far."""
    items = []
    for number, (kind, location) in sources_of(connection).items():
        if kind != FOLDER:
            continue
        if _below(location, folder):
            found = select_items(connection, "source = ?", [number])
        elif _below(folder, location):
            part = folder[len(location) :].strip("/") + "/"
            found = select_items(connection, "source = ? AND substr(id, 1, ?) = ?", [number, len(part), part])
        else:
            continue
        items += [(item, f"{location.rstrip('/')}/{item.id}") for item in found]
    return items


def _below(path: str, folder: str) -> bool:
    """Return whether a path is that of a folder, or of something in it, in the spelling of any system."""
    return path == folder or path.startswith((f"{folder.rstrip('/')}/", f"{folder}\\"))


def _moved(path: str, old: str, new: str) -> str:
    rest = path[len(old) :].replace("\\", "/").strip("/") if "\\" in old else path[len(old) :].strip("/")
    return str(PurePath(new, rest))


def _is_in(kind: str, location: str, folder: str) -> bool:
    return kind == FOLDER and _below(location, folder)


def _rename_followed(connection: sqlite3.Connection, old: str, new: str) -> None:
    folders = followed_folders(connection)
    for folder in folders:
        if _below(folder.location, old):
            connection.execute(
                "UPDATE OR REPLACE followed SET location = ? WHERE location = ?",
                (_moved(folder.location, old, new), folder.location),
            )
    # A part of a folder that left it is followed on its own.
    inside = [folder for folder in outermost(folders) if _below(old, folder.location) and old != folder.location]
    if inside and not any(_below(new, folder.location) for folder in followed_folders(connection)):
        connection.execute(
            "INSERT INTO followed VALUES (?, ?, ?)", (new, "\n".join(inside[0].exclude), int(inside[0].frames))
        )


def _put(connection: sqlite3.Connection, moved: Sequence[tuple[Item, str]], folder: str) -> list[int]:
    """Give items their new paths in a folder, and return the numbers of those whose path another item has."""
    doubled = []
    roots = [root for root in folder_roots(connection) if _below(folder, root) or _below(root, folder)]
    for item, _ in moved:
        # No file has such a name: paths that items take from each other are free first.
        connection.execute("UPDATE items SET id = char(0) || number WHERE number = ?", (item.number,))
    for item, path in moved:
        owner = max((root for root in roots if _below(path, root)), key=len, default=folder)
        name = path[len(owner) :].strip("/")
        values = (source_number(connection, FOLDER, owner), name, name[: len(name) - len(item.id) + len(item.path)])
        changed = connection.execute(
            "UPDATE OR IGNORE items SET source = ?, id = ?, path = ? WHERE number = ?", (*values, item.number)
        ).rowcount
        if changed:
            index_words(connection, item.number)
        else:
            doubled.append(item.number)
    return doubled
