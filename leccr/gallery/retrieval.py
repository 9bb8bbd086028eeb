"""From queries to the items of a gallery that answer them: the one place where items are ranked."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from .confidence import confidences
from .filters import parse_filter
from .options import SearchOptions
from .results import Result, checked_embeddings, checked_texts, make_results, warn_unreadable
from .store.catalogue import items_at, sources_of
from .store.snapshot import Snapshot, matching_positions

if TYPE_CHECKING:
    from ..models.encoder import Encoder


@dataclass(frozen=True)
class Queries:
    """What a gallery is asked.

    Attributes:
        embeds: Embeddings, (Q, D), float32.
        texts: Each text with the share of its tokens that the model does not know; None for queries that are no texts.
        single: Whether there is one query, and not a list of them.
    """

    embeds: np.ndarray
    texts: list[tuple[str, float]] | None
    single: bool


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
    checked = checked_texts(texts)
    encoder = load()
    asked = list(zip(checked, encoder.unknown_shares(checked), strict=True))
    warn_unreadable(asked)
    return Queries(encoder.texts(checked), asked, isinstance(query, str))


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
    state = snapshot.state
    allowed = None if options.where is None else matching_positions(connection, *parse_filter(options.where))
    rankings = snapshot.rank(queries.embeds, k, allowed)
    items = items_at(connection, sorted({int(position) for each in rankings for position in each.positions}))
    snapshot.engine.view_map.check_counts({position: item.views for position, item in items.items()})
    sources = sources_of(connection)
    sure = repeat(None) if queries.texts is None else confidences(rankings, queries.texts, load(), state)
    return [make_results(ranking, items, sources, state.slots, own) for ranking, own in zip(rankings, sure)]
