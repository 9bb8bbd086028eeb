"""The figures of an evaluation: hit rates, median rank, mean average precision and mean rank variance."""

import statistics

import torch
from torch import Tensor

from hub_card.results import CUTOFFS

from .ranks import RetrievalRanks, retrieval_ranks

TEXT_TO_IMAGE = "text_to_image"
IMAGE_TO_TEXT = "image_to_text"
IMAGE_DIRECTIONS = (TEXT_TO_IMAGE, IMAGE_TO_TEXT)
SENTENCE_DIRECTIONS = ("target_to_source", "source_to_target")
"""The two directions if a row's source captions replace its image's views."""


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


def _caption_table(text_image: Tensor, num_images: int) -> Tensor:
    """Return (N, C): the positions of each image's texts, filled up with -1 to the largest number of captions."""
    counts = text_image.bincount(minlength=num_images)
    order = text_image.argsort(stable=True)
    image = text_image[order]
    number = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[image]
    table = torch.full((num_images, int(counts.max())), -1, device=order.device)
    table[image, number] = order
    return table
