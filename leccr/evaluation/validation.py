"""What a run is validated by: the `compute_metrics` of its Trainer."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import EvalPrediction

from ..models.calibration import Calibration
from .calibrate import fit_calibration
from .metrics import retrieval_metrics, sentence_metrics
from .ranks import retrieval_ranks

PADDING = -100


class RetrievalMetrics:
    """The `compute_metrics` of a retrieval run: hit rates, SumR, median rank and mAP by language, and mean SumR.

    Args:
        languages: Languages in the order of the evaluation rows' `caption_languages`.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self.languages = list(languages)

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return `<language>_<metric>` for each language, and `sum_of_hit_rates` averaged over languages."""
        captions, image_views = self._captions(prediction)
        figures = {}
        for language, (caption_embeds, owners) in captions.items():
            figures[language] = retrieval_metrics(retrieval_ranks(caption_embeds, image_views, owners))
        return _joined(figures)

    def calibrate(self, prediction: EvalPrediction, described: float | None = None) -> Calibration | None:
        """Fit what the model's scores mean; None if there is nothing to fit.

        Args:
            prediction: What the model returns for the evaluation rows.
            described: Share of these that have a description, if the model takes them.
        """
        return fit_calibration(*self._captions(prediction), described=described)

    def _captions(self, prediction: EvalPrediction) -> tuple[dict[str, tuple[Tensor, Tensor]], Tensor]:
        """Return embeddings (T, D) and positions (T,) of captions by language, and the views (N, K, D)."""
        image_views, caption_embeds = (torch.from_numpy(np.asarray(array)) for array in prediction.predictions)
        # Where images have different numbers of views, Trainer fills up with this number.
        filler = (image_views == PADDING).all(dim=-1, keepdim=True)
        image_views = torch.where(filler, image_views[:, :1], image_views)
        caption_languages = torch.from_numpy(np.asarray(prediction.label_ids))
        captions = {}
        for number, language in enumerate(self.languages):
            rows, columns = (caption_languages == number).nonzero(as_tuple=True)
            if len(rows):
                captions[language] = (caption_embeds[rows, columns], rows)
        return captions, image_views


class SentenceMetrics:
    """The `compute_metrics` of a text-only run: hit rates between target and source captions, and the mean of sums.

    Args:
        languages: Languages in the order of the evaluation rows' `caption_languages`, the source language first.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self.languages = list(languages)

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return `<target language>_<metric>` of each, and `sum_of_hit_rates` averaged over target languages."""
        caption_embeds = torch.from_numpy(np.asarray(prediction.predictions))
        caption_languages = torch.from_numpy(np.asarray(prediction.label_ids))
        source_row, source_column = (caption_languages == 0).nonzero(as_tuple=True)
        source_embeds = caption_embeds[source_row, source_column]
        figures = {}
        for number, language in enumerate(self.languages[1:], start=1):
            rows, columns = (caption_languages == number).nonzero(as_tuple=True)
            if torch.isin(rows, source_row).any():
                figures[language] = sentence_metrics(source_embeds, source_row, caption_embeds[rows, columns], rows)
        return _joined(figures)


def _joined(figures: dict[str, dict[str, float]]) -> dict[str, float]:
    results = {f"{language}_{name}": value for language, metrics in figures.items() for name, value in metrics.items()}
    sums = [metrics["sum_of_hit_rates"] for metrics in figures.values()]
    return {**results, "sum_of_hit_rates": sum(sums) / len(sums)}
