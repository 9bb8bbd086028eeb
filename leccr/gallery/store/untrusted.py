"""What is looked at before SQLite opens the catalogue of a gallery that may come from elsewhere."""

from pathlib import Path

from processing.writing import refuse_links

from ...errors import UserError

CHANGED_IN_PLACE = ("gallery.sqlite", "views-", "hnsw-", "ivfpq-", "descriptions.jsonl")
HEADER, VERSIONS = b"SQLite format 3\0", slice(18, 20)
ROLLBACK_JOURNAL = b"\1\1"
# At the end of a journal that belongs to a transaction over several databases, whose common file SQLite would delete.
NAMES_ANOTHER_FILE = bytes.fromhex("d9d505f920a163d7")


def files_changed_in_place(folder: Path) -> list[Path]:
    """Return the files of a gallery that are written to where they are, and not replaced as a whole."""
    return sorted(path for path in folder.iterdir() if path.name.startswith(CHANGED_IN_PLACE) or path.suffix == ".db")


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


def _ending(journal: Path) -> bytes:
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - len(NAMES_ANOTHER_FILE)))
        return file.read()
