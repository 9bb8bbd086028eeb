"""Which rows of an engine are the views of which item: items may have different numbers of views."""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from processing.writing import atomic_file, open_in_place

from ...errors import UserError
from .state import MOST_VIEWS, State

NUMBER = np.dtype("<i8")


class ViewMap:
    """The views of position p are the rows `ends[p - 1]` to `ends[p] - 1`.

    A gallery keeps these 8 bytes an item in a file next to its views, which is mapped into memory, so that opening
    reads one number of it, and an answer a few pages.

    Args:
        ends: For each position the row after its last view, (positions,) int64, ascending.
        most: Most views that an item can have, which bounds what an untrusted file can ask for.
        folder: The gallery's folder, for messages.
    """

    def __init__(self, ends: np.ndarray, most: int, folder: Path = Path()) -> None:
        self.ends = ends
        self.most = most
        self.folder = folder

    @classmethod
    def open(cls, folder: Path, state: State) -> "ViewMap":
        """Map the file of a state.

        Raises:
            UserError: If it is missing or too short, or has another number of views than the state.
        """
        path, positions = map_path(folder, state), state.positions
        stored = path.stat().st_size // NUMBER.itemsize if path.is_file() else 0
        whole = stored >= positions
        ends = np.asarray(np.memmap(path, NUMBER, "r", shape=(positions,))) if positions and whole else empty(0)
        opened = cls(ends, state.view_count, folder)
        if not whole or opened.views != state.views:
            raise opened._damaged()
        return opened

    @property
    def views(self) -> int:
        """Number of views."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def views_before(self, position: int) -> int:
        """Return how many views all positions before this one have."""
        return int(self.ends[position - 1]) if position else 0

    def spans(self, positions: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first row of each position and how many there are, (n,) and (n,).

        Raises:
            UserError: If there are no such positions, or their rows cannot be, as in an untrusted gallery.
        """
        chosen = np.asarray(positions, dtype=np.int64)
        if len(chosen) and not (np.min(chosen) >= 0 and np.max(chosen) < len(self.ends)):
            raise self._damaged()
        starts = np.where(chosen > 0, self.ends[chosen - 1], 0) if len(chosen) else empty(0)
        counts = self.ends[chosen] - starts
        possible = (starts >= 0) & (starts <= self.views) & (counts >= 0) & (counts <= self.most)
        if not (possible & (starts + counts <= self.views)).all():
            raise self._damaged()
        return starts, counts

    def rows_of(self, positions: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of all positions, (R,), and how many each of them has, (n,)."""
        starts, counts = self.spans(positions)
        return np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum()), counts

    def check_counts(self, counts: Mapping[int, int]) -> None:
        """Check how many views some positions have, which the catalogue says, too.

        Args:
            counts: The number of views by position.

        Raises:
            UserError: If a position has another number of views.
        """
        if not np.array_equal(self.spans(list(counts))[1], list(counts.values())):
            raise self._damaged()

    def positions_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the position that each row belongs to."""
        return np.searchsorted(self.ends, rows, side="right")

    def _damaged(self) -> UserError:
        return UserError(
            f"The gallery {self.folder} has items without views, or views without an item; `leccr gallery check "
            f"--repair {self.folder}` repairs this."
        )


def empty(count: int) -> np.ndarray:
    """Return `count` undefined numbers of a map."""
    return np.empty(count, NUMBER)


def map_path(folder: Path, state: State) -> Path:
    """Return the file of the state's map."""
    return folder / f"views-{state.generation}.map"


def append_to_map(folder: Path, state: State, counts: np.ndarray) -> None:
    """Write how many views (n,) each new item has after what the state knows; it overwrites what a killed writer left.

    Readers look no further than their state says.
    """
    with open_in_place(map_path(folder, state)) as file:
        file.truncate(state.positions * NUMBER.itemsize)
        file.seek(0, os.SEEK_END)
        file.write((state.views + np.cumsum(counts)).astype(NUMBER).tobytes())
        file.flush()
        os.fsync(file.fileno())


def write_map(folder: Path, state: State, counts: np.ndarray) -> None:
    """Write the whole map again, from the numbers of views of all positions."""
    with atomic_file(map_path(folder, state)) as part:
        part.write_bytes(np.cumsum(counts).astype(NUMBER).tobytes())


def fits_catalogue(connection: sqlite3.Connection, folder: Path, state: State) -> bool:
    """Return whether the map says the same as the catalogue, which is the one to believe."""
    counts = recorded_counts(connection)
    try:
        ends = ViewMap.open(folder, state).ends
    except UserError:
        return False
    return bool(np.array_equal(np.cumsum(counts), ends) and counts.max(initial=0) <= state.view_count)


def recorded_counts(connection: sqlite3.Connection) -> np.ndarray:
    """Return how many views each position has by the catalogue, those of removed items included."""
    query = "SELECT position, views FROM items UNION ALL SELECT position, views FROM removed ORDER BY position"
    views = [row[1] for row in connection.execute(query)]
    # An item whose number cannot be gets the wrong views, which its checksum shows.
    return np.clip(np.array(views, dtype=np.int64), 0, MOST_VIEWS)
