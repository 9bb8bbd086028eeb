"""Where items come from: a folder of photos and videos, files, a prepared data set, or one of the Hub."""

from collections.abc import Sequence
from pathlib import Path

from hub_card.names import is_repository
from processing.storage import SHARD_NAME

from ..errors import UserError
from .candidates import Source
from .data_sources import data_source, hub_source
from .folder_sources import files_source, folder_source


def open_source(name: str, split: str | None = None, roots: Sequence[str] = ()) -> Source:
    """Open a folder, a file, a prepared data set or a data set of the Hub.

    Args:
        name: Path or Hub name.
        split: Split of a data set; None means all.
        roots: Folders that the gallery has already; what lies in one of them belongs to it.

    Raises:
        UserError: If there is nothing of this name, or nothing to index in it.
    """
    path = Path(name)
    if path.is_dir():
        if any(SHARD_NAME.fullmatch(entry.name) for entry in path.iterdir()):
            return data_source(path, split)
        return folder_source(path, roots)
    if path.exists():
        return files_source([path], roots)
    if is_repository(name):
        return hub_source(name, split)
    raise UserError(f"There is no folder, file or data set {name}.")
