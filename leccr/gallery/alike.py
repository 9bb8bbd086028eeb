"""Near duplicates, and variety: how much alike items are by their stored views and thumbnails."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from tqdm.auto import tqdm

from processing.notes import is_quiet

from .looks import LIMIT, Looks
from .store.catalogue import Catalogue, Item
from .store.maintenance import all_items
from .store.ranking import Engine, Ranking
from .store.snapshot import Snapshot

# A share of the usual squared distance between two items; whatever is farther apart by its views is not looked at.
THRESHOLD = 0.5
IDENTICAL = 1e-5
SAMPLE = 512
# Of fewer items it cannot be told what is usual, so all are looked at.
LEAST_TO_LEARN_FROM, FARTHEST = 20, 4.0
ROWS_PER_BLOCK = 1024
# Answers among which near duplicates are looked for; nobody looks at more of them one by one.
MOST_COMPARED = 2000
# What variety counts next to relevance.
VARIETY = 0.5


def signatures(engine: Engine, positions: np.ndarray) -> np.ndarray:
    """Return what represents each item: the direction (n, D), float32, of the mean of its views' directions."""
    # Imports faiss, which most commands do not need.
    from .store.vectors import by_item

    views, counts = engine.at(positions)
    if not len(positions):
        return np.empty((0, views.shape[1]), np.float32)
    means = np.stack([own.mean(axis=0) for own in by_item(_unit(views), counts)])
    return _unit(means).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.nan_to_num(rows / np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True))


def squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the squared distances (n, m) between signatures."""
    return np.clip(2 - 2 * (rows @ others.T), 0, None)


@dataclasses.dataclass(frozen=True)
class Likeness:
    """How far items of a gallery are from each other.

    Distances differ much between models, and so they are compared with those between the gallery's own items.

    Attributes:
        usual: The median of the squared distances between two items.
        limit: The largest one at which they may be near duplicates, if they look alike.
    """

    usual: float
    limit: float

    @classmethod
    def of(cls, engine: Engine, positions: np.ndarray) -> "Likeness":
        """Learn the distances from a sample of the items at some positions."""
        chosen = positions[np.unique(np.linspace(0, len(positions) - 1, SAMPLE).astype(int))] if len(positions) else []
        rows = signatures(engine, np.asarray(chosen, dtype=np.int64))
        above = np.triu_indices(len(rows), 1)
        logs = np.log(np.maximum(squared_distances(rows, rows)[above], IDENTICAL))
        if len(rows) < LEAST_TO_LEARN_FROM:
            return cls(1.0, FARTHEST)
        usual = float(np.exp(np.median(logs)))
        return cls(usual, max(IDENTICAL, THRESHOLD * usual))


def likeness_of(snapshot: Snapshot) -> Likeness:
    """Return the distances of a state, learned once."""

    def learn() -> Likeness:
        every = np.arange(snapshot.state.positions)
        live = every if snapshot.removed is None else every[~snapshot.removed]
        return Likeness.of(snapshot.engine, live)

    return snapshot.once("likeness", learn)


class Compares(Protocol):
    """What tells how differently items look: `leccr.gallery.looks.Looks`."""

    def distances(self, position: int, others: Sequence[int]) -> np.ndarray:
        """Return how differently an item and others look, (n,); NaN where that is not known."""


def near_duplicates(
    looks: Compares, position: int, others: np.ndarray, distances: np.ndarray, limit: float
) -> np.ndarray:
    """Return which of several items are near duplicates of one, (n,).

    A model puts pictures of the same things next to each other, so that near views are not enough: the items have to
    look the same, too. Where one has no thumbnail, their views have to be identical.

    Args:
        looks: Compares thumbnails.
        position: The item's.
        others: Positions of the others, (n,).
        distances: Their squared distances to it by views, (n,).
        limit: The largest of these at which they are looked at.
    """
    near = distances <= limit
    candidates = np.flatnonzero(near)
    if len(candidates):
        look = looks.distances(position, others[candidates].tolist())
        near[candidates] = np.where(np.isnan(look), distances[candidates] <= IDENTICAL, look <= LIMIT)
    return near


def folded(snapshot: Snapshot, ranking: Ranking, k: int, looks: Compares) -> tuple[Ranking, dict[int, list[int]]]:
    """Return the k best answers that are no near duplicates of a better one, and what they stand for.

    Args:
        snapshot: The state.
        ranking: Its answers, best first; near duplicates are looked for among the first `MOST_COMPARED`.
        k: Number of answers.
        looks: Compares thumbnails.

    Returns:
        The answers, and the positions of the near duplicates that each stands for, by its own position.
    """
    compared = ranking.positions[:MOST_COMPARED]
    rows, limit = signatures(snapshot.engine, compared), likeness_of(snapshot).limit
    kept: list[int] = []
    others: dict[int, list[int]] = {}
    for index in range(len(compared)):
        distances = squared_distances(rows[index : index + 1], rows[kept])[0] if kept else np.empty(0)
        near = near_duplicates(looks, int(compared[index]), compared[kept], distances, limit)
        if near.any():
            others.setdefault(int(compared[kept[int(near.argmax())]]), []).append(int(compared[index]))
        elif len(kept) < k:
            kept.append(index)
    kept += range(len(compared), len(compared) + max(0, min(k - len(kept), len(ranking.positions) - len(compared))))
    return ranking.chosen(kept), others


def varied(snapshot: Snapshot, ranking: Ranking, k: int) -> Ranking:
    """Return k answers by maximal marginal relevance: each is relevant, and unlike those before it.

    The best answer stays the first. Relevance is the score, from 0 for the last of the answers to choose from to 1 for
    the first, and likeness is 1 at no distance and 0 at the usual one. Answers beyond `MOST_COMPARED` stay as they are.
    """
    compared = ranking.cut(MOST_COMPARED)
    if len(compared.positions) < 2:
        return ranking.cut(k)
    rows, usual = signatures(snapshot.engine, compared.positions), likeness_of(snapshot).usual
    # Words may have changed the order of the scores.
    relevance = np.linspace(1, 0, len(rows))
    likeness, picked = np.zeros(len(rows)), [0]
    while len(picked) < min(k, len(rows)):
        last = rows[picked[-1] : picked[-1] + 1]
        likeness = np.maximum(likeness, np.clip(1 - squared_distances(last, rows)[0] / usual, 0, 1))
        worth = (1 - VARIETY) * relevance - VARIETY * likeness
        worth[picked] = -np.inf
        picked.append(int(worth.argmax()))
    return ranking.chosen([*picked, *range(len(rows), min(k, len(ranking.positions)))])


def find_duplicates(catalogue: Catalogue, snapshot: Snapshot) -> list[list[Item]]:
    """Return groups of files that are near duplicates of the first of their group, or have the same content.

    Nothing but what the gallery has stored is read.

    Args:
        catalogue: The gallery's catalogue.
        snapshot: Its state.

    Returns:
        Groups of two or more, in the order in which their first items were added; of a long video each file counts
        once.
    """
    items = {item.position: item for item in all_items(catalogue) if item.position < snapshot.state.positions}
    positions = np.array(sorted(items), dtype=np.int64)
    same: dict[str, list[int]] = {}
    for index, position in enumerate(positions.tolist()):
        same.setdefault(items[position].hash, []).append(index)
    with catalogue.reading() as connection:
        return _groups(snapshot, positions, items, same, Looks(connection, snapshot))


def _groups(
    snapshot: Snapshot, positions: np.ndarray, items: dict[int, Item], same: dict[str, list[int]], looks: Compares
) -> list[list[Item]]:
    free, limit = np.ones(len(positions), dtype=bool), likeness_of(snapshot).limit
    groups = []
    for index, distances in _distances(snapshot, positions):
        if not free[index]:
            continue
        free[index] = False
        # What is in a group is not compared again.
        left = np.where(free, distances, np.inf)
        near = near_duplicates(looks, int(positions[index]), positions, left, limit)
        near[same[items[int(positions[index])].hash]] = True
        members = np.flatnonzero(near & free)
        free[members] = False
        own = [items[int(positions[member])] for member in (index, *members.tolist())]
        files = list({(item.source, item.path): item for item in reversed(own)}.values())[::-1]
        if len(files) > 1:
            groups.append(files)
    return groups


def _distances(snapshot: Snapshot, positions: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each index, and the squared distances (n,) of all items to it."""
    starts = range(0, len(positions), ROWS_PER_BLOCK)
    blocks = [signatures(snapshot.engine, positions[start : start + ROWS_PER_BLOCK]) for start in starts]
    every = np.concatenate(blocks) if blocks else np.empty((0, snapshot.state.width), np.float32)
    for start, block in zip(starts, tqdm(blocks, "Comparing", disable=len(blocks) <= 1 or is_quiet())):
        for offset, distances in enumerate(squared_distances(block, every)):
            yield start + offset, distances
