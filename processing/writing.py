"""Writing files and folders so that they appear whole or not at all, even if the process or the machine stops.

Nothing here writes through a link: a folder that came from elsewhere may hold links to any file under the names that
are written next. Whole files replace a link, and what is changed in place has to be a regular file of its own.
"""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .errors import UserError

# Windows has no such flag, and lets only administrators make links.
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Give a path to write to, whose file replaces `path` when the block ends without an error.

    The path is in the same folder, which is created if need be. Its name begins with a dot, and it has the same
    ending, because some libraries choose the format by it. A terminal or a pipe is written to when the block ends.

    Args:
        path: The file to write.

    Yields:
        Path of an empty file next to it.
    """
    path = Path(path)
    if is_device(path):
        with tempfile.TemporaryDirectory(prefix="leccr-") as folder:
            part = Path(folder, path.name)
            part.touch()
            yield part
            with path.open("wb") as device:
                device.write(part.read_bytes())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = new_part(path)
    mode = part.stat().st_mode & 0o777
    try:
        yield part
        # Some libraries put a file of their own in its place, readable by its owner only.
        part.chmod(mode)
        publish_file(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder to fill, which becomes `path` when the block ends without an error.

    Args:
        path: The new folder; an empty one may exist.

    Yields:
        Path of an empty folder next to it, whose name begins with a dot.

    Raises:
        OSError: If `path` is a file or holds files when the block ends.
    """
    path = Path(path).absolute()
    part = part_path(path)
    _remove(part)
    part.mkdir(parents=True)
    try:
        yield part
        follow_umask(part)
        for below in part.rglob("*"):
            _flush(below)
        if path.exists():
            path.rmdir()
        part.rename(path)
        _flush(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def atomic_files(folder: str | Path, last: str) -> Iterator[Path]:
    """Give an empty folder to fill, whose files move into `folder` when the block ends without an error.

    Other files there stay; those of the same names are replaced.

    Args:
        folder: The folder, which is made if need be.
        last: Name of the file by which others see that the folder is complete; it is removed first and appears last.

    Yields:
        Path of an empty folder in it, whose name begins with a dot.
    """
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / ".files.part"
    _remove(part)
    try:
        with atomic_folder(part / "whole") as filling:
            yield filling
        written = sorted(path.relative_to(part / "whole") for path in (part / "whole").rglob("*") if path.is_file())
        (folder / last).unlink(missing_ok=True)
        for name in sorted(written, key=lambda name: name == Path(last)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (part / "whole" / name).replace(folder / name)
        _flush(folder)
    finally:
        _remove(part)


def part_path(path: Path) -> Path:
    """Return where the new content of a file or folder is kept until it is whole."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


def new_part(path: Path) -> Path:
    """Make the empty file in which the new content of a file is kept until it is whole, and return its path.

    What an earlier run left, or somebody prepared, under its name is removed: it may have another mode, or be a link.
    """
    part = part_path(path)
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o666))
    return part


def open_in_place(path: Path) -> BinaryIO:
    """Open a file for reading and changing it where it is, which is made if need be; the position is its start.

    Raises:
        UserError: If there is something else under its name, such as a link to another file.
    """
    refuse_links([path])
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW | getattr(os, "O_BINARY", 0), 0o666)
    return os.fdopen(descriptor, "r+b")


def own_folder(path: Path) -> Path:
    """Make a folder in a folder of ours, unless there is one, and return it.

    Raises:
        UserError: If it is a link, or a file.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UserError(f"{path} is a link or a file instead of a folder, and nothing is written into it; remove it.")
    path.mkdir(exist_ok=True)
    return path


def refuse_links(paths: Iterable[Path]) -> None:
    """Refuse to change files in place that would change another one with them.

    Args:
        paths: Files; those that do not exist are all right.

    Raises:
        UserError: If one is a symbolic link, has a second name, or is not a regular file.
    """
    for path in paths:
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise UserError(
                f"{path} is a link to another file, or not a regular file, and nothing is written through it; copy the "
                "folder with its files (cp -rL)."
            )


def refuse_links_below(folder: Path) -> None:
    """Refuse a folder that has a link in it, before a library writes there that would follow it.

    Raises:
        UserError: If there is a link, or something that is neither file nor folder, at any depth.
    """
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent, name) for name in sorted([*folders, *names])):
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise UserError(
                    f"{path} is a link, or not a regular file, and nothing is written through it; remove it."
                )


def publish_file(part: Path, path: Path) -> None:
    """Put a file that is written to its end in the place of another in the same folder, which need not exist."""
    _flush(part)
    part.replace(path)
    _flush(path.parent)


def follow_umask(folder: Path) -> None:
    """Give all files in a folder the mode of new files: safetensors makes its own readable by their owner only."""
    mode = _new_file_mode(folder)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file so that it appears whole or not at all."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write an indented JSON file so that it appears whole or not at all.

    Raises:
        TypeError: If the content cannot be written as JSON.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _new_file_mode(folder: Path) -> int:
    """Return the mode of a new file in a folder; asking for the umask itself would change it for all threads."""
    probe = new_part(folder / "mode")
    try:
        return probe.stat().st_mode & 0o777
    finally:
        probe.unlink()


def _flush(path: Path) -> None:
    """Return when a file's content, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        # Windows opens no folders.
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_device(path: Path) -> bool:
    """Return whether a path is a terminal, a pipe or the like, which is written to and not replaced.

    Links to one are not, but for those of the system itself, such as `/dev/stdout`.
    """
    if path.parent == Path("/dev"):
        return path.exists() and not path.is_dir()
    return os.path.lexists(path) and stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFIFO, stat.S_IFCHR)


def _remove(folder: Path) -> None:
    """Remove a folder and all below it, or a link of that name."""
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
