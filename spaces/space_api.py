"""What programs can ask: `/search` and `/explain`, with answers in JSON."""

from typing import Any

import gradio as gr
from space_errors import SpaceError
from space_explain import Explanation
from space_search import Hit, check_confidence, check_count, check_query, fitting
from space_setup import Setup


def add_api(setup: Setup, limits: dict[str, Any]) -> None:
    """Offer both within the current page.

    Args:
        setup: What is searched.
        limits: How many calls may run concurrently, and with what they share that.
    """

    def search(query: str, k: int = 12, min_confidence: float = 0.0) -> dict[str, Any]:
        """Find the k pictures (at most 50) that fit a text in any of the model's languages, the best first.

        Answers that are less sure than `min_confidence` are left out; if none is left, `nearest` is the best of them.
        """
        try:
            ready, query, least = setup.ready, check_query(query), check_confidence(min_confidence)
            found = ready.searcher.search(query, check_count(k))
            hits = fitting(found, least)
        except SpaceError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {
            "query": query,
            "language": ready.detector.detect(query),
            "unknown": ready.searcher.retriever.unknown_share(query),
            "results": [_hit(hit) for hit in hits],
            "nearest": _hit(found[0]) if found and not hits else None,
        }

    def explain(id: str, query: str) -> dict[str, Any]:
        """Say why the picture with an id has its score for a text: the parts of the score, and what slots read."""
        try:
            found = setup.ready.searcher.explain(str(id), check_query(query))
        except SpaceError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {"id": str(id), **_explanation(found)}

    shared = {name: value for name, value in limits.items() if name != "api_visibility"}
    gr.api(search, api_name="search", **shared)
    gr.api(explain, api_name="explain", **shared)


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "rank": hit.rank,
        "score": hit.score,
        "confidence": hit.confidence,
        "answered_by": hit.answered_by,
        "name": hit.name,
        "description": hit.description,
    }


def _explanation(found: Explanation) -> dict[str, Any]:
    return {
        "score": found.score,
        "whole_picture": found.whole_picture,
        "answered_by": found.answered_by,
        "share": found.share,
        "name": found.name,
        "description": found.description,
        "slots": [
            {
                "number": slot.number,
                "similarity": slot.similarity,
                "points": slot.points,
                "words": [list(piece) for piece in slot.words],
            }
            for slot in found.slots
        ],
    }
