"""Whether a file or a folder can be written, found out before the work whose result it is to hold."""

import errno
import os
import tempfile
from pathlib import Path

from .errors import UserError
from .writing import is_device

# Bytes of a name, with room for what is added while it is being written.
LONGEST_NAME = 240


def check_writable(path: str | Path, folder: bool = False) -> None:
    """Check that a file or a folder can be written, before the work whose result it is to hold.

    Nothing is left behind: folders that are missing are not made, and an existing file is not opened.

    Args:
        path: The file or folder.
        folder: Whether it is a folder.

    Raises:
        UserError: If it, or what is above it, is of another kind, read-only, on a full disk, or not ours to write.
    """
    if "\0" in str(path):
        raise UserError(f"{path} has a NUL in it, which no name can have; choose another one.")
    path = Path(path).absolute()
    try:
        if len(os.fsencode(path.name)) > LONGEST_NAME:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if not folder and path.is_dir():
            raise UserError(f"{path} is a folder; name a file to write.")
        existing = next(above for above in ([path] if folder else []) + list(path.parents) if os.path.lexists(above))
        if not existing.is_dir():
            if existing == path:
                raise UserError(f"{path} is a file; name a folder to write.")
            raise UserError(f"{existing} is a file, so nothing can be written below it; choose another folder.")
        if folder or not is_device(path):
            _probe(existing)
    except OSError as error:
        raise UserError(f"Nothing can be written to {path}: {reason_of(error)}.") from error


def reason_of(error: OSError) -> str:
    """Return in a few words why the system refused something."""
    words = error.strerror or str(error)
    return words[:1].lower() + words[1:]


def _probe(folder: Path) -> None:
    """Write a little into a folder and remove it again."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".leccr-", suffix=".part") as file:
        file.write(bytes(4096))
        file.flush()
        os.fsync(file.fileno())
