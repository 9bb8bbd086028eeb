"""Where views are kept: in a file beside the catalogue, or on a Milvus server. Both follow the catalogue's state."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .ranking import Array, Engine
from .state import Approximation, State


class Storage(Protocol):
    """Keeps views. A writer calls it inside of a transaction, before the new state is written."""

    def append(self, state: State, views: Array) -> list[int]:
        """Store the views (n, K, D) of the positions behind the state's last; return checksums of what is stored.

        What a writer that was killed left there is overwritten.
        """

    def forget(self, state: State, positions: Sequence[int]) -> None:
        """Free what removed items used, once the catalogue has forgotten them; searches pass over what is left."""

    def engine(self, state: State, approximate: bool = True) -> Engine:
        """Return what searches the views of a state."""

    def approximate(self, state: State, kind: str) -> Approximation:
        """Build an approximate index over the views of a state, and measure its recall."""

    def make_exact(self, state: State) -> None:
        """Let the views be searched exactly again."""

    def checksums(self, state: State, positions: Sequence[int]) -> list[int]:
        """Return checksums of what is stored; those of positions that are not there fit nothing."""

    def discard(self, state: State) -> None:
        """Give up the views of a state that was replaced by one with another storage."""


class FileStorage:
    """Views in the gallery's folder, searched with FAISS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, state: State, views: Array) -> list[int]:
        """Write behind the last views that the state knows, and flush."""
        from .vectors import append_codes, encode_views

        return append_codes(self.folder, state, encode_views(state, views))

    def forget(self, state: State, positions: Sequence[int]) -> None:
        """Do nothing: compacting frees the space of many at once."""

    def engine(self, state: State, approximate: bool = True) -> Engine:
        """Map the state's files into memory."""
        from .faiss_engine import FaissEngine

        return FaissEngine(self.folder, state, approximate)

    def approximate(self, state: State, kind: str) -> Approximation:
        """Write the index to a file of its own."""
        from .faiss_engine import build_approximation

        return build_approximation(self.folder, state, kind)

    def make_exact(self, state: State) -> None:
        """Do nothing: the index is a file that the new state does not name."""

    def checksums(self, state: State, positions: Sequence[int]) -> list[int]:
        """Return the CRC-32 of the stored codes, and −1 beyond the end of the file."""
        from .vectors import Views, stored_positions

        there = min(state.positions, stored_positions(self.folder, state))
        views = Views(self.folder, dataclasses.replace(state, positions=there, approximation=None))
        found = iter(views.checksums([position for position in positions if position < there]))
        return [next(found) if position < there else -1 for position in positions]

    def discard(self, state: State) -> None:
        """Do nothing: files that the new state does not name are leftovers, which are removed."""


def open_storage(folder: Path, state: State) -> Storage:
    """Return the storage of a gallery."""
    if state.engine == "milvus":
        from .milvus import MilvusStorage

        return MilvusStorage(folder, state)
    return FileStorage(folder)
