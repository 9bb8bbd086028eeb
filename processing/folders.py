"""Walking through a folder so that what cannot be read is named and not passed over."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk_files(
    root: Path,
    problems: list[tuple[str, str]],
    follow_links: bool = True,
    hidden: bool = False,
    keeps: Callable[[Path, bool], bool] | None = None,
) -> Iterator[Path]:
    """Yield all files below a folder, sorted within each folder.

    Each folder is entered once, so that loops of links end.

    Args:
        root: The folder.
        problems: Gets the folders that cannot be read, or vanish meanwhile, and why.
        follow_links: Whether to enter folders that are links.
        hidden: Whether to include files and folders whose names begin with a dot.
        keeps: Gets a path, and whether it is a folder, and tells whether to include it, in place of `hidden`.
    """
    entered: set[tuple[int, int]] = set()
    included = keeps or (lambda path, is_folder: hidden or not path.name.startswith("."))

    def refused(error: OSError) -> None:
        problems.append((str(error.filename or root), f"the folder cannot be read: {error.strerror or error}"))

    for parent, folders, names in os.walk(root, onerror=refused, followlinks=follow_links):
        try:
            status = os.stat(parent)
        except OSError as error:
            folders.clear()
            refused(error)
            continue
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in sorted(folders) if included(Path(parent, name), True)]
        yield from (path for path in (Path(parent, name) for name in sorted(names)) if included(path, False))


def file_identity(file: Path) -> tuple[int, int] | None:
    """Return what all names of a file have in common; None if there is no such file."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino
