"""Which files of a folder may be published: regular ones that are below it, and not what links lead to."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def own_files(folder: Path, below: bool = False) -> tuple[list[str], list[str]]:
    """Return the names of a folder's regular files, and of everything else in it, each with the reason.

    A folder that came from elsewhere may have a link to any file of this machine, which would be published.

    Args:
        folder: The folder, which may be a link itself.
        below: Also look into the folders in it.

    Returns:
        Names with `/` between their parts, sorted.
    """
    files, others = [], []
    for path, name in _entries(folder, Path(), below):
        problem = _problem(path, below)
        if problem is None:
            files.append(name)
        else:
            others.append(f"{name}{problem}")
    return files, others


def is_own_file(path: Path) -> bool:
    """Return whether a path is a regular file, and no link to one."""
    return not path.is_symlink() and path.is_file()


def _entries(folder: Path, start: Path, below: bool) -> Iterator[tuple[Path, str]]:
    for entry in sorted(os.scandir(folder / start), key=lambda entry: entry.name):
        relative = start / entry.name
        if below and entry.is_dir(follow_symlinks=False):
            yield from _entries(folder, relative, below)
        else:
            yield folder / relative, relative.as_posix()


def _problem(path: Path, below: bool) -> str | None:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return " (its name is not valid text)"
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return " (a link; a copy made with cp -rL has its content)"
    if stat.S_ISDIR(mode):
        return None if below else "/"
    return None if stat.S_ISREG(mode) else " (no regular file)"
