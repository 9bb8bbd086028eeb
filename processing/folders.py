"""Walking through a folder so that what cannot be read is named and not passed over."""

import os
from collections.abc import Iterator
from pathlib import Path


def walk_files(
    root: Path, problems: list[tuple[str, str]], follow_links: bool = True, hidden: bool = False
) -> Iterator[Path]:
    """Yield all files below a folder, sorted within each folder.

    Each folder is entered once, so that loops of links end.

    Args:
        root: The folder.
        problems: Gets the folders that cannot be read, or vanish meanwhile, and why.
        follow_links: Whether to enter folders that are links.
        hidden: Whether to include files and folders whose names begin with a dot.
    """
    entered: set[tuple[int, int]] = set()

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
        folders[:] = sorted(name for name in folders if hidden or not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if hidden or not name.startswith("."))
