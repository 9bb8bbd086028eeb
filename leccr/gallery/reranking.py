"""A second look: the first answers to a text are scored again by a model that sees text and picture together."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image as PillowImage

from processing.images import open_image
from processing.shots import span_at
from processing.video import open_frames

from ..errors import UserError
from ..models.reranker import Reranker, Shown
from .results import Result, existing_file
from .store.catalogue import VIDEO

# Pixels of the shorter side that rerankers see.
SIDE = 512


def rerank(
    reranker: Reranker,
    query: str,
    results: Sequence[Result],
    thumbnail: "Callable[[Result], PillowImage.Image | None]",
    first: int,
) -> list[Result]:
    """Return results with the first of them in the order of a reranker's scores, which become `reranked`.

    Answers that the reranker can see nothing of come after the others, and equal scores leave the order as it was.

    Args:
        reranker: The model.
        query: The text.
        results: Best first.
        thumbnail: Returns the stored small picture of a result, for those whose file is gone.
        first: How many are scored again.

    Raises:
        UserError: If the model returns undefined numbers.
    """
    again, rest = results[:first], results[first:]
    scores = reranker.scores(query, [Shown(_picture(each, thumbnail), each.description) for each in again])
    scored = [
        dataclasses.replace(again[index], reranked=float(scores[index]) if np.isfinite(scores[index]) else None)
        for index in np.argsort(-scores, kind="stable")
    ]
    return [dataclasses.replace(each, rank=rank) for rank, each in enumerate([*scored, *rest], start=1)]


def _picture(result: Result, thumbnail: "Callable[[Result], PillowImage.Image | None]") -> PillowImage.Image | None:
    """Return a picture, or the middle frame of a video or shot; the stored small one where the file is gone."""
    file = existing_file(result.file, result.path)
    try:
        if file is None:
            return thumbnail(result)
        if result.kind != VIDEO:
            return open_image(str(file), result.id, side=SIDE)
        is_shot = result.start is not None and result.end is not None
        span = span_at(file, result.start or 0.0, result.end or 0.0) if is_shot else None
        return open_frames(file, 1, span=span)[0]
    except UserError:
        return None
