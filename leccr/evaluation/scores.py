"""Scores as ranks are defined: the largest inner product with a view, summed in float64, rounded to float32."""

import torch
from torch import Tensor

PAIRED = 2**15
"""Numbers of views that are multiplied pair by pair at a time: they stay in the cache."""


def block_scores(text_embeds: Tensor, image_views: Tensor) -> Tensor:
    """Return the (t, n) float32 scores of t texts and n images, computed in float64."""
    num_images, num_views, width = image_views.shape
    products = text_embeds.double() @ image_views.double().reshape(-1, width).T
    return products.view(-1, num_images, num_views).amax(dim=2).float()


def pair_scores(text_embeds: Tensor, image_views: Tensor, texts: Tensor, images: Tensor) -> Tensor:
    """Return the (P,) float32 scores of P pairs, computed in float64.

    Args:
        text_embeds: (T, D).
        image_views: (N, K, D).
        texts: (P,) position of each pair's text.
        images: (P,) position of each pair's image.
    """
    pairs = max(1, PAIRED // image_views[0].numel())
    scores = [
        (image_views[others].double().mul_(text_embeds[some, None])).sum(dim=2).amax(dim=1).float()
        for some, others in zip(texts.split(pairs), images.split(pairs))
    ]
    return torch.cat(scores)
