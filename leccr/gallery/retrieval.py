"""From queries to the items of a gallery that answer them: the one place where items are ranked."""

import dataclasses
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from .alike import folded, varied
from .confidence import confidences
from .filters import parse_filter
from .fusion import check_weight_of_words, rank_together, telling_words, with_words
from .looks import Looks
from .options import SearchOptions
from .query_words import QueryWords, words_of_query
from .results import Result, checked_embeddings, checked_texts, make_results, warn_unreadable
from .sorting import check_order
from .store.catalogue import Item, items_at, sources_of
from .store.facts import facts_of
from .store.followed import missing_numbers
from .store.moments import has_moments, moments_of, videos_at
from .store.ranking import Ranking
from .store.snapshot import Snapshot, matching_positions

if TYPE_CHECKING:
    from ..models.encoder import Encoder

# Times as many items are ranked where shots of the same videos leave too few answers.
MORE = 4
# Answers beyond those asked for among which near duplicates of these are looked for.
AHEAD = 32
LEAST_TO_CHOOSE_FROM = 50


@dataclass(frozen=True)
class Queries:
    """What a gallery is asked.

    Attributes:
        embeds: Embeddings, (Q, D), float32.
        texts: Each text with the share of its tokens that the model does not know; None for queries that are no texts.
        single: Whether there is one query, and not a list of them.
        words: The words of each text.
    """

    embeds: np.ndarray
    texts: list[tuple[str, float]] | None
    single: bool
    words: list[QueryWords] | None = None


def embed_queries(query: Any, load: "Callable[[], Encoder]") -> Queries:
    """Embed one text or several; embeddings are taken as they are.

    Args:
        query: A text or texts, or embeddings (D,) or (Q, D).
        load: Returns the gallery's encoder, which only texts need.

    Raises:
        UserError: If a text is empty, or an embedding has another shape.
    """
    texts = [query] if isinstance(query, str) else query
    if not (isinstance(texts, (list, tuple)) and all(isinstance(text, str) for text in texts)):
        embeds = checked_embeddings(query)
        return Queries(np.atleast_2d(embeds), None, embeds.ndim == 1)
    words = [words_of_query(text) for text in checked_texts(texts)]
    # A model reads what is in quotes, but not the quotes.
    checked, encoder = [own.text for own in words], load()
    asked = list(zip(checked, encoder.unknown_shares(checked), strict=True))
    warn_unreadable(asked)
    return Queries(encoder.texts(checked), asked, isinstance(query, str), words)


def retrieve(
    connection: sqlite3.Connection,
    snapshot: Snapshot,
    queries: Queries,
    k: int,
    options: SearchOptions,
    load: "Callable[[], Encoder]",
) -> list[list[Result]]:
    """Return the k best items for each query.

    Args:
        connection: A connection that sees the state of `snapshot`.
        snapshot: The state to search.
        queries: The queries.
        k: Number of results; fewer come back if there are fewer items.
        options: Which items are answers.
        load: Returns the gallery's encoder, which knows how sure answers to texts are.
    """
    check_order(options.sort)
    check_weight_of_words(options.words)
    state = snapshot.state
    allowed = None if options.where is None else matching_positions(connection, *parse_filter(options.where))
    words = queries.words and telling_words(connection, queries.words, snapshot, options.words)

    def rank(count: int) -> list[Ranking]:
        return rank_together(connection, snapshot, queries.embeds, words, count, allowed, options.words)

    one_per_video = not options.all_moments and has_moments(connection)

    def answers(count: int) -> list[Ranking]:
        return _one_per_video(connection, rank, count, state.items) if one_per_video else rank(count)

    rankings, others = _chosen(snapshot, answers, k, options, Looks(connection, snapshot))
    positions = {int(position) for each in rankings for position in each.positions}
    positions |= {position for each in others for alike in each.values() for position in alike}
    items = items_at(connection, sorted(positions))
    snapshot.engine.view_map.check_counts({position: item.views for position, item in items.items()})
    numbers = [item.number for item in items.values()]
    facts, moments, sources = facts_of(connection, numbers), moments_of(connection, numbers), sources_of(connection)
    sure = repeat(None) if queries.texts is None else confidences(rankings, queries.texts, load(), state)
    gone = missing_numbers(connection)
    found = [
        make_results(ranking, items, sources, state.slots, own, moments, facts, gone)
        for ranking, own in zip(rankings, sure)
    ]
    found = [_with_alike(results, ranking, own, items) for results, ranking, own in zip(found, rankings, others)]
    if words is not None:
        found = [with_words(connection, results, own) for results, own in zip(found, words)]
    return found


def _chosen(
    snapshot: Snapshot, answers: Callable[[int], list[Ranking]], k: int, options: SearchOptions, looks: Looks
) -> tuple[list[Ranking], list[dict[int, list[int]]]]:
    """Return the k answers of each query, and the positions of the near duplicates that each stands for."""
    wanted = max(MORE * k, LEAST_TO_CHOOSE_FROM) if options.diverse else k
    count = wanted + AHEAD if options.folded else wanted
    rankings = answers(count)
    others: list[dict[int, list[int]]] = [{} for _ in rankings]
    while options.folded:
        found = [folded(snapshot, ranking, wanted, looks) for ranking in rankings]
        settled = zip(found, rankings)
        if all(len(own.positions) >= wanted or len(ranking.positions) < count for (own, _), ranking in settled):
            rankings, others = [own for own, _ in found], [alike for _, alike in found]
            break
        count *= MORE
        rankings = answers(count)
    return [varied(snapshot, own, k) for own in rankings] if options.diverse else rankings, others


def _with_alike(
    results: list[Result], ranking: Ranking, others: Mapping[int, list[int]], items: Mapping[int, Item]
) -> list[Result]:
    if not others:
        return results
    alike = [tuple(items[at].path for at in others.get(position, ())) for position in ranking.positions.tolist()]
    return [dataclasses.replace(result, alike=own) for result, own in zip(results, alike)]


def _one_per_video(
    connection: sqlite3.Connection, rank: Callable[[int], list[Ranking]], k: int, items: int
) -> list[Ranking]:
    """Return the k best items of each query, of every long video only the best shot.

    Args:
        connection: A connection that sees the state that is searched.
        rank: Returns as many of the best items of each query as it is asked for.
        k: Number of items.
        items: Number of items in the gallery.
    """
    count = k
    while True:
        rankings = rank(count)
        videos = videos_at(connection, {int(position) for each in rankings for position in each.positions})
        best = [_first_of_each(ranking, videos) for ranking in rankings]
        if count >= items or all(
            len(own.positions) >= k or len(ranking.positions) < count for own, ranking in zip(best, rankings)
        ):
            return [own.cut(k) for own in best]
        count *= MORE


def _first_of_each(ranking: Ranking, videos: Mapping[int, Any]) -> Ranking:
    groups = [videos.get(position, position) for position in ranking.positions.tolist()]
    first: dict[Any, int] = {}
    for index, group in enumerate(groups):
        first.setdefault(group, index)
    return ranking.chosen(list(first.values()))
