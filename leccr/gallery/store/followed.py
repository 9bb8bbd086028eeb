"""Which folders a gallery follows, and which of its items are kept though their files are missing."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from processing.names import stored_name, stored_path

SCHEMA = {
    "followed": (
        "CREATE TABLE followed (location TEXT PRIMARY KEY, exclude TEXT NOT NULL, frames INTEGER NOT NULL) STRICT"
    ),
    "missing": "CREATE TABLE missing (number INTEGER PRIMARY KEY) STRICT",
}


@dataclass(frozen=True)
class Followed:
    """A folder that was added as a whole.

    Attributes:
        location: Its absolute path.
        exclude: Patterns of what is left out of it.
        frames: Whether animations in it are videos.
    """

    location: str
    exclude: tuple[str, ...]
    frames: bool

    @property
    def path(self) -> Path:
        """The folder."""
        return stored_path(self.location)


def followed_folders(connection: sqlite3.Connection) -> list[Followed]:
    """Return all folders that a gallery follows, each one after those that it is in."""
    rows = connection.execute("SELECT location, exclude, frames FROM followed ORDER BY location").fetchall()
    # A NUL, which no path has, can only come from a damaged gallery.
    return [
        Followed(location, tuple(filter(None, exclude.split("\n"))), bool(frames))
        for location, exclude, frames in rows
        if "\0" not in location
    ]


def outermost(folders: Sequence[Followed]) -> list[Followed]:
    """Return the folders that are in none of the others."""
    return [
        folder
        for folder in folders
        if not any(other != folder and Path(folder.location).is_relative_to(other.location) for other in folders)
    ]


def follow(connection: sqlite3.Connection, location: str, exclude: Iterable[str], frames: bool) -> None:
    """Let a gallery follow a folder.

    Args:
        connection: A connection to the catalogue.
        location: The folder's absolute path.
        exclude: Patterns, which join those that the folder has. A folder in a followed one that has none is followed
            with that one.
        frames: Whether animations are videos.
    """
    known = followed_folders(connection)
    existing = next((folder for folder in known if folder.location == location), None)
    given = [stored_name(pattern) for pattern in exclude if pattern.strip()]
    if existing is None and not given and any(Path(location).is_relative_to(folder.location) for folder in known):
        return
    patterns = dict.fromkeys([*(existing.exclude if existing else ()), *given])
    connection.execute(
        "INSERT INTO followed VALUES (?, ?, ?) "
        "ON CONFLICT (location) DO UPDATE SET exclude = excluded.exclude, frames = excluded.frames",
        (location, "\n".join(patterns), int(frames)),
    )


def forget_empty(connection: sqlite3.Connection) -> None:
    """Forget the folders of this machine that do not exist and have no items."""
    rows = connection.execute(
        "SELECT number, location FROM sources WHERE kind = 'folder' AND number NOT IN (SELECT source FROM items)"
    ).fetchall()
    for number, location in rows:
        if not stored_path(location).exists():
            connection.execute("DELETE FROM sources WHERE number = ?", (number,))
    used = [row[0] for row in connection.execute("SELECT location FROM sources")]
    for folder in followed_folders(connection):
        if not folder.path.exists() and not any(_overlap(folder.location, location) for location in used):
            connection.execute("DELETE FROM followed WHERE location = ?", (folder.location,))


def _overlap(one: str, other: str) -> bool:
    return Path(one).is_relative_to(other) or Path(other).is_relative_to(one)


def mark_missing(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Mark items as kept without a file."""
    connection.executemany("INSERT OR IGNORE INTO missing VALUES (?)", [(number,) for number in numbers])


def unmark(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Take the marks of items away, whose files are there again."""
    connection.executemany("DELETE FROM missing WHERE number = ?", [(number,) for number in numbers])


def missing_numbers(connection: sqlite3.Connection) -> set[int]:
    """Return the numbers of the items that are kept without a file."""
    return {row[0] for row in connection.execute("SELECT number FROM missing")}
