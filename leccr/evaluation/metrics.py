"""Retrieval metrics in both directions, computed in blocks: the full similarity matrix is never held.

The score of a text and an image is the largest inner product of the text embedding with one of the image's K views.

Ties count against the model, and so does NaN: an item comes before the right one unless it scores strictly below it.
A model that gives every pair the same score, or NaN, therefore gets the worst rank everywhere instead of a lucky one.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hub_card.results import CUTOFFS

TEXT_TO_IMAGE = "text_to_image"
IMAGE_TO_TEXT = "image_to_text"
IMAGE_DIRECTIONS = (TEXT_TO_IMAGE, IMAGE_TO_TEXT)
SENTENCE_DIRECTIONS = ("target_to_source", "source_to_target")
"""The two directions if a row's source captions replace its image's views."""


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
    text_embeds: Tensor, image_views: Tensor, text_image: Tensor, chunk_size: int = 1024
) -> RetrievalRanks:
    """Rank the images for each text and the texts for each image.

    Scores are float32 whatever the inputs are. Each is summed in float64 and then rounded, so that it depends neither
    on its position in a block nor on the block's shape: plain float32 products do, which breaks exact ties at random.
    Memory: `chunk_size` x `chunk_size` x K scores at a time, in addition to the inputs.

    Args:
        text_embeds: (T, D) embeddings of the captions of one language.
        image_views: (N, K, D) views of the whole gallery; images that no caption names stay in it as distractors.
        text_image: (T,) integer position in `image_views` of each text's image. Texts may come in any order.
        chunk_size: texts, and images, of one block.

    Raises:
        ValueError: if the shapes do not agree, there is no text, `text_image` points outside the gallery, or
            `chunk_size` is not positive.
    """
    _check(text_embeds, image_views, text_image, chunk_size)
    if text_embeds.device.type == "mps":  # which has no float64
        text_embeds, image_views = text_embeds.cpu(), image_views.cpu()
    text_image = text_image.to(text_embeds.device, torch.long)
    num_images = image_views.shape[0]
    own_scores = _own_scores(text_embeds, image_views, text_image, chunk_size)
    captions = _caption_table(text_image, num_images)
    caption_scores = own_scores[captions.clamp(min=0)]

    images_before = torch.zeros_like(text_image)
    texts_before = torch.zeros_like(captions)
    for texts, images in _blocks(len(text_image), num_images, chunk_size):
        scores = _score(text_embeds[texts], image_views[images])
        others = text_image[texts, None] != _positions(images, scores)
        # "not below" instead of "at least", so that a comparison with NaN counts against the model.
        images_before[texts] += (~(scores < own_scores[texts, None]) & others).sum(1)
        for number in range(captions.shape[1]):
            texts_before[images, number] += (~(scores < caption_scores[images, number]) & others).sum(0)

    image_to_text, average_precision = _rank_captions(texts_before, captions >= 0)
    return RetrievalRanks((images_before + 1).cpu(), image_to_text.cpu(), average_precision.cpu())


@torch.no_grad()
def own_and_other_scores(
    text_embeds: Tensor, image_views: Tensor, text_image: Tensor, chunk_size: int = 1024
) -> tuple[Tensor, Tensor]:
    """Return each text's score (T,) with its own image, and its best (T,) with another; minus infinity without one.

    Arguments, errors and rounding are those of `retrieval_ranks`.
    """
    _check(text_embeds, image_views, text_image, chunk_size)
    own_scores = _own_scores(text_embeds, image_views, text_image, chunk_size)
    other_scores = torch.full_like(own_scores, -torch.inf)
    for texts, images in _blocks(len(text_image), image_views.shape[0], chunk_size):
        scores = _score(text_embeds[texts], image_views[images])
        scores[text_image[texts, None] == _positions(images, scores)] = -torch.inf
        other_scores[texts] = torch.maximum(other_scores[texts], scores.amax(dim=1))
    return own_scores, other_scores


def retrieval_metrics(ranks: RetrievalRanks, directions: tuple[str, str] = IMAGE_DIRECTIONS) -> dict[str, float]:
    """Return the figures of one evaluation.

    Images without captions count in no image-to-text figure. With several captions per image, `hit_rate` is what
    papers on CLIP and on cross-lingual retrieval call R@k: the share of queries with at least one right answer among
    the first k. It is not the recall, which would be the share of an image's captions that are among them.

    Args:
        ranks: What `retrieval_ranks` returned.
        directions: Names of the directions, that of the texts as queries first.

    Returns:
        For each direction: `<direction>_hit_rate_1`, `_5` and `_10` in percent, `<direction>_median_rank`
        (from 1), `<direction>_mean_average_precision` in percent. And `sum_of_hit_rates`, the papers' SumR: the sum
        of the six hit rates, at most 600.

    Raises:
        ValueError: if the ranks are of no text at all.
    """
    if len(ranks.text_to_image) == 0:
        raise ValueError("There are no texts to average over.")
    has_captions = ranks.image_to_text > 0
    to_image, to_text = directions
    precisions = {
        to_image: 1.0 / ranks.text_to_image.double(),  # one right image each
        to_text: ranks.image_average_precision[has_captions],
    }
    metrics: dict[str, float] = {}
    for direction, rank in ((to_image, ranks.text_to_image), (to_text, ranks.image_to_text[has_captions])):
        for cutoff in CUTOFFS:
            metrics[f"{direction}_hit_rate_{cutoff}"] = 100.0 * (rank <= cutoff).double().mean().item()
        metrics[f"{direction}_median_rank"] = float(statistics.median(rank.tolist()))
        metrics[f"{direction}_mean_average_precision"] = 100.0 * precisions[direction].mean().item()
    metrics["sum_of_hit_rates"] = sum(value for name, value in metrics.items() if "_hit_rate_" in name)
    return metrics


def sentence_metrics(
    source_embeds: Tensor, source_row: Tensor, target_embeds: Tensor, target_row: Tensor
) -> dict[str, float]:
    """Return the figures of retrieval between target captions and the rows of source captions that they belong to.

    A row is found if any of its source captions is: they replace an image's views, so the score of a
    target caption and a row is the largest inner product with one of the row's source captions. Rows without a source
    caption are left out, and so are their target captions.

    Args:
        source_embeds: (S, D).
        source_row: (S,) row of each source caption.
        target_embeds: (T, D), of one language.
        target_row: (T,) row of each target caption.

    Returns:
        What `retrieval_metrics` does, for the directions `target_to_source` and `source_to_target`.

    Raises:
        ValueError: if no target caption belongs to a row with a source caption, or the shapes do not agree.
    """
    views, kept, owners = sentence_gallery(source_embeds, source_row, target_row)
    return retrieval_metrics(retrieval_ranks(target_embeds[kept], views, owners), SENTENCE_DIRECTIONS)


def sentence_gallery(source_embeds: Tensor, source_row: Tensor, target_row: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `sentence_metrics` ranks: rows as galleries of their source captions.

    Returns:
        The views (N, K, D) of the N rows with a source caption; (T,) whether each target caption's row is one of them;
        and the position among the views of each target caption for which it is.
    """
    rows, source_place = source_row.unique(return_inverse=True)
    kept = torch.isin(target_row, rows)
    table = _caption_table(source_place, len(rows))
    # A row with fewer captions than others repeats one, which changes no maximum.
    views = source_embeds[torch.where(table >= 0, table, table[:, :1])]
    return views, kept, torch.searchsorted(rows, target_row[kept])


def mean_rank_variance(ranks: Tensor) -> float:
    """Return the MRV: how far the rank of one picture differs between languages that say the same; 0 is best.

    For each caption it is the variance over the L languages of the rank of its picture, Σ (rank − mean rank)² / L, and
    then the mean over the captions. Nie et al. (arXiv 2406.18254) propose it, because equal hit rates in two languages
    do not show that the same queries succeed.

    Args:
        ranks: (C, L) 1-based ranks of the right picture for C captions, each in the same L languages.

    Raises:
        ValueError: If there is no caption, or only one language.
    """
    if ranks.ndim != 2 or not len(ranks) or ranks.shape[1] < 2:
        raise ValueError(f"MRV needs ranks of captions in two languages or more, but got {tuple(ranks.shape)}.")
    return ranks.double().var(dim=1, correction=0).mean().item()


def _score(text_embeds: Tensor, image_views: Tensor) -> Tensor:
    """Return the (t, n) float32 scores of t texts and n images."""
    num_images, num_views, width = image_views.shape
    products = text_embeds.double() @ image_views.double().reshape(-1, width).T
    return products.view(-1, num_images, num_views).amax(dim=2).float()


def _blocks(num_texts: int, num_images: int, chunk_size: int) -> Iterator[tuple[slice, slice]]:
    for first_text in range(0, num_texts, chunk_size):
        for first_image in range(0, num_images, chunk_size):
            yield (
                slice(first_text, min(first_text + chunk_size, num_texts)),
                slice(first_image, min(first_image + chunk_size, num_images)),
            )


def _positions(images: slice, like: Tensor) -> Tensor:
    return torch.arange(images.start, images.stop, device=like.device)


def _own_scores(text_embeds: Tensor, image_views: Tensor, text_image: Tensor, chunk_size: int) -> Tensor:
    """Return the (T,) scores of the texts with their own images.

    They are read out of the very blocks in which they are compared later, so that ties stay exact.
    """
    own_scores = torch.empty(len(text_image), device=text_embeds.device)
    for texts, images in _blocks(len(text_image), image_views.shape[0], chunk_size):
        column = text_image[texts] - images.start
        here = ((column >= 0) & (column < images.stop - images.start)).nonzero().squeeze(1)
        if len(here):
            own_scores[texts.start + here] = _score(text_embeds[texts], image_views[images])[here, column[here]]
    return own_scores


def _caption_table(text_image: Tensor, num_images: int) -> Tensor:
    """Return (N, C): the positions of each image's texts, filled up with -1 to the largest number of captions."""
    counts = text_image.bincount(minlength=num_images)
    order = text_image.argsort(stable=True)
    image = text_image[order]
    number = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[image]
    table = torch.full((num_images, int(counts.max())), -1, device=order.device)
    table[image, number] = order
    return table


def _rank_captions(texts_before: Tensor, is_caption: Tensor) -> tuple[Tensor, Tensor]:
    """Return the best rank (N,) and the average precision (N,) of each image's own captions.

    Args:
        texts_before: (N, C) how many texts of other images come before each caption.
        is_caption: (N, C) False where an image has fewer than C captions.
    """
    worst = torch.iinfo(texts_before.dtype).max
    before = texts_before.masked_fill(~is_caption, worst).sort(dim=1).values
    captions = is_caption.sum(dim=1)
    nth = torch.arange(1, before.shape[1] + 1, device=before.device)
    precision = nth / (nth + before.double())
    average_precision = (precision * (nth <= captions[:, None])).sum(1) / captions  # 0 / 0 is the NaN of no caption
    return torch.where(captions > 0, before[:, 0] + 1, 0), average_precision


def _check(text_embeds: Tensor, image_views: Tensor, text_image: Tensor, chunk_size: int) -> None:
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
