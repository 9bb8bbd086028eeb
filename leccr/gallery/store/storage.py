"""Where views are kept: in a file next to the catalogue, or on a Milvus server. Both follow the catalogue's state."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np

from ...errors import missing_extra
from .ranking import Engine
from .state import Approximation, State
from .view_map import append_to_map

# The library of each engine, the extra that installs it, and what needs it.
LIBRARIES = {
    "faiss": ("faiss", "gallery", "A gallery"),
    "milvus": ("pymilvus", "milvus", "A gallery on a Milvus server"),
}


class Storage(Protocol):
    """Keeps views. A writer calls it inside a transaction, before the new state is written."""

    def append(self, state: State, views: np.ndarray, counts: np.ndarray) -> list[int]:
        """Store the views (R, D) of the n items after the state's last, and return checksums of what is stored.

        It overwrites what a killed writer left.

        Args:
            state: The state so far.
            views: Those of all items, one item after the other.
            counts: How many views each item has, (n,).
        """

    def forget(self, state: State, positions: Sequence[int]) -> None:
        """Free what removed items used, once the catalogue has forgotten them; searches skip what is left."""

    def engine(self, state: State, approximate: bool = True) -> Engine:
        """Return what searches the views of a state."""

    def approximate(self, state: State, kind: str) -> Approximation:
        """Build an approximate index over the views of a state, and measure its recall."""

    def make_exact(self, state: State) -> None:
        """Let the views be searched exactly again."""

    def checksums(self, state: State, positions: Sequence[int]) -> list[int]:
        """Return checksums of what is stored; those of missing positions match nothing."""

    def discard(self, state: State) -> None:
        """Drop the views of a state that was replaced by one with another storage."""


class FileStorage:
    """Views in the gallery's folder, searched with FAISS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, state: State, views: np.ndarray, counts: np.ndarray) -> list[int]:
        """Write after the last views that the state knows, and flush."""
        from .vectors import append_codes, encode_views

        append_to_map(self.folder, state, counts)
        return append_codes(self.folder, state, encode_views(state, views), counts)

    def forget(self, state: State, positions: Sequence[int]) -> None:
        """Do nothing: closing the gaps frees the space of many together."""

    def engine(self, state: State, approximate: bool = True) -> Engine:
        """Map the state's files into memory."""
        from .faiss_engine import FaissEngine

        return FaissEngine(self.folder, state, approximate)

    def approximate(self, state: State, kind: str) -> Approximation:
        """Write the index to a separate file."""
        from .faiss_engine import build_approximation

        return build_approximation(self.folder, state, kind)

    def make_exact(self, state: State) -> None:
        """Do nothing: the index is a file that the new state does not name."""

    def checksums(self, state: State, positions: Sequence[int]) -> list[int]:
        """Return the CRC-32 of the stored codes, and −1 beyond the end of the file."""
        from .vectors import checksums

        return checksums(self.folder, state, positions)

    def discard(self, state: State) -> None:
        """Do nothing: files that the new state does not name are leftovers, which are removed."""


def check_installed(engine: str) -> None:
    """Raise UserError if the library of an engine is not installed: to be called before anything is done."""
    library, extra, purpose = LIBRARIES[engine]
    if find_spec(library) is None:
        raise missing_extra(extra, purpose)


def open_storage(folder: Path, state: State) -> Storage:
    """Return the storage of a gallery."""
    if state.engine == "milvus":
        from .milvus import MilvusStorage

        return MilvusStorage(folder, state)
    return FileStorage(folder)
