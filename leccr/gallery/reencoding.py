"""Views that are damaged are computed again from the files of their items."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from processing.names import stored_path

from ..models.encoder import Encoder
from .add import Adder
from .results import existing_file, file_of
from .sources import files_source
from .store.catalogue import Catalogue, Item, read_state, select_items, sources_of
from .store.maintenance import remove_items
from .store.moments import with_whole_videos
from .store.storage import open_storage


def encode_again(catalogue: Catalogue, encoder: Encoder, damaged: Sequence[Item]) -> list[Item]:
    """Encode the files of damaged items again; items without a readable file are removed, and returned.

    Args:
        catalogue: The gallery's catalogue.
        encoder: Its model.
        damaged: Items whose views cannot be used.
    """
    with catalogue.reading() as connection:
        state, sources = read_state(connection, str(catalogue.folder)), sources_of(connection)
    storage = open_storage(catalogue.folder, state)
    files: dict[str, dict[Path, None]] = {}
    descriptions = {}
    with catalogue.reading() as connection:
        # A video is encoded again with all its shots.
        numbers = with_whole_videos(connection, [item.number for item in damaged])
        everything = [item for number in numbers for item in select_items(connection, "number = ?", [number])]
    for item in everything:
        file, location = existing_file(file_of(item, sources), item.path), sources.get(item.source, ("", ""))[1]
        if file is not None:
            files.setdefault(location, {})[file] = None
            if item.description is not None:
                descriptions[f"{location}/{item.id}"] = item.description
    with catalogue.writing() as connection:
        # A file that was cut off gets its length back.
        storage.append(state, np.empty((0, state.width), np.float32), np.empty(0, np.int64))
        # No file has an empty hash, so that all of them count as changed.
        connection.executemany(
            "UPDATE items SET hash = '', time = 0 WHERE number = ?", [(number,) for number in numbers]
        )
    for root, paths in files.items():
        Adder(catalogue, storage, encoder).add(files_source(list(paths), [root], stored_path(root)), descriptions)
    with catalogue.reading() as connection:
        lost = select_items(connection, "hash = ''")
    if lost:
        remove_items(catalogue, [item.number for item in lost])
    return lost
