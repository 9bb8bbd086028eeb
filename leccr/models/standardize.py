"""Statistics of frozen towers' outputs, taken from the training data."""

import random
from typing import Any

import torch
from datasets import Dataset

from modeling_leccr import LeccrModel
from processing.caption_collator import tokenize
from processing.features import FeatureFile

from ..errors import UserError
from .build import training_texts

STANDARDIZING_TEXTS = 2000


def standardize(model: LeccrModel, features: FeatureFile | None, rows: Dataset) -> None:
    """Take the statistics of visual features from the training rows, for a model that standardises them."""
    if not model.config.vision_standardize:
        return
    if features is None:
        raise UserError("vision_standardize needs visual features computed ahead, to take their statistics from.")
    model.image.set_feature_statistics(*features.statistics(rows["id"]))


@torch.no_grad()
def standardize_texts(model: Any, processor: Any, rows: Dataset, seed: int) -> None:
    """Take the statistics of pooled text states from training texts, for a model that standardises them.

    Args:
        model: A `LeccrModel` or a `CrossLingualModel`.
        processor: Its processor or tokenizer.
        rows: Training rows; some of their captions and descriptions are drawn.
        seed: Of the draw.
    """
    if not model.config.text_standardize:
        return
    texts = list(training_texts(rows))
    texts = random.Random(seed).sample(texts, min(STANDARDIZING_TEXTS, len(texts)))
    model.text.tower.eval()
    pooled = []
    for start in range(0, len(texts), 128):
        batch = tokenize(processor, texts[start : start + 128])
        ids, mask = model.text.tower.padded(batch["input_ids"], batch["attention_mask"])
        pooled.append(model.text.tower.pool(model.text.tower(ids, mask), mask, ids).float())
    states = torch.cat(pooled)
    deviations = states.std(dim=0, correction=0).clamp(min=1e-6)
    # Divided by √H, a state has a length of about one, as the head's own embeddings have.
    model.text.head.standardizer.set(states.mean(dim=0), deviations * states.shape[1] ** 0.5)
