from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from leccr.gallery.store.ranking import FEW, exact_scores, rank_items
from leccr.gallery.store.view_map import ViewMap
from tests.leccr.gallery.tiny_gallery import brute_force


class NoisyEngine:
    """An exact engine whose float32 scores are as wrong as float32 may make them, and which counts what it is asked."""

    exact = True

    def __init__(self, views: Sequence[np.ndarray], seed: int = 0) -> None:
        self.views = np.concatenate(list(views))
        self.view_map = map_of(views)
        self.random = np.random.default_rng(seed)
        self.counts: list[int] = []

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, counts = self.view_map.rows_of(positions)
        return self.views[rows], counts

    def search(self, queries: np.ndarray, count: int, allowed: Any) -> tuple[np.ndarray, np.ndarray]:
        self.counts.append(count)
        scores = queries.astype(np.float64) @ self.views.T.astype(np.float64)
        lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(self.views, axis=1)
        scores += self.random.uniform(-1, 1, scores.shape) * lengths * self.views.shape[1] * 2.0**-24
        if allowed is not None:
            row_allowed = np.isin(self.view_map.positions_of(np.arange(len(self.views))), allowed)
            scores = np.where(row_allowed, scores, -np.inf)
        rows = np.argsort(-scores, axis=1)[:, :count]
        found = np.take_along_axis(scores, rows, axis=1)
        return found.astype(np.float32), np.where(np.isinf(found), -1, rows)


def map_of(views: Sequence[np.ndarray]) -> ViewMap:
    counts = [len(own) for own in views]
    return ViewMap(np.cumsum(counts, dtype=np.int64), max(counts))


def rank(views: Sequence[np.ndarray], queries: np.ndarray, k: int, engine: Any = None, **options: Any) -> list[Any]:
    longest = max(float(np.linalg.norm(own, axis=1).max()) for own in views)
    return rank_items(engine or NoisyEngine(views), queries, k, longest_view=longest, **options)


def random_views(items: int, views: int, width: int = 8, seed: int = 0) -> np.ndarray:
    numbers = np.random.default_rng(seed).standard_normal((items, views, width)).astype(np.float32)
    return numbers / np.linalg.norm(numbers, axis=2, keepdims=True)


def ragged_views(items: int, most: int, width: int = 8, seed: int = 0) -> list[np.ndarray]:
    """Views of items that have from one to `most` of them."""
    counts = np.random.default_rng(seed).integers(1, most, items, endpoint=True)
    return [own[:count] for own, count in zip(random_views(items, most, width, seed), counts)]


def coarse(values: np.ndarray) -> np.ndarray:
    """Few different numbers, so that many scores tie exactly."""
    return np.round(values * 2).astype(np.float32) / 2


@pytest.mark.parametrize("views", [1, 2, 4])
@pytest.mark.parametrize("k", [1, 3, 10, 59, 60, 100])
@pytest.mark.parametrize("number", [lambda value: value, coarse], ids=["plain", "ties"])
@pytest.mark.parametrize("make", [random_views, ragged_views], ids=["same", "different"])
def test_the_ranking_is_that_of_all_fused_scores(views: int, k: int, number: Any, make: Any) -> None:
    gallery = [number(own) for own in make(60, views)]
    queries = number(random_views(7, 1)[:, 0])
    for query, ranking in zip(queries, rank(gallery, queries, k)):
        order, scores = brute_force(gallery, query)
        assert ranking.positions.tolist() == order[:k]
        assert ranking.scores.tolist() == scores[:k]
        best = [exact_scores(gallery[position], query).argmax() for position in ranking.positions]
        assert ranking.views.tolist() == best


def test_equal_views_of_an_item_do_not_crowd_out_the_next_item() -> None:
    gallery = np.repeat(random_views(40, 1), 4, axis=1)
    engine = NoisyEngine(gallery)
    query = random_views(1, 1, seed=5)[0, 0]
    [ranking] = rank(gallery, query[None], 5, engine)
    assert ranking.positions.tolist() == brute_force(gallery, query)[0][:5]
    assert engine.counts == [4 * 6], "one item's rows more than the best five settle it"


def test_a_tie_with_the_last_item_is_searched_for_to_its_end() -> None:
    gallery = np.repeat(random_views(1, 2), 50, axis=0)
    engine = NoisyEngine(gallery)
    [ranking] = rank(gallery, gallery[0, :1], 3, engine)
    assert ranking.positions.tolist() == [0, 1, 2]
    assert engine.counts[-1] > 50, "all fifty rows that tie have to be seen"


def test_only_queries_that_are_not_settled_are_asked_again() -> None:
    gallery = random_views(64, 2)
    gallery[:32] = gallery[0]
    engine = NoisyEngine(gallery)
    asked = []
    search = engine.search
    engine.search = lambda queries, count, allowed: (  # type: ignore[method-assign]
        asked.append(len(queries)) or search(queries, count, allowed)
    )
    queries = np.stack([gallery[0, 0], gallery[40, 0]])
    for query, ranking in zip(queries, rank(gallery, queries, 2, engine)):
        assert ranking.positions.tolist() == brute_force(gallery, query)[0][:2]
    assert asked[0] == 2
    assert set(asked[1:]) == {1}


@pytest.mark.parametrize("allowed_count", [0, 1, 25])
def test_filters_rank_what_they_leave(allowed_count: int) -> None:
    gallery = [coarse(own) for own in ragged_views(60, 3)]
    allowed = np.sort(np.random.default_rng(1).permutation(60)[:allowed_count])
    query = random_views(1, 1, seed=9)[0, 0]
    [ranking] = rank(gallery, query[None], 10, allowed=allowed)
    order = [position for position in brute_force(gallery, query)[0] if position in allowed]
    assert ranking.positions.tolist() == order[:10]


def test_filters_that_leave_many_are_searched_by_the_engine() -> None:
    gallery = ragged_views(FEW + 500, 2)
    allowed = np.arange(100, FEW + 400)
    engine = NoisyEngine(gallery)
    query = random_views(1, 1, seed=9)[0, 0]
    [ranking] = rank(gallery, query[None], 10, engine, allowed=allowed)
    order = [position for position in brute_force(gallery, query)[0] if 100 <= position < FEW + 400]
    assert ranking.positions.tolist() == order[:10]
    assert engine.counts


def test_removed_items_never_answer() -> None:
    gallery = ragged_views(60, 3)
    query = random_views(1, 1, seed=9)[0, 0]
    order = brute_force(gallery, query)[0]
    removed = np.zeros(60, dtype=bool)
    removed[order[:30]] = True
    [ranking] = rank(gallery, query[None], 5, removed=removed)
    assert ranking.positions.tolist() == order[30:35]


def test_an_approximate_engine_is_believed_where_it_finds_enough() -> None:
    gallery = np.repeat(random_views(1, 2), 50, axis=0)
    engine = NoisyEngine(gallery)
    engine.exact = False
    [ranking] = rank(gallery, gallery[0, :1], 3, engine)
    assert len(ranking.positions) == 3
    assert engine.counts == [8]


@pytest.mark.parametrize("allowed", [None, np.arange(0, 60, 2)], ids=["all", "some"])
def test_others_that_are_asked_for_follow_the_best(allowed: np.ndarray | None) -> None:
    gallery = random_views(60, 3)
    [query] = random_views(1, 1)[:, 0]
    order, scores = brute_force(gallery, query)
    order = [position for position in order if allowed is None or position in allowed]
    others = [order[1], order[20], order[-1], order[12]]
    [found] = rank(list(gallery), query[None], 5, allowed=allowed, also=others)
    assert found.positions.tolist() == [*order[:5], order[12], order[20], order[-1]]
    expected = brute_force(gallery[found.positions], query)
    assert (expected[0], found.scores.tolist()) == ([*range(8)], expected[1])
