"""The order in which an epoch shows rows that lie in groups, which can only be read whole: shuffled, and computed."""

import heapq
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Permutation: TypeAlias = NDArray[np.int64]


class Place(NamedTuple):
    """Where a row is: `row` is its number within the rows of the groups of this window, one after the other."""

    lane: int
    window: int
    row: int


class ShuffledOrder:
    """A permutation of all rows in which rows that follow each other come from few groups at a time.

    The groups are shuffled and dealt to *lanes*. In a lane, groups with at least `buffer` rows together are a *window*,
    whose rows are shuffled. Batches come from the lanes in turn, so that each worker process of a data loader reads
    only its own groups, once. What is left at the end of the lanes comes last. Every position is computed, so that an
    epoch can begin anywhere, and nothing but the settings need be saved to resume it.

    Args:
        sizes: Rows of each group.
        batch_size: Rows of a batch.
        lanes: Processes times their workers.
        buffer: Least number of rows that are shuffled together.
        seed: Seed of the run.
        epoch: Number of the epoch, which has an order of its own.
    """

    def __init__(self, sizes: Sequence[int], batch_size: int, lanes: int, buffer: int, seed: int, epoch: int) -> None:
        self._batch_size = batch_size
        self._seed = (seed, epoch)
        dealt: list[list[int]] = [[] for _ in range(lanes)]
        filled = [(0, lane) for lane in range(lanes)]
        for group in np.random.default_rng(self._seed).permutation(len(sizes)).tolist():
            rows, lane = filled[0]
            dealt[lane].append(group)
            heapq.heapreplace(filled, (rows + sizes[group], lane))
        self._windows = [_windows(groups, sizes, buffer) for groups in dealt]
        self._starts = [_starts([sum(sizes[group] for group in window) for window in lane]) for lane in self._windows]
        self._batches = min(starts[-1] for starts in self._starts) // batch_size
        self._tails = _starts([starts[-1] - self._batches * batch_size for starts in self._starts])
        self._known: dict[tuple[int, int], Permutation] = {}

    def groups(self, lane: int, window: int) -> list[int]:
        """Return the groups of a window."""
        return self._windows[lane][window]

    def locate(self, position: int) -> Place:
        """Return where the row at a position of the epoch is."""
        lanes = len(self._windows)
        batch, within = divmod(position, self._batch_size)
        if batch < self._batches * lanes:
            lane, offset = batch % lanes, batch // lanes * self._batch_size + within
        else:
            position -= self._batches * lanes * self._batch_size
            lane = bisect_right(self._tails, position) - 1
            offset = self._batches * self._batch_size + position - self._tails[lane]
        window = bisect_right(self._starts[lane], offset) - 1
        return Place(lane, window, int(self._permutation(lane, window)[offset - self._starts[lane][window]]))

    def _permutation(self, lane: int, window: int) -> Permutation:
        if (lane, window) not in self._known:
            start, end = self._starts[lane][window : window + 2]
            # Of each lane only the last is kept.
            self._known = {key: kept for key, kept in self._known.items() if key[0] != lane}
            self._known[lane, window] = np.random.default_rng((*self._seed, lane, window)).permutation(end - start)
        return self._known[lane, window]


def _windows(groups: Sequence[int], sizes: Sequence[int], buffer: int) -> list[list[int]]:
    windows: list[list[int]] = []
    rows = buffer
    for group in groups:
        if rows >= buffer:
            windows.append([])
            rows = 0
        windows[-1].append(group)
        rows += sizes[group]
    return windows


def _starts(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes, dtype=np.int64).tolist()]
