"""The embedded engine: FAISS over the memory-mapped views, exact, or with an approximate index in front."""

import dataclasses
import hashlib
import threading
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from tqdm.auto import tqdm

from processing.notes import is_quiet
from processing.writing import atomic_file

from ...errors import UserError
from .mapped_index import MappedIndex, best_of, mapped
from .ranking import Engine, Ranking, rank_items
from .state import Approximation, State
from .vectors import BLOCK, Views

# On views of real photos (26,800 of them): 0.999 of the ten best, at a third of the time of an exact search.
LINKS, BUILD_WIDTH, SEARCH_WIDTH = 32, 100, 256
# Product quantisation keeps one byte for this many numbers of a view; scoring the candidates exactly makes up for it.
NUMBERS_PER_BYTE, CANDIDATES = 8, 10
TRAINING_ROWS_PER_LIST, SHARE_OF_LISTS, FEWEST_LISTS = 64, 0.1, 32
RECALL_AT, RECALL_QUERIES = 10, 200
# The limit of what FAISS reads is one for the whole process.
_reading = threading.Lock()


class FaissEngine:
    """Searches the views of one state; safe to use from several threads.

    Args:
        folder: The gallery's folder.
        state: Its state.
        approximate: Whether to use the approximate index where the gallery has one.

    Raises:
        UserError: If a file is missing or broken.
    """

    def __init__(self, folder: Path, state: State, approximate: bool = True) -> None:
        self.state = state
        self.views = Views(folder, state)
        self.view_map = self.views.view_map
        self.exact = not approximate or state.approximation is None
        self._all = MappedIndex(state, self.views.codes)
        if approximate and state.approximation is not None:
            self._covered = self.view_map.views_before(state.approximation.positions)
            self._storage = mapped(state, self.views.codes[: self._covered])
            self._tail = MappedIndex(state, self.views.codes[self._covered :])
            self._index = _open_index(folder, state, self._storage)

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the views (R, D) at the positions, float32, and the counts (n,) of each."""
        return self.views.at(positions)

    def search(self, queries: np.ndarray, count: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Find the rows with the largest inner products; see `leccr.gallery.store.ranking.Engine`.

        Where only certain positions are allowed the search is exact, since an approximate index would find too few.
        """
        if allowed is not None:
            chosen = np.zeros(self.state.views, dtype=bool)
            chosen[self.view_map.rows_of(allowed)[0]] = True
            return self._all.search(queries, count, chosen)
        if self.exact:
            return self._all.search(queries, count)
        scores, rows = self._search_approximately(queries, count)
        # An index of unknown origin may name rows that do not exist.
        parts = [(scores, np.where(rows < self._covered, rows, -1))]
        if len(self._tail):
            scores, rows = self._tail.search(queries, min(count, len(self._tail)))
            parts.append((scores, np.where(rows < 0, rows, rows + self._covered)))
        # All of them are scored exactly afterwards, so that none is left out by its approximate score.
        return best_of(parts)

    def _search_approximately(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        if isinstance(self._index, faiss.IndexHNSW):
            parameters = faiss.SearchParametersHNSW(efSearch=max(SEARCH_WIDTH, count))
            return self._index.search(queries, count, params=parameters)
        parameters = faiss.SearchParametersIVF(nprobe=max(FEWEST_LISTS, round(SHARE_OF_LISTS * self._index.nlist)))
        return self._index.search(queries, CANDIDATES * count, params=parameters)


def _open_index(folder: Path, state: State, storage: Any) -> Any:
    """Open the approximate index; FAISS itself checks that nothing in the file points outside of it."""
    approximation = state.approximation
    assert approximation is not None
    path = folder / str(approximation.file)
    rebuild = f"build it again with `leccr gallery convert {folder} --ann {approximation.kind}`"
    try:
        _read_through(path)
        with _reading:
            limit = getattr(faiss, "set_deserialization_vector_byte_limit", None)
            if limit is not None:
                # No part is much larger than the file, whatever it says; tables are computed while it is read.
                limit(2**26 + 16 * path.stat().st_size)
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_SKIP_STORAGE)
    except (RuntimeError, MemoryError, OSError) as error:
        raise UserError(f"The approximate index {path} is missing or broken; {rebuild}.") from error
    kind = {"hnsw": faiss.IndexHNSWFlat, "ivfpq": faiss.IndexIVFPQ}[approximation.kind]
    expected = (kind, state.width, storage.ntotal, faiss.METRIC_INNER_PRODUCT)
    if (type(index), index.d, index.ntotal, index.metric_type) != expected:
        raise UserError(f"The approximate index {path} does not fit the views next to it; {rebuild}.")
    if kind is faiss.IndexHNSWFlat:
        index.own_fields = False
        index.storage = storage
    return index


def _read_through(path: Path) -> None:
    """Read a file from its beginning to its end, so that the system has it in memory when it is mapped.

    FAISS looks at all of it, and tells the system to expect no order: page by page that takes ten times as long.
    """
    buffer = bytearray(2**20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def build_approximation(folder: Path, state: State, kind: str) -> Approximation:
    """Build an approximate index over all views, and measure what share of the best items it finds.

    Args:
        folder: The gallery's folder; the index is written to a file in it.
        state: The gallery's state.
        kind: `hnsw` or `ivfpq`.

    Returns:
        What the state has to know about it.
    """
    views = Views(folder, state)
    index = _new_index(state, views, kind)
    for start in tqdm(
        range(0, len(views.codes), BLOCK), desc=f"Building {kind}", disable=len(views.codes) <= BLOCK or is_quiet()
    ):
        index.add(views.rows(np.arange(start, min(start + BLOCK, len(views.codes)))))
    name = f"{kind}-{state.generation}-{state.positions}"
    with atomic_file(folder / name) as part:
        # Of HNSW only the graph: the views are stored next to it already.
        faiss.write_index(index, str(part), faiss.IO_FLAG_SKIP_STORAGE)
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    del index
    built = Approximation(kind, state.positions, name, digest)
    share, queries = measure_recall(folder, dataclasses.replace(state, approximation=built))
    return dataclasses.replace(built, recall=share, queries=queries)


def _new_index(state: State, views: Views, kind: str) -> Any:
    if kind == "hnsw":
        index = faiss.IndexHNSWFlat(state.width, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD_WIDTH
        return index
    rows = len(views.codes)
    lists = max(1, min(round(4 * rows**0.5), rows // TRAINING_ROWS_PER_LIST))
    codes = max(codes for codes in range(1, state.width // NUMBERS_PER_BYTE + 2) if state.width % codes == 0)
    bits = max(1, min(8, rows.bit_length() - 1))
    quantizer = faiss.IndexFlatIP(state.width)
    inverted = faiss.IndexIVFPQ(quantizer, state.width, lists, codes, bits, faiss.METRIC_INNER_PRODUCT)
    # The index frees the quantizer, so that Python must not.
    inverted.own_fields = True
    quantizer.this.disown()
    # FAISS warns where it would like more rows to learn from; a small gallery has no more.
    inverted.cp.min_points_per_centroid = inverted.pq.cp.min_points_per_centroid = 1
    sample = np.random.default_rng(0).permutation(rows)[: max(2**8, TRAINING_ROWS_PER_LIST * lists)]
    inverted.train(views.rows(np.sort(sample)))
    return inverted


def measure_recall(folder: Path, state: State) -> tuple[float, int]:
    """Return the share of the exact ten best items that the approximate index finds, and for how many queries.

    The queries are views of the gallery, drawn with a fixed seed, since it comes without texts.
    """
    approximate, exact = FaissEngine(folder, state), FaissEngine(folder, state, approximate=False)
    drawn = np.random.default_rng(0).permutation(len(exact.views.codes))[:RECALL_QUERIES]
    queries = exact.views.rows(np.sort(drawn))
    return recall(rank_all(approximate, state, queries), rank_all(exact, state, queries)), len(queries)


def rank_all(engine: Engine, state: State, queries: np.ndarray) -> list[Ranking]:
    """Return the ten best positions for each query, those of removed items included."""
    return rank_items(engine, queries, RECALL_AT, longest_view=state.longest_view)


def recall(retrieved: list[Ranking], relevant: list[Ranking]) -> float:
    """Return what share of the relevant positions was retrieved, averaged over the queries."""
    pairs = [(answers, best) for answers, best in zip(retrieved, relevant) if len(best.positions)]
    shares = [np.isin(best.positions, answers.positions).mean() for answers, best in pairs]
    # Queries of undefined numbers have no answers.
    return round(float(np.mean(shares)), 4) if shares else 0.0
