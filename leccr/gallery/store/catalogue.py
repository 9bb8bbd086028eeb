"""The catalogue of a gallery: its state and the metadata of its items, in one SQLite file.

Why SQLite, and not Parquet or LanceDB: the commit of a transaction is the one moment at which a gallery goes from one
complete state to the next, with locks and crash recovery already written and tested by others. Everything that is
written elsewhere, mainly views, is written and flushed before, and takes effect with the commit. Parquet files cannot
be changed in place, so that adding or removing one photo would need segments, merging and a pointer file; LanceDB would
be a second engine next to FAISS. Looking up the few rows of an answer takes microseconds, filters are SQL with
parameters, and SQLite comes with Python. The journal is a rollback journal and not a write-ahead log: at rest a gallery
is then plain files, which can be copied, and searched from a read-only disk.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from processing.facts import Facts
from processing.names import comparable
from processing.writing import atomic_file, refuse_links

from ...errors import UserError, no_gallery
from . import followed, moments
from .facts import TABLE as FACTS
from .facts import put_facts, with_writing
from .state import State
from .untrusted import check_database, files_changed_in_place, tables_of
from .words import TABLE as WORDS
from .words import index_words

FILE = "gallery.sqlite"
FOLDER, DATA, HUB = "folder", "data", "hub"
IMAGE, VIDEO = "image", "video"
SECONDS_TO_WAIT = 60.0
# SQLite has 64-bit integers.
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**63 - 1
# The first three as sqlite.org/security.html advises for untrusted files. The last one lets others read until the very
# end of a large change: spilling would lock them out.
SETTINGS = ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "synchronous = FULL", "cache_spill = OFF")
SCHEMA = {
    "state": "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT NOT NULL) STRICT",
    "sources": (
        "CREATE TABLE sources (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, location TEXT NOT NULL UNIQUE) STRICT"
    ),
    "items": (
        # AUTOINCREMENT: the number of an item that was removed, which somebody may still have, is never another's.
        "CREATE TABLE items (number INTEGER PRIMARY KEY AUTOINCREMENT, position INTEGER NOT NULL UNIQUE, "
        "source INTEGER NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, hash TEXT NOT NULL, "
        "size INTEGER NOT NULL, time INTEGER NOT NULL, description TEXT, views INTEGER NOT NULL, "
        "checksum INTEGER NOT NULL, UNIQUE (source, id)) STRICT"
    ),
    "thumbnails": "CREATE TABLE thumbnails (number INTEGER PRIMARY KEY, picture BLOB NOT NULL) STRICT",
    "facts": FACTS,
    "words": WORDS,
    "removed": "CREATE TABLE removed (position INTEGER PRIMARY KEY, views INTEGER NOT NULL) STRICT",
    **moments.SCHEMA,
    "items_by_hash": "CREATE INDEX items_by_hash ON items (hash)",
    **followed.SCHEMA,
}


@dataclass(frozen=True)
class Item:
    """What the catalogue knows about an item.

    Attributes:
        id: Name of the item in its source: the path in a folder, or a row's id.
        path: Path in the source's folder, or the name of the picture's file in a data set.
        kind: `image` or `video`.
        hash: Content hash of the file.
        size: Bytes of the file.
        time: When the file was last changed, in nanoseconds since 1970; 0 if that is not known.
        description: A description by a multimodal model or a person; None if there is none.
        source: Number of the source.
        position: Its index in the store.
        views: Number of its views.
        number: Its key in the catalogue.
        checksum: CRC-32 of its stored views.
    """

    id: str
    path: str
    kind: str
    hash: str
    size: int
    time: int
    description: str | None
    source: int = 0
    position: int = -1
    views: int = 1
    number: int = -1
    checksum: int = 0


COLUMNS = tuple(column.name for column in fields(Item))


class Catalogue:
    """Connections to the catalogue, one for each thread and process, since SQLite connections must not be shared.

    Args:
        folder: The gallery's folder.

    Raises:
        UserError: If there is no gallery, or its catalogue has another form.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE
        if not self.path.is_file():
            raise no_gallery(folder)
        self._local = threading.local()
        with self.reading() as connection:
            self._check_schema(connection)

    @classmethod
    def create(cls, folder: Path, state: State) -> "Catalogue":
        """Make the catalogue of an empty gallery; it appears whole or not at all."""
        connection = sqlite3.connect(":memory:")
        with connection:
            for statement in SCHEMA.values():
                connection.execute(statement)
            connection.execute("INSERT INTO state VALUES (1, ?)", (state.to_json(),))
        with atomic_file(folder / FILE) as part:
            part.write_bytes(connection.serialize())
        connection.close()
        return cls(folder)

    def close(self) -> None:
        """Close this thread's connection; another use opens a new one."""
        if getattr(self._local, "process", None) == os.getpid():
            self._local.connection.close()
            del self._local.process

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """See one state for the whole block: what others write meanwhile is not visible."""
        connection = self._connection()
        if connection.in_transaction:
            yield connection
            return
        with self._plain_errors():
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Change the gallery from one complete state to the next, or not at all if the block raises.

        Raises:
            UserError: If a file that changes would be a link to another one.
        """
        refuse_links(files_changed_in_place(self.folder))
        connection = self._connection()
        with self._plain_errors():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _connection(self) -> sqlite3.Connection:
        if getattr(self._local, "process", None) != os.getpid():
            with self._plain_errors():
                self._local.connection = self._connect()
            self._local.process = os.getpid()
        return self._local.connection

    def _connect(self) -> sqlite3.Connection:
        check_database(self.path)
        # Without `rw` a folder that vanished would come back with an empty catalogue; a link is never written through.
        writable = os.access(self.path, os.W_OK) and not self.path.is_symlink()
        address = f"{self.path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}"
        connection = sqlite3.connect(address, uri=True, timeout=SECONDS_TO_WAIT, isolation_level=None)
        for setting in SETTINGS:
            connection.execute(f"PRAGMA {setting}")
        add_functions(connection)
        return connection

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        schema = dict(connection.execute("SELECT name, sql FROM sqlite_schema").fetchall())
        tables = {name: statement for name, statement in schema.items() if not name.startswith("sqlite_autoindex_")}
        if tables != tables_of(tuple(SCHEMA.values())):
            raise UserError(f"{self.path} is not the catalogue of a gallery of this version; index its pictures again.")

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                message = f"Another process has been writing the gallery {self.folder} for a minute; try again later."
            elif "readonly" in str(error):
                message = f"The gallery {self.folder} is read-only; make a writable copy of it."
            else:
                message = f"The catalogue {self.path} cannot be used: {error}."
            raise UserError(message) from error
        # What SQLite says quotes the file, whatever its bytes are.
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise UserError(f"The catalogue {self.path} is damaged ({error}); index the pictures again.") from error


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that conditions of `leccr.gallery.filters` use."""
    connection.create_function("contains", 2, _contains, deterministic=True)
    connection.create_function("plain", 1, _plain, deterministic=True)


def _contains(text: Any, part: str) -> bool:
    return isinstance(text, str) and part in searchable(text)


def _plain(text: Any) -> Any:
    return comparable(text) if isinstance(text, str) else text


def searchable(text: str) -> str:
    """Return a text in the form in which one contains another whatever their case and Unicode form."""
    return comparable(comparable(text).casefold())


def read_state(connection: sqlite3.Connection, name: str) -> State:
    """Return the state of the gallery `name`."""
    row = connection.execute("SELECT value FROM state").fetchone()
    if row is None:
        raise UserError(f"The catalogue of the gallery {name} is damaged; index its pictures again.")
    return State.from_json(row[0], name)


def write_state(connection: sqlite3.Connection, state: State) -> None:
    """Replace the state."""
    connection.execute("UPDATE state SET value = ?", (state.to_json(),))


def select_items(
    connection: sqlite3.Connection, condition: str, values: Sequence[Any] = (), order: str = "position"
) -> list[Item]:
    """Return the items that satisfy an SQL condition, by default in the order of their positions."""
    columns = ", ".join(COLUMNS)
    rows = connection.execute(f"SELECT {columns} FROM items WHERE {condition} ORDER BY {order}", tuple(values))
    return [Item(*row) for row in rows]


def items_at(connection: sqlite3.Connection, positions: Sequence[int]) -> dict[int, Item]:
    """Return the items at the positions, by position."""
    items: dict[int, Item] = {}
    for start in range(0, len(positions), 500):
        block = positions[start : start + 500]
        marks = ",".join("?" * len(block))
        items |= {item.position: item for item in select_items(connection, f"position IN ({marks})", block)}
    return items


def put_item(connection: sqlite3.Connection, item: Item, thumbnail: bytes | None, facts: Facts | None = None) -> int:
    """Insert an item, or replace the one with the same source and id, and return its number."""
    columns = [name for name in COLUMNS if name != "number"]
    values = [getattr(item, name) for name in columns]
    facts = with_writing(connection, facts, item.source, item.id, item.hash)
    number = connection.execute(
        f"INSERT INTO items ({', '.join(columns)}) VALUES ({','.join('?' * len(values))}) "
        "ON CONFLICT (source, id) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in columns)
        + " RETURNING number",
        values,
    ).fetchone()[0]
    connection.execute("DELETE FROM thumbnails WHERE number = ?", (number,))
    if thumbnail is not None:
        connection.execute("INSERT INTO thumbnails VALUES (?, ?)", (number, thumbnail))
    put_facts(connection, number, facts)
    index_words(connection, number)
    return number


def source_number(connection: sqlite3.Connection, kind: str, location: str) -> int:
    """Return the number of a source; a new source gets one."""
    connection.execute("INSERT OR IGNORE INTO sources (kind, location) VALUES (?, ?)", (kind, location))
    return connection.execute("SELECT number FROM sources WHERE location = ?", (location,)).fetchone()[0]


def sources_of(connection: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    """Return kind and location of each source by its number."""
    rows = connection.execute("SELECT number, kind, location FROM sources ORDER BY number").fetchall()
    if any("\0" in location for _, _, location in rows):
        raise UserError("The catalogue of the gallery is damaged: a source has a NUL in its name; index it again.")
    return {number: (kind, location) for number, kind, location in rows}


def folder_roots(connection: sqlite3.Connection) -> list[str]:
    """Return the locations of the sources that are folders."""
    return [location for kind, location in sources_of(connection).values() if kind == FOLDER]
