"""What an evaluation ranked: the figures of one language with what they were computed from."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .metrics import RetrievalRanks


@dataclass(frozen=True)
class RankedQueries:
    """The evaluation of one language, with what its figures were computed from. All tensors are on the CPU.

    Attributes:
        result: The language, its metrics and the protocol behind them.
        queries: The T captions of the language.
        owners: (T,) index into `views` of the image, or row, that each caption belongs to.
        text_embeds: (T, D) embeddings of the captions.
        views: (N, K, D) of the gallery.
        ranks: Ranks of the right answers.
    """

    result: dict[str, Any]
    queries: list[str]
    owners: Tensor
    text_embeds: Tensor
    views: Tensor
    ranks: RetrievalRanks
