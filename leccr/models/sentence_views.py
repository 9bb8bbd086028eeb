"""Sentence slots for any dual encoder, without training: each sentence of a description makes a view of the picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from processing.features import FeatureFile
from processing.sentences import split_sentences

from ..errors import UserError
from .encoder import IMAGE_BATCH, TEXT_BATCH, Encoder, Inputs


class SentenceViews(Encoder):
    """A dual encoder whose pictures have a view for each sentence of their descriptions.

    With v the picture's embedding and t_k that of the k-th sentence, as if it were a query, both of unit length, and
    with the weight 1 − α of descriptions, the views are w_k = α·v + (1 − α)·unit(g·v + t_k). A picture without a
    description has the one view v, as the dual encoder itself gives it, and with a weight of 0 all views are v.

    Args:
        encoder: The dual encoder.
        weight: Weight of descriptions, from 0 to 1.
        gate: g, how much of the picture is in the slot of a sentence.

    Raises:
        UserError: If the model uses descriptions by itself, or the weight is not between 0 and 1.
    """

    takes_descriptions = True
    slots = True
    description_weight: float

    def __init__(self, encoder: Encoder, weight: float, gate: float = Encoder.sentence_gate) -> None:
        if encoder.takes_descriptions:
            raise UserError(
                f"{encoder.name} uses descriptions by itself, as it was trained; leave --description-weight out."
            )
        if not 0.0 <= weight <= 1.0:
            raise UserError(f"--description-weight is {weight}, but has to be between 0 and 1.")
        self.encoder = encoder
        self.description_weight = weight
        self.sentence_gate = gate
        self.name = encoder.name
        self.takes_images, self.takes_videos = encoder.takes_images, encoder.takes_videos
        self.calibration = encoder.calibration
        self.width, self.frames, self.background = encoder.width, encoder.frames, encoder.background

    def fingerprint(self) -> str:
        """Return that of the dual encoder: a gallery keeps the weight and the gate next to it."""
        return self.encoder.fingerprint()

    def parameter_count(self) -> int:
        """Return how many weights the dual encoder has: the views need none."""
        return self.encoder.parameter_count()

    def texts(self, texts: Sequence[str], batch_size: int = TEXT_BATCH, progress: bool = True) -> np.ndarray:
        """Return the dual encoder's embeddings (T, D) of texts."""
        return self.encoder.texts(texts, batch_size, progress)

    def unknown_shares(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text's tokens that the dual encoder does not know."""
        return self.encoder.unknown_shares(texts)

    def open_picture(self, value: Any, name: str = "") -> PillowImage.Image:
        """Open a picture as the dual encoder does."""
        return self.encoder.open_picture(value, name)

    def prepare(self, row: dict[str, Any]) -> Inputs:
        """Return what the dual encoder takes for the picture of one row."""
        return self.encoder.prepare(row)

    def takes_features(self, features: FeatureFile) -> bool:
        """Return whether the dual encoder takes visual features that were computed ahead."""
        return self.encoder.takes_features(features)

    def views(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> list[np.ndarray]:
        """Return the views (K, D) of each picture, K the number of sentences of its description, at least 1."""
        images = self.whole_images(prepared, descriptions, batch_size)
        weight = self.description_weight
        return [
            (1.0 - weight) * image + weight * slots if len(slots) else image[None]
            for image, slots in zip(images, self.sentence_slots(images, descriptions), strict=True)
        ]

    def sentence_slots(self, images: np.ndarray, descriptions: Sequence[str | None]) -> list[np.ndarray]:
        """Return unit(g·v + t_k) for each sentence of each picture, (K, D), K being 0 without a description.

        Args:
            images: The pictures' embeddings (n, D).
            descriptions: One for each, or None.
        """
        sentences = [split_sentences(description) for description in descriptions]
        embeds = self.encoder.texts([sentence for own in sentences for sentence in own], progress=False)
        parts = np.split(embeds, np.cumsum([len(own) for own in sentences])[:-1])
        slots = [self.sentence_gate * image + own for image, own in zip(images, parts, strict=True)]
        return [own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12) for own in slots]

    def whole_images(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> np.ndarray:
        """Return the dual encoder's embeddings (n, D) of pictures, which descriptions do not change."""
        return self.encoder.whole_images(prepared, [None] * len(prepared), batch_size)


def with_sentences(encoder: Encoder, weight: float | None, gate: float = Encoder.sentence_gate) -> Encoder:
    """Return a dual encoder with sentence slots; any model as it is if no weight is given, or one of 0.

    Args:
        encoder: A model.
        weight: Weight of descriptions.
        gate: As for `SentenceViews`.

    Raises:
        UserError: As `SentenceViews` does.
    """
    if weight is None:
        return encoder
    plain = encoder.encoder if isinstance(encoder, SentenceViews) else encoder
    views = SentenceViews(plain, weight, gate)
    return views if weight else plain
