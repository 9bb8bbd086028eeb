"""One ranking from two: by what is seen, the vectors, and by the words of descriptions, names and writing."""

import dataclasses
import sqlite3
from collections.abc import Sequence

import numpy as np

from ..errors import UserError
from .options import WORDS_WEIGHT
from .query_words import QueryWords
from .results import Result
from .store.ranking import Ranking
from .store.snapshot import Snapshot
from .store.words import (
    count_described,
    count_described_with,
    count_items_with,
    positions_with_all,
    ranked_by_words,
    words_of,
)

# Items of either ranking that are looked at, if no more are asked for.
DEPTH = 200
# Of reciprocal-rank fusion, as in the paper and in search engines: how little the very first ranks stand out.
SMOOTHING = 60


def check_weight_of_words(weight: float) -> None:
    """Raise UserError unless a weight is from 0 to 1."""
    if not 0 <= weight <= 1:
        raise UserError(f"The weight of words is {weight:g}, but has to be from 0 to 1.")


def weight_of_words(text: str) -> float:
    """Return a weight that was typed; the default one for an empty text.

    Raises:
        UserError: If it is not a number from 0 to 1.
    """
    try:
        weight = float(text or WORDS_WEIGHT)
    except ValueError as error:
        raise UserError(f"The weight of words is a number from 0 to 1, and not {text!r}.") from error
    check_weight_of_words(weight)
    return weight


def telling_words(
    connection: sqlite3.Connection, words: Sequence[QueryWords], snapshot: Snapshot, weight: float
) -> list[QueryWords]:
    """Return the words of each query with only those terms that some items have, but no more than half of them.

    Where only some items have descriptions, what more than half of the descriptions have, such as "a" and "the", would
    speak for whatever is described.

    Args:
        connection: A connection to the catalogue.
        words: The words of each query.
        snapshot: The state to search.
        weight: Weight of words; without any, no term counts.
    """
    half = snapshot.state.items // 2

    def tells(phrase: str) -> bool:
        having = count_items_with(connection, phrase, half + 1)
        if not 0 < having <= half:
            return False
        described = snapshot.once("described", lambda: count_described(connection))
        # Fewer cannot be more than half of the descriptions.
        return 2 * having <= described or 2 * count_described_with(connection, phrase) <= max(described, having)

    terms = [tuple(term for term in own.terms if tells(term[1])) if weight else () for own in words]
    return [dataclasses.replace(own, terms=telling) for own, telling in zip(words, terms)]


def rank_together(
    connection: sqlite3.Connection,
    snapshot: Snapshot,
    embeds: np.ndarray,
    words: Sequence[QueryWords] | None,
    k: int,
    allowed: np.ndarray | None,
    weight: float,
) -> list[Ranking]:
    """Return the k best items for each query.

    The place of an item is decided by (1 − weight) / (60 + its rank by vectors) + weight / (60 + its rank by words),
    where one that a ranking does not have gets nothing from it. The ranking by words has the items with all words of a
    query that tell items apart: with any of them, it would be noise beside the vectors of a whole sentence. A query of
    which no word tells items apart has exactly the ranking by vectors.

    Args:
        connection: A connection that sees the state of `snapshot`.
        snapshot: The state to search.
        embeds: Embeddings of the queries, (Q, D).
        words: The words of each query, as `telling_words` returns them; None for queries that are no texts.
        k: Number of items; fewer come back if there are fewer.
        allowed: Positions to search among, ascending; None means all.
        weight: Weight of words, from 0 to 1.
    """
    if words is None:
        return snapshot.rank(embeds, k, allowed)
    depth = max(k, DEPTH)
    plain = [number for number, own in enumerate(words) if not own.required and not own.terms]
    rankings = dict(zip(plain, snapshot.rank(embeds[plain], k, allowed))) if plain else {}
    for number, own in enumerate(words):
        if number not in rankings:
            among = _having(connection, own.required, allowed)
            spoken = _spoken(connection, own, among, depth)
            embed = embeds[[number]]
            rankings[number] = (
                _fused(snapshot, embed, spoken, depth, among, weight).cut(k)
                if spoken
                else snapshot.rank(embed, k, among)[0]
            )
    return [rankings[number] for number in range(len(words))]


def with_words(connection: sqlite3.Connection, results: Sequence[Result], words: QueryWords) -> list[Result]:
    """Return the answers to a query, each with those of the query's words that it has."""
    texts = words_of(connection, [result.number for result in results]) if words.terms else {}
    found = [
        tuple(term for term, phrase in words.terms if phrase in texts.get(result.number, "")) for result in results
    ]
    return [dataclasses.replace(result, words=own) if own else result for result, own in zip(results, found)]


def _having(connection: sqlite3.Connection, required: Sequence[str], allowed: np.ndarray | None) -> np.ndarray | None:
    """Return the allowed positions whose items have all of some phrases."""
    if not required:
        return allowed
    having = np.array(positions_with_all(connection, required), dtype=np.int64)
    return having if allowed is None else np.intersect1d(having, allowed)


def _spoken(connection: sqlite3.Connection, words: QueryWords, allowed: np.ndarray | None, depth: int) -> list[int]:
    """Return the positions of those items that have all words that tell items apart, the best first."""
    if not words.terms:
        return []
    phrases = [phrase for _, phrase in words.terms]
    if allowed is None:
        return ranked_by_words(connection, phrases, depth)
    among = set(allowed.tolist())
    return [position for position in ranked_by_words(connection, phrases) if position in among][:depth]


def _fused(
    snapshot: Snapshot, embed: np.ndarray, spoken: list[int], depth: int, allowed: np.ndarray | None, weight: float
) -> Ranking:
    by_words = {position: rank for rank, position in enumerate(spoken, start=1)}
    # Whatever words find has a score, too.
    [seen] = snapshot.rank(embed, depth, allowed, by_words)
    ranks = np.arange(1, len(seen.positions) + 1)
    points = np.where(ranks <= depth, (1 - weight) / (SMOOTHING + ranks), 0.0)
    for index, position in enumerate(seen.positions.tolist()):
        if position in by_words:
            points[index] += weight / (SMOOTHING + by_words[position])
    # Stable: equals stay in the order of their scores.
    return seen.chosen(np.argsort(-points, kind="stable"))
