"""Photos and videos of a folder, and single files of them."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import UserError
from .candidates import ENDINGS, Candidate, Source, kind_of, read_descriptions
from .store.catalogue import FOLDER


def folder_source(folder: Path, roots: Sequence[str] = ()) -> Source:
    """Return all photos and videos below a folder, in the order of their paths.

    Links are followed, each folder is entered once, so that loops end, and what lies outside of the folder is left out:
    a gallery reads nothing but what is below its roots.

    Raises:
        UserError: If there are none.
    """
    real = folder.resolve()
    files = sorted(_walk(real))
    if not files:
        raise UserError(f"{folder} holds no photos or videos; known endings are {ENDINGS}.")
    return files_source(files, roots, real)


def _walk(root: Path) -> Iterator[Path]:
    entered: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(root, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and kind_of(name) is not None:
                yield Path(parent, name)


def files_source(files: Sequence[Path], roots: Sequence[str] = (), root: Path | None = None) -> Source:
    """Return some files as a source.

    Args:
        files: Photos and videos.
        roots: Folders that the gallery has already; what lies in one of them belongs to it.
        root: Folder that the others belong to; their own by default.

    Raises:
        UserError: If a file is no photo or video by its ending.
    """
    for file in files:
        if kind_of(file) is None:
            raise UserError(f"{file} is no photo or video; known endings are {ENDINGS}.")
    start = root or files[0].parent.resolve()
    descriptions = {place: read_descriptions(Path(place)) for place in {*roots, str(start)}}
    found, left_out = [], []
    for file in files:
        path = file if root else start / file.name
        place = next((place for place in roots if path.is_relative_to(place)), str(start))
        problem = _unreadable(path, Path(place))
        if problem:
            left_out.append((str(path), problem))
            continue
        name = path.relative_to(place).as_posix()
        description = descriptions[place].get(name)
        if description is None and path.is_relative_to(start):
            description = descriptions[str(start)].get(path.relative_to(start).as_posix())
        found.append(Candidate(place, name, name, str(kind_of(path)), description, path))
    return Source(FOLDER, str(start), len(found), lambda begin, end: found[begin:end], left_out)


def _unreadable(path: Path, root: Path) -> str | None:
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root):
            return f"it is a link that leads out of {root}; add the folder that it leads to"
        if not stat.S_ISREG(real.stat().st_mode):
            return "it is no plain file"
    except (OSError, RuntimeError) as error:
        return f"it cannot be read: {getattr(error, 'strerror', None) or error}"
    return None
