"""Views on disk: one file of fixed-size codes, memory-mapped, that FAISS searches in place."""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from processing.writing import open_in_place

from ...errors import UserError, missing_extra
from .state import State
from .view_map import ViewMap

try:
    import faiss
except ImportError as error:
    raise missing_extra("gallery", "A gallery") from error

# Views encoded, copied or compared per step.
BLOCK = 2**16
MARGIN = 0.1


def empty_index(state: State) -> Any:
    """Return the FAISS index of the state's number format, without rows."""
    if state.dtype == "fp32":
        return faiss.IndexFlatIP(state.width)
    kinds = {"fp16": faiss.ScalarQuantizer.QT_fp16, "int8": faiss.ScalarQuantizer.QT_8bit}
    index = faiss.IndexScalarQuantizer(state.width, kinds[state.dtype], faiss.METRIC_INNER_PRODUCT)
    if state.ranges is not None:
        faiss.copy_array_to_vector(np.asarray(state.ranges, dtype=np.float32), index.sq.trained)
    index.is_trained = True
    return index


def learn_ranges(views: np.ndarray) -> tuple[float, ...]:
    """Return the range of each number over the views (rows, D), with room for later views, as int8 needs it."""
    lowest, highest = views.min(axis=0), views.max(axis=0)
    room = MARGIN * (highest - lowest)
    return tuple(np.concatenate([lowest - room, highest - lowest + 2 * room]).astype(np.float32).tolist())


class Views:
    """The views of a gallery at one state: rows of codes in a file, and the map that says whose they are.

    Args:
        folder: The gallery's folder.
        state: Its state.

    Raises:
        UserError: If the file is missing or too short.
    """

    def __init__(self, folder: Path, state: State) -> None:
        self.state = state
        self.path = views_path(folder, state)
        self.view_map = ViewMap.open(folder, state)
        self.codec = empty_index(state)
        rows, size = state.views, self.codec.sa_code_size()
        stored = self.path.stat().st_size if self.path.is_file() else 0
        if stored < rows * size:
            raise UserError(
                f"{self.path} should have {rows * size} bytes or more, but has {stored}; `leccr gallery check --repair "
                f"{folder}` repairs this."
            )
        shape = (rows, size)
        codes = np.memmap(self.path, np.uint8, "r", shape=shape) if rows else np.empty(shape, np.uint8)
        # An array of the plain class, because each look at the other costs microseconds.
        self.codes = np.asarray(codes)

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return rows as float32 (n, D)."""
        if self.state.dtype == "fp32":
            # The codes are the numbers; FAISS would copy them once more.
            return self.codes[rows].view(np.float32)
        return self.codec.sa_decode(np.ascontiguousarray(self.codes[rows]))

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the views (R, D) at the positions, float32, one position after the other, and the counts (n,) of each.

        Raises:
            UserError: If there are no such positions, as an untrusted catalogue may say.
        """
        rows, counts = self.view_map.rows_of(positions)
        return self.rows(rows), counts


def views_path(folder: Path, state: State) -> Path:
    """Return the file of the state's views."""
    return folder / f"views-{state.generation}.{state.dtype}"


def checksums(folder: Path, state: State, positions: Sequence[int]) -> list[int]:
    """Return the CRC-32 of the stored views at each position, and −1 for views beyond the end of the file."""
    path, size = views_path(folder, state), empty_index(state).sa_code_size()
    stored = min(state.views, path.stat().st_size // size if path.is_file() else 0)
    codes = np.memmap(path, np.uint8, "r", shape=(stored, size)) if stored else np.empty((0, size), np.uint8)
    spans = zip(*ViewMap.open(folder, state).spans(positions), strict=True)
    return [
        zlib.crc32(codes[start : start + count].tobytes()) if start + count <= stored else -1 for start, count in spans
    ]


def encode_views(state: State, views: np.ndarray) -> np.ndarray:
    """Return the codes (R, bytes) of views (R, D)."""
    rows = np.ascontiguousarray(views, dtype=np.float32)
    return empty_index(state).sa_encode(rows) if len(rows) else np.empty((0, 0), np.uint8)


def append_codes(folder: Path, state: State, codes: np.ndarray, counts: np.ndarray) -> list[int]:
    """Write the codes (R, bytes) of items, each with a count of them, after those that the state knows.

    They overwrite what a killed writer left. Readers look no further than their state says, so they notice nothing
    until a new state is written.

    Returns:
        The items' checksums.
    """
    with open_in_place(views_path(folder, state)) as file:
        file.truncate(state.views * empty_index(state).sa_code_size())
        file.seek(0, os.SEEK_END)
        file.write(codes.tobytes())
        file.flush()
        os.fsync(file.fileno())
    return [zlib.crc32(item.tobytes()) for item in by_item(codes, counts)]


def by_item(rows: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Cut the rows of several items, each with a count of them, into those of each."""
    return np.split(rows, np.cumsum(counts)[:-1]) if len(counts) else []
