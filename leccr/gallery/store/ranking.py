"""From rows of an engine to the best items: exactly the ranking of all fused scores, ties included."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .view_map import ViewMap

# If a filter leaves no more items than this, all of them are scored: approximate indexes find little among few.
FEW = 2048
UNIT_ROUNDOFF = 2.0**-24


class Engine(Protocol):
    """What searches views.

    Attributes:
        view_map: Which of its rows are the views of which position.
        exact: Whether no row left out scores higher than one returned, except for rounding.
    """

    view_map: ViewMap
    exact: bool

    def search(self, queries: np.ndarray, count: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Find the rows with the largest inner products.

        Args:
            queries: (Q, D), float32.
            count: Rows to return for each query.
            allowed: Positions to search among; None means all.

        Returns:
            Scores (Q, n), descending, and rows (Q, n), −1 where there is none; n is `count`, or more if the search is
            not exact.
        """

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the views (R, D) at the positions, float32, and the counts (n,) of each."""


@dataclass(frozen=True)
class Ranking:
    """The best items for one query, best first; ties are in the order of their positions.

    Attributes:
        positions: (k,)
        scores: (k,), float32.
        views: (k,), the index of the view with that score, the first of equals.
    """

    positions: np.ndarray
    scores: np.ndarray
    views: np.ndarray

    def chosen(self, indices: Any) -> "Ranking":
        """Return some of the items, by their indices."""
        return Ranking(self.positions[indices], self.scores[indices], self.views[indices])

    def cut(self, k: int, also: Collection[int] = ()) -> "Ranking":
        """Return the k best items, and after them those at some other positions."""
        if not also:
            return self.chosen(slice(k))
        rest = [index for index, position in enumerate(self.positions[k:].tolist(), start=k) if position in also]
        return self.chosen([*range(min(k, len(self.positions))), *rest])


def rank_items(
    engine: Engine,
    queries: np.ndarray,
    k: int,
    *,
    longest_view: float,
    allowed: np.ndarray | None = None,
    removed: np.ndarray | None = None,
    also: Collection[int] = (),
) -> list[Ranking]:
    """Return the k best items for each query, and those of some others that are not among them.

    An item has at most K rows, so the best K·k rows hold at least k items, and the item of each row left out scores no
    higher than the last row. The rows of one more item are requested, which settles all but ties. Candidates are then
    scored as in `leccr.evaluation.metrics`, in float64 and rounded to float32, because products in float32 depend on
    the row's position. While an item left out could still tie with the k-th, or rounding could have hidden it, the
    search is repeated with twice as many rows.

    Args:
        engine: Searches the rows.
        queries: (Q, D), float32.
        k: Number of items; fewer come back if the gallery has fewer.
        longest_view: Length of the longest view.
        allowed: Positions to search among, ascending; None means all.
        removed: (positions,) whether a position no longer has an item; None means that all have one.
        also: Positions of items, all of them allowed, that come after the k best, in the same order.
    """
    view_map = engine.view_map
    most = view_map.views if allowed is None else int(view_map.spans(allowed)[1].sum())
    if not most:
        return [Ranking(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64)) for _ in queries]
    if allowed is not None and len(allowed) <= FEW:
        views, counts = engine.at(allowed)
        return [_best(allowed, views, counts, query).cut(k, also) for query in queries]
    rankings: dict[int, Ranking] = {}
    # FAISS adds D products in float32, in an unknown order.
    slack = 2 * UNIT_ROUNDOFF * queries.shape[1] * longest_view * np.linalg.norm(queries, axis=1)
    count = min(view_map.most * (k + 1), most)
    pending = list(range(len(queries)))
    while pending:
        scores, rows = engine.search(queries[pending], count, allowed)
        unsettled = []
        for query, query_scores, query_rows in zip(pending, scores, rows):
            found = view_map.positions_of(query_rows[query_rows >= 0])
            candidates = np.unique(np.concatenate([found, np.fromiter(also, np.int64)]) if also else found)
            if removed is not None:
                candidates = candidates[~removed[candidates]]
            ranked = _best(candidates, *engine.at(candidates), queries[query])
            rankings[query], best = ranked.cut(k, also), ranked.cut(k)
            if count < most and _could_be_wrong(engine.exact, best, k, query_scores[-1] + slack[query]):
                unsettled.append(query)
        count, pending = min(2 * count, most), unsettled
    return [rankings[query] for query in range(len(queries))]


def _could_be_wrong(exact: bool, best: Ranking, k: int, highest_left_out: float) -> bool:
    if len(best.positions) < k:
        return True
    return exact and bool(highest_left_out >= best.scores[-1])


def _best(positions: np.ndarray, views: np.ndarray, counts: np.ndarray, query: np.ndarray) -> Ranking:
    """Return items by their exact scores, the best first."""
    # An item with fewer views than others is filled up with what is never the best.
    scores = np.full((len(positions), counts.max(initial=1)), -np.inf, np.float32)
    scores[np.arange(scores.shape[1]) < counts[:, None]] = exact_scores(views, query)
    view = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), view]
    # Undefined numbers are no answer; `leccr gallery check` names the items.
    defined = np.isfinite(best)
    positions, best, view = positions[defined], best[defined], view[defined]
    order = np.lexsort((positions, -best))
    return Ranking(positions[order], best[order], view[order])


def exact_scores(views: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the inner products (R,) of views (R, D) with a query (D,), summed in float64, as float32."""
    # What overflows is no answer, and the views of a gallery may hold any numbers.
    with np.errstate(over="ignore", invalid="ignore"):
        # Converts a few numbers at a time, and not all views before the first product.
        return np.einsum("rd,d->r", views, query.astype(np.float64)).astype(np.float32)
