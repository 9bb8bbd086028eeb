"""Turns rows of the schema into training and evaluation batches."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .captions import draw_pair
from .images import open_image

LANGUAGE_PADDING = -100


class RetrievalCollator:
    """Draws one (image, source caption, translation) from each row, or takes all captions of an evaluation row.

    A training batch has each image once. Each call draws anew, so over the epochs every caption and every target
    language comes up; randomness is torch's, which ``Trainer`` seeds.

    Args:
        processor: A :class:`LeccrProcessor`.
        languages: Target languages to draw from; None means all that a row has.
        augment: Called on each training picture, for example a :class:`RandomCrop`.
    """

    def __init__(
        self,
        processor: Any,
        languages: Sequence[str] | None = None,
        augment: Callable[[Any], Any] | None = None,
    ) -> None:
        self.processor = processor
        self.languages = None if languages is None else set(languages)
        self.augment = augment

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Build a batch.

        Args:
            rows: Rows of ``processing.schema``, or rows made by :func:`processing.captions.evaluation_rows`.

        Returns:
            Images as ``pixel_values`` or ``visual_features`` with ``visual_attention_mask``; descriptions unless no
            row has one; then ``source_*``, ``target_*``, ``target_weights`` and ``image_ids`` for training, or
            ``caption_*`` (B, C, L) and ``caption_languages`` (B, C) for evaluation.

        Raises:
            ValueError: If a row lacks a picture, or a translation that other rows have, or a picture or a caption is
                broken.
        """
        evaluation = "captions" in rows[0]
        batch = self.image_inputs(rows, augment=None if evaluation else self.augment)
        batch.update(self._all_captions(rows) if evaluation else self._drawn_captions(rows))
        return batch

    def image_inputs(
        self, rows: Sequence[dict[str, Any]], descriptions: bool = True, augment: Callable[[Any], Any] | None = None
    ) -> dict[str, Tensor]:
        """Build the image side of a batch alone: pictures or features, and descriptions where there are any."""
        return {**self._visual_inputs(rows, augment), **(self._descriptions(rows) if descriptions else {})}

    def _visual_inputs(self, rows: Sequence[dict[str, Any]], augment: Callable[[Any], Any] | None) -> dict[str, Tensor]:
        if rows[0].get("visual_features") is not None:
            return pad_features([torch.as_tensor(row["visual_features"]) for row in rows])
        pictures = [open_image(row.get("image"), row["id"]) for row in rows]
        if augment is not None:
            pictures = [augment(picture) for picture in pictures]
        return dict(self.processor(images=pictures))

    def _descriptions(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        descriptions = [row.get("description") for row in rows]
        if not any(descriptions):
            return {}
        return dict(self.processor(descriptions=descriptions))

    def _drawn_captions(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        pairs = [draw_pair(row, self.languages) for row in rows]
        batch = self._texts("source", [source for source, _ in pairs])
        targets = [target for _, target in pairs if target is not None]
        if targets and len(targets) < len(rows):
            lacking = next(row["id"] for row, (_, target) in zip(rows, pairs) if target is None)
            raise ValueError(
                f"Row {lacking!r} has no target caption, but other rows do; translate it, or leave it out."
            )
        if targets:
            batch.update(self._texts("target", [target["text"] for target in targets]))
            weights = [1.0 if target.get("weight") is None else target["weight"] for target in targets]
            batch["target_weights"] = torch.tensor(weights)
        batch["image_ids"] = torch.tensor([stable_id(row["id"]) for row in rows])
        return batch

    def _texts(self, prefix: str, texts: list[str]) -> dict[str, Tensor]:
        return {f"{prefix}_{name}": value for name, value in self.processor(text=texts).items()}

    def _all_captions(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        most = max(len(row["captions"]) for row in rows)
        texts, languages = [], []
        for row in rows:
            missing = most - len(row["captions"])
            # Padding repeats a caption so that every text is real; its language marks it as padding.
            texts += [*row["captions"], *[row["captions"][0]] * missing]
            languages.append([*row["caption_languages"], *[LANGUAGE_PADDING] * missing])
        batch = {name: value.unflatten(0, (len(rows), most)) for name, value in self._texts("caption", texts).items()}
        batch["caption_languages"] = torch.tensor(languages)
        return batch


def stable_id(name: str) -> int:
    """Return a 63-bit integer that depends on the text alone, so that processes agree on it."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def pad_features(features: list[Tensor]) -> dict[str, Tensor]:
    """Pad (N_i, F) features to (B, N, F) float32 with their mask (B, N)."""
    lengths = torch.tensor([len(item) for item in features])
    padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True).float()
    return {
        "visual_features": padded,
        "visual_attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long(),
    }
