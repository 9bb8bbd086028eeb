"""Exact search of codes where they are, such as in a mapped file, by all processor cores even for one query."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .state import State
from .vectors import empty_index, faiss

# Of fewer rows a thread gains less than it costs to start it next to a model, whose own threads still wait for work.
LEAST_ROWS = 2**16
ROWS_PER_BYTE = 8


class MappedIndex:
    """Searches rows of codes in place; safe to use from several threads, and after a fork.

    FAISS divides queries among threads, but not rows: to one query one thread would answer, while the others wait and
    keep the cores from other work. So the rows are divided into pieces here, and each is searched by a thread.

    Args:
        state: The state whose number format the codes have.
        codes: (rows, bytes); kept alive, since FAISS only points to them.
    """

    def __init__(self, state: State, codes: np.ndarray) -> None:
        self.codes = codes
        self.threads: int = faiss.omp_get_max_threads()
        self._whole = mapped(state, codes)
        pieces = max(1, min(self.threads, len(codes) // LEAST_ROWS))
        size = max(1, -(-len(codes) // pieces))
        # A piece begins where a byte of a bitmap does.
        size += -size % ROWS_PER_BYTE
        self._pieces = [(start, mapped(state, codes[start : start + size])) for start in range(0, len(codes), size)]

    def __len__(self) -> int:
        return len(self.codes)

    def search(
        self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the rows with the largest inner products.

        Args:
            queries: (Q, D), float32.
            count: Rows to return for each query.
            allowed: (rows,) whether a row may be returned; None means all.

        Returns:
            Scores, descending, and rows, both (Q, count); the row is −1 where there is none.
        """
        bitmap = None if allowed is None else np.packbits(allowed, bitorder="little")
        if len(queries) >= max(self.threads, 2) or not self._pieces:
            return _search(self._whole, queries, count, bitmap)

        def search_piece(piece: tuple[int, Any]) -> tuple[np.ndarray, np.ndarray]:
            start, index = piece
            own = None if bitmap is None else bitmap[start // ROWS_PER_BYTE :][: -(-index.ntotal // ROWS_PER_BYTE)]
            with _OneThread():
                scores, rows = _search(index, queries, count, own)
            return scores, np.where(rows < 0, rows, rows + start)

        if len(self._pieces) == 1:
            return search_piece(self._pieces[0])
        with ThreadPoolExecutor(len(self._pieces)) as pool:
            return best_of(list(pool.map(search_piece, self._pieces)), count)


def best_of(parts: list[tuple[np.ndarray, np.ndarray]], count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Merge the scores and rows, both (Q, n), of several searches, best first, cut to `count` if it is given."""
    if len(parts) == 1:
        return parts[0]
    scores, rows = (np.concatenate(arrays, axis=1) for arrays in zip(*parts))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


class _OneThread:
    """Lets FAISS use only the thread that enters it, whose own setting this is."""

    def __enter__(self) -> None:
        self._before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        faiss.omp_set_num_threads(self._before)


def mapped(state: State, codes: np.ndarray) -> Any:
    """Return a FAISS index that searches codes (rows, bytes) in place; they must live at least as long as it.

    FAISS does the same for an index file that it maps into memory. The codes of a gallery have no header, so that they
    can be appended to, and nothing from a gallery of unknown origin has to be parsed.
    """
    index = empty_index(state)
    if len(codes):
        # An empty index has no owner of its codes, and neither has the view: the caller keeps them alive.
        owner = index.codes.owner
        index.codes = faiss.MaybeOwnedVectorUInt8.create_view(faiss.swig_ptr(codes), codes.size, owner)
        index.ntotal = len(codes)
    return index


def _search(index: Any, queries: np.ndarray, count: int, bitmap: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    if bitmap is None:
        return index.search(queries, count)
    return index.search(queries, count, params=faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bitmap)))
