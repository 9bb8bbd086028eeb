"""Ranks of the right answers in both directions, computed in blocks: the full similarity matrix is never held.

The score of a text and an image is the largest inner product of the text embedding with one of the image's K views,
summed in float64 and rounded to float32. That makes it depend neither on its position in a block nor on the block's
shape, on which plain float32 products do, so that exact ties stay ties.

Ties count against the model, and so does NaN: an item comes before the right one unless it scores strictly below it.
A model that gives every pair the same score, or NaN, therefore gets the worst rank everywhere instead of a lucky one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite

import torch
from torch import Tensor
from torch.nn.functional import pad

from .blocks import LANES, ScoreBlock, Thresholds, full_precision
from .scores import block_scores, pair_scores

CHUNK = 1024
MOST_ROWS = 2**15 - 16
"""Texts of a block whose counts fit 16 bits."""
TOGETHER = 16
"""How many captions of each image are compared in one go."""


@dataclass(frozen=True)
class RetrievalRanks:
    """Ranks of the right answers, for T texts and N images. All tensors are on the CPU.

    Attributes:
        text_to_image: (T,) int64, for each text the 1-based rank of its image among all N images.
        image_to_text: (N,) int64, for each image the 1-based rank of the best of its own captions: one plus the
            number of other images' captions that do not score strictly below it. 0 for an image without captions,
            which is a distractor in the gallery and nothing else.
        image_average_precision: (N,) float64 in [0, 1], the average precision of the ranking of all T texts, an
            image's own captions being the relevant ones. NaN for an image without captions.
    """

    text_to_image: Tensor
    image_to_text: Tensor
    image_average_precision: Tensor


@torch.no_grad()
def retrieval_ranks(
    text_embeds: Tensor, image_views: Tensor, text_image: Tensor, chunk_size: int = CHUNK
) -> RetrievalRanks:
    """Rank the images for each text and the texts for each image.

    Blocks are multiplied in float32. Only pairs whose score lies so close to that of a right answer that rounding could
    decide are multiplied again in float64, so that the ranks are those of float64. Where such pairs are many, as with
    a model that gives all pairs the same score, or embeddings are not finite, the whole block is.
    Memory: a few numbers for each of `chunk_size` x `chunk_size` pairs, in addition to the inputs.

    Args:
        text_embeds: (T, D) embeddings of the captions of one language.
        image_views: (N, K, D) views of the whole gallery; images that no caption names stay in it as distractors.
        text_image: (T,) integer position in `image_views` of each text's image. Texts may come in any order.
        chunk_size: texts, and images, of one block.

    Raises:
        ValueError: if the shapes do not agree, there is no text, `text_image` points outside the gallery, or
            `chunk_size` is not positive.
    """
    check_inputs(text_embeds, image_views, text_image, chunk_size)
    if text_embeds.device.type == "mps":  # which has no float64
        text_embeds, image_views = text_embeds.cpu(), image_views.cpu()
    text_image = text_image.to(text_embeds.device, torch.long)
    with full_precision(text_embeds.device):
        ranking = _Ranking(text_embeds, image_views, text_image, chunk_size)
        ranking.run()
    images_before, texts_before = ranking.before
    image_to_text, average_precision = _rank_captions(texts_before, text_image, len(image_views))
    return RetrievalRanks((images_before + 1).cpu(), image_to_text.cpu(), average_precision.cpu())


@dataclass(frozen=True)
class _ByColumn:
    """Some of the captions of the images of a block.

    Attributes:
        thresholds: (C, n), their scores with the images.
        widths: How many images have the first of them, the second, and so on.
        counters: (C·n,) where in `_Ranking.before` is counted what comes before each.
    """

    thresholds: Thresholds
    widths: list[int]
    counters: Tensor


class _Ranking:
    """Counts for each text the images, and the texts, that come before it.

    Images are in the order of `order`: those with the most captions first, so that those with more than any number of
    captions are the first columns of a block.

    Attributes:
        before: (2, T) int64: for each text how many other images do not score strictly below its own with it, and how
            many texts of other images do not score strictly below it with its own image.
    """

    def __init__(self, text_embeds: Tensor, image_views: Tensor, text_image: Tensor, chunk_size: int) -> None:
        num_texts, num_images = len(text_embeds), len(image_views)
        self.texts, self.views = text_embeds, image_views
        self.before = torch.zeros(2, num_texts, dtype=torch.long, device=text_embeds.device)
        positions = torch.arange(num_texts, device=text_embeds.device)
        own_scores = pair_scores(text_embeds, image_views, positions, text_image)
        # Nothing scores below either.
        self.own_scores = torch.where(own_scores.isnan(), -torch.inf, own_scores)
        self.num_captions, self.order = text_image.bincount(minlength=num_images).sort(descending=True, stable=True)
        self.column = self.order.argsort()[text_image]
        self.by_image = self.column.argsort(stable=True)
        sizes = min(chunk_size, num_texts, MOST_ROWS), min(chunk_size, num_images)
        self.block = ScoreBlock(*sizes, text_embeds.shape[1], text_embeds.device)
        self.chunks = list(_slices(num_texts, self.block.rows))
        self.norms = [_largest_norm(text_embeds[texts]) for texts in self.chunks]
        self.text_norm = max((norm for norm in self.norms if isfinite(norm)), default=inf)
        self.unsure: list[tuple[Tensor, Tensor, Tensor]] = []

    def run(self) -> None:
        """Count in all blocks."""
        for images in _slices(len(self.views), self.block.columns):
            views = self.views[self.order[images]]
            captions = self._captions(images)
            for texts in self._count(images, views, captions):
                self._count_exactly(texts, images, views, captions)
            self._decide()

    def _captions(self, images: slice) -> list[Tensor]:
        """Return the first texts (C, n) of each image, then the next ones of those with more; -1 where it has none."""
        counts = self.num_captions[images]
        starts = self.num_captions[: images.start].sum() + counts.cumsum(0) - counts
        most = int(counts[0])
        groups = []
        for first in range(0, max(most, 1), TOGETHER):
            have = counts > first
            number = torch.arange(first, min(first + TOGETHER, most), device=counts.device)[:, None]
            texts = self.by_image[(starts[have] + number).clamp(max=len(self.texts) - 1)]
            texts = torch.where(number < counts[have], texts, -1)
            groups.append(pad(texts, (0, -texts.shape[1] % LANES), value=-1))
        return groups

    def _count(self, images: slice, views: Tensor, captions: list[Tensor]) -> list[slice]:
        """Count in float32 in all blocks of some images, and return the texts for which that is not enough.

        Args:
            images: Positions in `order`.
            views: (n, K, D) of these images.
            captions: Their texts, as `_captions` returns them.
        """
        unit = self.block.unit(self.text_norm, _largest_norm(views))
        if unit is None:
            return self.chunks
        views = views.float() * unit
        own_scores = self.own_scores.double() * unit
        by_column = [
            _ByColumn(
                self.block.thresholds(torch.where(texts < 0, inf, own_scores[texts]), texts.shape[1]),
                (texts >= 0).sum(dim=1).tolist(),
                texts.clamp(min=0).flatten() + len(own_scores),
            )
            for texts in captions
        ]
        return [
            texts
            for texts, norm in zip(self.chunks, self.norms)
            if not isfinite(norm) or not self._count_block(texts, images, views, own_scores, by_column)
        ]

    def _count_block(
        self,
        texts: slice,
        images: slice,
        views: Tensor,
        own_scores: Tensor,
        by_column: list[_ByColumn],
    ) -> bool:
        """Count in one block; return False, and count nothing, if too much is unsure.

        Args:
            texts: Rows.
            images: Columns.
            views: (n, K, D) float32, multiplied with the unit.
            own_scores: (T,) float64, multiplied with the unit.
            by_column: Thresholds of the images.
        """
        column = self.column[texts] - images.start
        own = ((column >= 0) & (column < len(views))).nonzero().squeeze(1)
        self.block.fill(self.texts[texts].float(), views, (own, column[own]))
        by_row = self.block.thresholds(own_scores[texts], self.block.rows)
        counters = pad(torch.arange(texts.start, texts.stop, device=own.device), (0, self.block.rows - len(column)))
        found = []
        for columns in by_column:
            counts, unsure = self.block.compare(by_row, columns.thresholds, columns.widths)
            if unsure is None:
                return False
            found.append((torch.cat([counters, columns.counters]), counts, unsure))
            by_row, counters = self.block.thresholds(own_scores[:0], 0), counters[:0]
        for counters, counts, (thresholds, rows, positions) in found:
            self.before.view(-1).index_add_(0, counters, counts)
            self.unsure.append((counters[thresholds], rows + texts.start, self.order[positions + images.start]))
        if sum(len(rows) for _, rows, _ in self.unsure) > self.block.scores.numel():
            self._decide()
        return True

    def _decide(self) -> None:
        """Decide in float64 the pairs that float32 could not."""
        if not self.unsure:
            return
        counters, texts, images = (torch.cat(each) for each in zip(*self.unsure))
        self.unsure = []
        scores = pair_scores(self.texts, self.views, texts, images)
        not_below = ~(scores < self.own_scores[counters % len(self.texts)])
        self.before.view(-1).index_add_(0, counters, not_below.long())

    def _count_exactly(self, texts: slice, images: slice, views: Tensor, captions: list[Tensor]) -> None:
        """Count in one block in float64, with the arguments of `_count`."""
        scores = block_scores(self.texts[texts], views)
        others = self.column[texts, None] != torch.arange(images.start, images.stop, device=scores.device)
        # "not below" instead of "at least", so that a comparison with NaN counts against the model.
        self.before[0, texts] += (~(scores < self.own_scores[texts, None]) & others).sum(dim=1)
        for own in (row[row >= 0] for group in captions for row in group):
            not_below = ~(scores[:, : len(own)] < self.own_scores[own])
            self.before[1].index_add_(0, own, (not_below & others[:, : len(own)]).sum(dim=0))


@torch.no_grad()
def own_and_other_scores(
    text_embeds: Tensor, image_views: Tensor, text_image: Tensor, chunk_size: int = CHUNK
) -> tuple[Tensor, Tensor]:
    """Return each text's score (T,) with its own image, and its best (T,) with another; minus infinity without one.

    Arguments, errors and rounding are those of `retrieval_ranks`.
    """
    check_inputs(text_embeds, image_views, text_image, chunk_size)
    own_scores = pair_scores(text_embeds, image_views, torch.arange(len(text_image)), text_image)
    other_scores = torch.full_like(own_scores, -torch.inf)
    for texts in _slices(len(text_image), chunk_size):
        for images in _slices(len(image_views), chunk_size):
            scores = block_scores(text_embeds[texts], image_views[images])
            scores[text_image[texts, None] == torch.arange(images.start, images.stop)] = -torch.inf
            other_scores[texts] = torch.maximum(other_scores[texts], scores.amax(dim=1))
    return own_scores, other_scores


def check_inputs(text_embeds: Tensor, image_views: Tensor, text_image: Tensor, chunk_size: int) -> None:
    """Raise ValueError if they are not what `retrieval_ranks` takes."""
    if text_embeds.ndim != 2 or image_views.ndim != 3 or text_embeds.shape[1] != image_views.shape[2]:
        raise ValueError(
            "Ranking needs text embeddings (T, D) and image views (N, K, D), "
            f"but got {tuple(text_embeds.shape)} and {tuple(image_views.shape)}."
        )
    if 0 in text_embeds.shape or 0 in image_views.shape:
        raise ValueError(
            "There is nothing to rank: the text embeddings have the shape "
            f"{tuple(text_embeds.shape)}, the image views {tuple(image_views.shape)}."
        )
    if text_image.shape != text_embeds.shape[:1]:
        raise ValueError(f"There are {len(text_embeds)} texts, but text_image has the shape {tuple(text_image.shape)}.")
    if text_image.is_floating_point() or text_image.min() < 0 or text_image.max() >= len(image_views):
        raise ValueError(f"text_image must hold integers from 0 to {len(image_views) - 1}, the positions of images.")
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, but is {chunk_size}.")


def _slices(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def _largest_norm(embeds: Tensor) -> float:
    """Return the largest norm, as exactly as float32 allows: far more so than the margin of a block is wide."""
    return float(torch.linalg.vector_norm(embeds.float(), dim=-1).max())


def _rank_captions(before: Tensor, text_image: Tensor, num_images: int) -> tuple[Tensor, Tensor]:
    """Return the best rank (N,) and the average precision (N,) of each image's own captions.

    Args:
        before: (T,) how many texts of other images come before each text.
        text_image: (T,) image of each text.
        num_images: N.
    """
    order = before.argsort()
    order = order[text_image[order].argsort(stable=True)]
    before, image = before[order], text_image[order]
    captions = image.bincount(minlength=num_images)
    first = captions.cumsum(0) - captions
    nth = torch.arange(1, len(image) + 1, device=image.device) - first[image]
    precision = nth / (nth + before.double())
    total = torch.zeros(num_images, dtype=torch.float64, device=image.device).index_add_(0, image, precision)
    best = torch.zeros_like(captions)
    has_captions = captions > 0
    best[has_captions] = before[first[has_captions]] + 1
    return best, total / captions  # 0 / 0 is the NaN of no caption
