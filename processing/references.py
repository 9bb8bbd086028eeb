"""Which files of this machine the rows of a data set may refer to.

A data set from elsewhere may name any picture of its reader, which would then be shown, described or published. So rows
may name files in the folder of their data set, and others only if they were written here: `write_rows` notes the
folders that its rows refer to, signed with a key that only this user has.
"""

import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow.compute as compute
from datasets import Dataset, Image

from .errors import UserError
from .names import stored_path
from .notes import note
from .screen import shown
from .writing import write_json

NOTE_FILE = ".references.json"
ROOTS = "LECCR_ROOTS"
_KEY_BYTES = 32
_LONGEST_NOTE = 2**24


def check_references(
    rows: Dataset, own: Iterable[str | Path], file_of: Callable[[int], str], noted: frozenset[str] = frozenset()
) -> None:
    """Check that rows refer to no files but those of their data set, of its writer, and of folders that the user named.

    Args:
        rows: Rows, pictures undecoded.
        own: Folders of the data set.
        file_of: Returns, for a row's index, the file that it is in.
        noted: What `noted_folders` returned.

    Raises:
        UserError: If a row refers to another file; the message names the row and the file that it is in.
    """
    named = filter(None, os.environ.get(ROOTS, "").split(os.pathsep))
    roots = [os.path.realpath(folder) for folder in (*own, *named)]
    real: dict[str, str] = {}
    for index, path in _references(rows):
        parent = os.path.dirname(path)
        if parent in noted:
            continue
        try:
            file = str(stored_path(path))
            parent = os.path.dirname(file)
            if parent not in real:
                real[parent] = os.path.realpath(parent)
            target = os.path.join(real[parent], os.path.basename(file))
            if os.path.basename(file) == os.pardir or os.path.islink(target):
                target = os.path.realpath(target)
            is_inside = any(Path(target).is_relative_to(root) for root in roots)
        except ValueError:
            # There is a NUL in it.
            is_inside = False
        if not is_inside:
            name = rows[index]["id"] if "id" in rows.column_names else index
            raise UserError(
                f"Row {name!r} of {file_of(index)} refers to {shown(path)}, which is not in the data set's "
                f"folder; put it there, or, if the data may use your files, name their folder in the variable {ROOTS}."
            )


def _references(rows: Dataset) -> Iterator[tuple[int, str]]:
    """Yield the index of each row that refers to a file, and the file's path."""
    names = [name for name, kind in rows.features.items() if isinstance(kind, Image) or name == "video"]
    if not names:
        return
    table = rows.select_columns(names).with_format("arrow")[:]
    for name in names:
        paths = table[name]
        if isinstance(rows.features[name], Image):
            content, paths = compute.struct_field(paths, "bytes"), compute.struct_field(paths, "path")
            # What is embedded has the name that it once had.
            paths = compute.if_else(compute.is_null(content), paths, None)
        yield from ((index, path) for index, path in enumerate(paths.to_pylist()) if path)


def noted_folders(folder: str | Path) -> frozenset[str]:
    """Return the folders that the rows of a data set may refer to, since they were written here.

    Args:
        folder: The data set.
    """
    path = Path(folder) / NOTE_FILE
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LONGEST_NOTE:
            return frozenset()
        content = json.loads(path.read_bytes())
        folders, signature = content["folders"], content["signature"]
        key = _key_file().read_bytes()
        is_ours = len(key) == _KEY_BYTES and hmac.compare_digest(_signature(key, folders), signature)
        return frozenset(folders) if is_ours else frozenset()
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, RecursionError):
        return frozenset()


def note_folders(folder: Path, folders: Iterable[str]) -> None:
    """Note next to a data set which folders its rows refer to, besides those that are noted already.

    Args:
        folder: The data set.
        folders: Absolute paths, as the rows have them.
    """
    added = set(folders)
    if not added:
        return
    together = sorted(added | noted_folders(folder))
    try:
        write_json(folder / NOTE_FILE, {"folders": together, "signature": _signature(_made_key(), together)})
    except (OSError, RuntimeError) as error:
        # There may be no home, or none that can be written.
        note(
            f"Note: it cannot be noted that the rows refer to your files ({error}); name their folders in the variable "
            f"{ROOTS} when you use the data."
        )


def _signature(key: bytes, folders: list[str]) -> str:
    return hmac.new(key, json.dumps(folders).encode(), hashlib.sha256).hexdigest()


def _key_file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "leccr", "key")


def _made_key() -> bytes:
    path = _key_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
    except FileExistsError:
        pass
    return path.read_bytes()
