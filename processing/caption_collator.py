"""The caption half of a batch: drawn pairs for training, all captions for evaluation."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .caption_embeddings import EMBED_COMMAND
from .captions import DrawnPair, draw_pair
from .errors import UserError

LANGUAGE_PADDING = -100


def tokenize(processor: Any, texts: list[str]) -> Any:
    """Turn texts into `input_ids` and `attention_mask` (B, L), by a processor's rule or a tokenizer's own length.

    Args:
        processor: A `LeccrProcessor`, or a tokenizer whose `model_max_length` is where texts are cut.
        texts: Captions or queries in any language.
    """
    if hasattr(processor, "tokenizer"):
        return processor(text=texts)
    # Half of a surrogate pair is not text to tokenizers; a processor sees to it itself.
    texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    return processor(texts, padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False)


class CaptionCollator:
    """Draws one (source caption, translation) from each row, or takes all captions of an evaluation row.

    Each call draws again, so over the epochs every caption and every target language comes up; randomness is torch's,
    which `Trainer` seeds.

    Args:
        processor: A `LeccrProcessor` or a tokenizer.
        languages: Target languages to draw from; None means all that a row has.
        lower_case: Share of the drawn captions that become lower case, as people type queries, too.
    """

    def __init__(
        self,
        processor: Any,
        languages: Sequence[str] | None = None,
        lower_case: float = 0.0,
    ) -> None:
        self.processor = processor
        self.lower_case = lower_case
        self.languages = None if languages is None else set(languages)

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Build a batch.

        Args:
            rows: Rows of `processing.schema`, or rows made by `processing.captions.evaluation_rows`. Training
                rows may have a teacher's `source_embeddings` and `target_embeddings`, one vector for each caption.

        Returns:
            `source_*`, `target_*`, `target_weights`, `image_ids` and, where rows have embeddings of their
            captions, `source_teacher_embeds` and `target_teacher_embeds` (B, D) for training; `caption_*`
            (B, C, L) and `caption_languages` (B, C) for evaluation.

        Raises:
            UserError: If a row lacks a translation or embeddings that other rows have, or a caption is broken.
        """
        return self.caption_inputs(rows)

    def caption_inputs(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Build only the caption side of a batch."""
        return self._all_captions(rows) if "captions" in rows[0] else self._drawn_captions(rows)

    def _drawn_captions(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        pairs = [draw_pair(row, self.languages) for row in rows]
        batch = self._texts("source", self._recased([pair.source for pair in pairs]))
        targets = [pair.target for pair in pairs if pair.target is not None]
        if targets and len(targets) < len(rows):
            lacking = next(row["id"] for row, pair in zip(rows, pairs) if pair.target is None)
            raise UserError(f"Row {lacking!r} has no target caption, but other rows do; translate it, or leave it out.")
        if targets:
            batch.update(self._texts("target", self._recased([target["text"] for target in targets])))
            weights = [1.0 if target.get("weight") is None else target["weight"] for target in targets]
            batch["target_weights"] = torch.tensor(weights)
        batch["image_ids"] = torch.tensor([stable_id(row["id"]) for row in rows])
        batch.update(teacher_embeds(rows, pairs))
        return batch

    def _recased(self, texts: list[str]) -> list[str]:
        if not 0 < self.lower_case < 1:
            return [text.lower() for text in texts] if self.lower_case else texts
        chosen = torch.rand(len(texts)) < self.lower_case
        return [text.lower() if is_chosen else text for text, is_chosen in zip(texts, chosen.tolist())]

    def _texts(self, prefix: str, texts: list[str]) -> dict[str, Tensor]:
        return {f"{prefix}_{name}": value for name, value in tokenize(self.processor, texts).items()}

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


def teacher_embeds(rows: Sequence[dict[str, Any]], pairs: Sequence[DrawnPair]) -> dict[str, Tensor]:
    """Return the teacher's embeddings (B, D) of the drawn captions, by side; nothing where no row has any.

    Raises:
        UserError: If a row lacks embeddings that other rows have, or has not as many as captions.
    """
    batch = {}
    for side in ("source", "target"):
        numbers = [getattr(pair, f"{side}_number") for pair in pairs]
        if None not in numbers and any(row.get(f"{side}_embeddings") is not None for row in rows):
            drawn = [_checked_embeddings(row, side)[number] for row, number in zip(rows, numbers)]
            batch[f"{side}_teacher_embeds"] = torch.stack([torch.as_tensor(vector).float() for vector in drawn])
    return batch


def _checked_embeddings(row: dict[str, Any], side: str) -> Any:
    embeddings = row.get(f"{side}_embeddings")
    count, captions = 0 if embeddings is None else len(embeddings), len(row[f"{side}_captions"])
    if embeddings is None or count != captions:
        raise UserError(
            f"Row {row['id']!r} has {count} embeddings for {captions} {side} captions; make them again: "
            f"{EMBED_COMMAND}."
        )
    return embeddings


def stable_id(name: str) -> int:
    """Return a 63-bit integer that depends only on the text, so that processes agree on it."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1
