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


def map_rows(index: Any, codes: np.ndarray) -> None:
    """Let an empty index search codes (rows, bytes) in place; they must live at least as long as the index.

    FAISS does the same for an index file that it maps into memory. The codes of a gallery have no header, so that they
    can be appended to, and nothing from a gallery of unknown origin has to be parsed.
    """
    if not len(codes):
        return
    # An empty index has no owner of its codes, and neither has the view: the caller keeps them alive.
    owner = index.codes.owner
    index.codes = faiss.MaybeOwnedVectorUInt8.create_view(faiss.swig_ptr(codes), codes.size, owner)
    index.ntotal = len(codes)


class Views:
    """The views of a gallery at one state, (positions · K) rows of codes in a file.

    Args:
        folder: The gallery's folder.
        state: Its state.

    Raises:
        UserError: If the file is missing or too short.
    """

    def __init__(self, folder: Path, state: State) -> None:
        self.state = state
        self.path = views_path(folder, state)
        self.index = empty_index(state)
        rows, size = state.positions * state.view_count, self.index.sa_code_size()
        stored = self.path.stat().st_size if self.path.is_file() else 0
        if stored < rows * size:
            raise UserError(
                f"{self.path} should have {rows * size} bytes or more, but has {stored}; `leccr gallery check --repair "
                f"{folder}` repairs this."
            )
        shape = (rows, size)
        self.codes = np.memmap(self.path, np.uint8, "r", shape=shape) if rows else np.empty(shape, np.uint8)
        map_rows(self.index, self.codes)

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return rows as float32 (n, D)."""
        return self.index.sa_decode(np.ascontiguousarray(self.codes[rows]))

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Return the views (n, K, D) at the positions, float32.

        Raises:
            UserError: If there are no such positions, as an untrusted catalogue may say.
        """
        count = self.state.view_count
        if len(positions) and not (np.min(positions) >= 0 and np.max(positions) < self.state.positions):
            folder = self.path.parent
            raise UserError(
                f"The catalogue of the gallery {folder} has items at positions without views; `leccr gallery check "
                f"--repair {folder}` repairs this."
            )
        rows = np.asarray(positions, dtype=np.int64)[:, None] * count + np.arange(count)
        return self.rows(rows.reshape(-1)).reshape(-1, count, self.state.width)

    def checksums(self, positions: Sequence[int]) -> list[int]:
        """Return the CRC-32 of the stored views at each position."""
        count = self.state.view_count
        return [zlib.crc32(self.codes[start : start + count].tobytes()) for start in (p * count for p in positions)]


def views_path(folder: Path, state: State) -> Path:
    """Return the file of the state's views."""
    return folder / f"views-{state.generation}.{state.dtype}"


def stored_positions(folder: Path, state: State) -> int:
    """Return how many positions have views in the file."""
    path = views_path(folder, state)
    size = path.stat().st_size if path.is_file() else 0
    return size // (state.view_count * empty_index(state).sa_code_size())


def encode_views(state: State, views: np.ndarray) -> np.ndarray:
    """Return the codes (n · K, bytes) of views (n, K, D)."""
    rows = np.ascontiguousarray(views, dtype=np.float32).reshape(-1, state.width)
    return empty_index(state).sa_encode(rows) if len(rows) else np.empty((0, 0), np.uint8)


def append_codes(folder: Path, state: State, codes: np.ndarray) -> list[int]:
    """Write the codes of items after those that the state knows, and return the items' checksums.

    They overwrite what a killed writer left. Readers look no further than their state says, so they notice nothing
    until a new state is written.
    """
    with open_in_place(views_path(folder, state)) as file:
        file.truncate(state.positions * state.view_count * empty_index(state).sa_code_size())
        file.seek(0, os.SEEK_END)
        file.write(codes.tobytes())
        file.flush()
        os.fsync(file.fileno())
    per_item = codes.reshape(-1, state.view_count * codes.shape[1]) if codes.size else codes
    return [zlib.crc32(item.tobytes()) for item in per_item]
