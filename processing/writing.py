"""Writing files and folders so that they appear whole or not at all, even if the process or the machine stops."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Give a path to write to, whose file replaces `path` when the block ends without an error.

    The path is in the same folder, which is created if need be. Its name begins with a dot, and it has the same
    ending, because some libraries choose the format by it.

    Args:
        path: The file to write.

    Yields:
        Path of an empty file next to it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_path(path)
    # The file of an earlier run that was stopped may have another mode.
    part.unlink(missing_ok=True)
    part.touch()
    mode = part.stat().st_mode
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
    shutil.rmtree(part, ignore_errors=True)
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


def part_path(path: Path) -> Path:
    """Return where the new content of a file or folder is kept until it is whole."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


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
    probe = part_path(folder / "mode")
    probe.touch()
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
