"""What is looked at before the catalogue of a gallery that may come from elsewhere is opened and believed."""

import os
import sqlite3
from functools import cache
from pathlib import Path

from processing.writing import refuse_links

from ...errors import UserError
from .state import State

CHANGED_IN_PLACE = ("gallery.sqlite", "views-", "hnsw-", "ivfpq-", "descriptions.jsonl")
HEADER, VERSIONS = b"SQLite format 3\0", slice(18, 20)
ROLLBACK_JOURNAL = b"\1\1"
# At the end of a journal that belongs to a transaction over several databases, whose common file SQLite would delete.
NAMES_ANOTHER_FILE = bytes.fromhex("d9d505f920a163d7")


def files_changed_in_place(folder: Path) -> list[Path]:
    """Return the files of a gallery that are written to where they are, and not replaced as a whole.

    Milvus Lite keeps its database in a folder: all that is in there counts, but for the folders themselves.
    """
    own = [path for path in folder.iterdir() if path.name.startswith(CHANGED_IN_PLACE) or path.suffix == ".db"]
    return sorted(file for path in own for file in (_files_below(path) if _is_folder(path) else [path]))


def _files_below(folder: Path) -> list[Path]:
    below = [Path(parent, name) for parent, folders, names in os.walk(folder) for name in [*folders, *names]]
    return [path for path in below if not _is_folder(path)]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def check_database(path: Path) -> None:
    """Refuse a catalogue with which SQLite would touch other files than the catalogue and its journal.

    Raises:
        UserError: If its journal names another file, or it wants other kinds of journal.
    """
    journal = path.with_name(f"{path.name}-journal")
    try:
        with path.open("rb") as file:
            header = file.read(VERSIONS.stop)
        refuse_links([journal])
        ending = _ending(journal) if journal.is_file() else b""
    except OSError as error:
        raise UserError(f"The catalogue {path} cannot be read: {error.strerror}.") from error
    if ending == NAMES_ANOTHER_FILE:
        raise UserError(f"The journal {journal} was not written by leccr, as it names another file; remove it.")
    if header.startswith(HEADER) and header[VERSIONS] != ROLLBACK_JOURNAL:
        raise UserError(f"{path} is not the catalogue of a gallery of this version; index its pictures again.")


@cache
def tables_of(statements: tuple[str, ...]) -> dict[str, str]:
    """Return the statement that made each table that some statements make; a virtual table has tables of its own."""
    connection = sqlite3.connect(":memory:")
    for statement in statements:
        connection.execute(statement)
    tables = dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql NOT NULL").fetchall())
    connection.close()
    return tables


def position_problems(connection: sqlite3.Connection, state: State) -> list[str]:
    """Return how the positions of items and removed items disagree with the state, of which they have to fill all.

    Args:
        connection: A connection to the catalogue.
        state: The state that it has.
    """
    problems = []
    items, removed, lowest, highest = connection.execute(
        "SELECT (SELECT count(*) FROM items), (SELECT count(*) FROM removed), "
        "min(coalesce((SELECT min(position) FROM items), 0), coalesce((SELECT min(position) FROM removed), 0)), "
        "max(coalesce((SELECT max(position) FROM items), -1), coalesce((SELECT max(position) FROM removed), -1))"
    ).fetchone()
    both = connection.execute("SELECT count(*) FROM removed JOIN items USING (position)").fetchone()[0]
    if items != state.items:
        problems.append(f"there are {items} items and not {state.items}")
    if items + removed != state.positions or both or lowest < 0 or highest >= state.positions:
        problems.append(f"{items} items and {removed} removed ones do not fill {state.positions} positions")
    return problems


def _ending(journal: Path) -> bytes:
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - len(NAMES_ANOTHER_FILE)))
        return file.read()
