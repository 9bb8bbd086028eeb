"""Statistics of frozen towers' outputs, taken from the training data."""

import itertools
import random
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from modeling_leccr import LeccrModel
from processing import RetrievalCollator
from processing.caption_collator import tokenize
from processing.features import FeatureFile

from ..errors import UserError
from .build import training_texts

TEXTS, PICTURES = 2000, 256
# Of more training texts than these, none of the later ones is drawn.
TEXTS_TO_DRAW_FROM = 100_000


def standardize(
    model: LeccrModel, features: FeatureFile | None, rows: Any, processor: Any = None, seed: int = 0
) -> None:
    """Take the statistics of visual features from the training rows, for a model that standardises them.

    Args:
        model: The model.
        features: Features of the rows computed ahead; without them some rows are drawn, and the tower sees these.
        rows: Training rows.
        processor: The model's processor.
        seed: Of the draw.

    Raises:
        UserError: If there are no features, and rows cannot be drawn because they are streamed.
    """
    if not model.config.vision_standardize:
        return
    if features is not None:
        model.image.set_feature_statistics(*features.statistics(rows["id"]))
        return
    if not isinstance(rows, Dataset):
        raise UserError("vision_standardize takes statistics of training rows, which cannot be streamed; turn it off.")
    drawn = random.Random(seed).sample(range(len(rows)), min(PICTURES, len(rows)))
    model.image.set_feature_statistics(*_seen_statistics(model, rows.select(drawn), processor))


@torch.no_grad()
def _seen_statistics(model: LeccrModel, rows: Dataset, processor: Any) -> tuple[Tensor, Tensor]:
    """Return mean and deviation (F,) of what the vision tower says of rows."""
    collator, tokens = RetrievalCollator(processor), []
    model.eval()
    for start in range(0, len(rows), 16):
        inputs = collator.image_inputs(list(rows.select(range(start, min(start + 16, len(rows))))), descriptions=False)
        features = inputs.get("visual_features")
        seen = model.get_visual_tokens(inputs["pixel_values"]) if features is None else features
        mask = inputs.get("visual_attention_mask")
        tokens.append(seen.flatten(0, 1) if mask is None else seen[mask.bool()])
    joined = torch.cat(tokens).float()
    return joined.mean(dim=0), joined.std(dim=0, correction=0)


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
    texts = list(itertools.islice(training_texts(rows), TEXTS_TO_DRAW_FROM))
    texts = random.Random(seed).sample(texts, min(TEXTS, len(texts)))
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
