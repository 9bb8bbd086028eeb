"""The one way to run a model: texts, pictures and videos to embeddings, in batches, on any device."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from tqdm.auto import tqdm
from transformers.utils import logging

from processing import RetrievalCollator
from processing.caption_collator import tokenize
from processing.device import choose_device, choose_dtype, to_device
from processing.features import FeatureFile, with_features
from processing.read_ahead import read_ahead
from processing.text_rule_leccr import unknown_shares

from ..errors import UserError, inputs_of_the_user
from .checkpoints import load_retriever, load_text_encoder

# Settings that change views and are not weights.
SCORING_FIELDS = ("alpha", "num_slots", "normalize_slots", "slot_anchor", "description_fusion", "text_pooling")
VALUES_PER_TENSOR = 1024
TEXT_BATCH, IMAGE_BATCH = 256, 64
# Tokenized together, and then sorted by their numbers of tokens.
TEXTS_PER_CHUNK = 4096
Inputs = dict[str, Tensor]


class Encoder:
    """A model with its processor: embeds texts and, unless it is a text-only model, pictures and videos.

    All embeddings are float32 arrays, whatever the model's precision.

    Args:
        model: A `LeccrModel`, a `CrossLingualModel`, or any model with `get_text_features`; it is set to eval mode
            and stays on its device.
        processor: Its processor or its tokenizer.
        name: The checkpoint's folder or Hub name.

    Attributes:
        takes_images: Whether it embeds pictures.
        takes_videos: Whether it embeds videos.
        takes_descriptions: Whether descriptions change a picture's embeddings.
        slots: Whether a picture's views are slots.
        view_count: Views of a picture, K.
        width: Numbers of an embedding, D.
    """

    def __init__(self, model: Any, processor: Any, name: str = "") -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self.collator = RetrievalCollator(processor)
        slots = getattr(model.config, "num_slots", 0)
        self.takes_images = hasattr(model, "get_image_views")
        self.takes_videos = getattr(processor, "num_frames", None) is not None
        self.takes_descriptions = bool(slots or getattr(model.config, "description_fusion", False))
        self.slots = bool(slots)
        self.view_count: int = max(slots, 1)
        self.width: int = getattr(model.config, "projection_dim", 0)
        self._fingerprint: str | None = None

    @classmethod
    def load(
        cls,
        name: str | Path,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        text_only: bool = False,
    ) -> "Encoder":
        """Load a checkpoint without progress bars or warnings of transformers.

        Args:
            name: Folder or Hub name.
            device: Where it runs, as for `processing.device.choose_device`.
            dtype: Its precision, as for `processing.device.choose_dtype`.
            text_only: Whether texts are all that it has to embed, so that a `CrossLingualModel` or another model with
                `get_text_features` will do.

        Raises:
            UserError: If there is no such device, precision or checkpoint, or the checkpoint embeds no pictures and is
                not asked for texts only.
        """
        device, precision = choose_device(device), choose_dtype(dtype)
        with _quiet():
            model, processor = (load_text_encoder if text_only else load_retriever)(name)
        encoder = cls(model, processor, str(name))
        if precision is not None:
            # A checkpoint is the same model in every precision, so its weights are looked at before they are rounded.
            encoder._fingerprint = encoder.fingerprint()
        to_device(model, device, dtype)
        return encoder

    def fingerprint(self) -> str:
        """Return what distinguishes this model from another of the same name.

        It is made of the names and shapes of all weights, up to 1,024 values spread evenly over each, and the settings
        that views depend on. Training changes all values of a layer, so that looking at all of them adds nothing but
        half a second to each start.
        """
        if self._fingerprint is not None:
            return self._fingerprint
        digest = hashlib.sha256(
            json.dumps([getattr(self.model.config, name, None) for name in SCORING_FIELDS]).encode()
        )
        for name, weight in sorted(self.model.state_dict().items()):
            values = weight.detach().reshape(-1)
            values = values[:: max(1, values.numel() // VALUES_PER_TENSOR)].float().cpu()
            digest.update(f"{name} {tuple(weight.shape)}".encode() + values.numpy().tobytes())
        return digest.hexdigest()[:16]

    @torch.inference_mode()
    def texts(self, texts: Sequence[str], batch_size: int = TEXT_BATCH, progress: bool = True) -> np.ndarray:
        """Return the embeddings (T, D) of texts in any language, in the order of the texts.

        Texts of about equally many tokens share a batch.

        Args:
            texts: None of them empty.
            batch_size: Texts encoded per batch.
            progress: Show a progress bar if there are several batches.
        """
        embeds = np.empty((len(texts), self.width), dtype=np.float32)
        with tqdm(total=len(texts), desc="Encoding texts", disable=not progress or len(texts) <= batch_size) as bar:
            for positions, inputs in token_batches(self.processor, texts, batch_size):
                with inputs_of_the_user():
                    output = self.model.get_text_features(**self._on_device(inputs))
                # Models of transformers itself return more than the embeddings.
                values = _array(getattr(output, "pooler_output", output))
                if embeds.shape[1] != values.shape[1]:
                    embeds = np.empty((len(texts), values.shape[1]), dtype=np.float32)
                embeds[positions] = values
                bar.update(len(positions))
        self._check_numbers(embeds)
        return embeds

    def unknown_shares(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text's tokens, from 0 to 1, that are not in the model's vocabulary.

        It is 1 for emoji and for scripts that the vocabulary lacks: the model cannot read them, and its embedding of
        such a text says nothing about it.
        """
        return unknown_shares(getattr(self.processor, "tokenizer", self.processor), texts)

    def prepare(self, row: dict[str, Any]) -> Inputs:
        """Return the model's inputs for the picture, the video or the features of one row, without its description.

        Raises:
            ValueError: If it is broken; the message names it.
        """
        return self.collator.image_inputs([row], descriptions=False)

    def views(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> np.ndarray:
        """Return the views (n, K, D) of pictures or videos.

        Args:
            prepared: What `prepare` returned for each.
            descriptions: One for each, or None.
            batch_size: Pictures, or frames of videos, encoded per batch. Pictures of different sizes, and videos of
                different lengths, are encoded separately; features are padded.
        """
        views = np.empty((len(prepared), self.view_count, self.width), dtype=np.float32)
        for positions, inputs in self._image_batches(prepared, descriptions, batch_size):
            views[positions] = self._run(self.model.get_image_views, inputs)
        return views

    def whole_images(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> np.ndarray:
        """Return one embedding (n, D) for each picture or video as a whole; arguments as for `views`."""
        embeds = np.empty((len(prepared), self.width), dtype=np.float32)
        for positions, inputs in self._image_batches(prepared, descriptions, batch_size):
            embeds[positions] = self._run(self.model.get_image_features, inputs)
        return embeds

    def image(self, row: dict[str, Any]) -> np.ndarray:
        """Return the embedding (D,) of a row's whole picture or video."""
        return self.whole_images([self.prepare(row)], [row.get("description")])[0]

    def row_views(
        self,
        rows: Any,
        features: FeatureFile | None = None,
        descriptions: bool = True,
        batch_size: int = IMAGE_BATCH,
    ) -> np.ndarray:
        """Return the views (N, K, D) of the pictures, videos or features of rows, read ahead in threads.

        A progress bar shows if there are several batches.

        Args:
            rows: Rows in the project's schema, such as a `datasets.Dataset`.
            features: Visual features computed ahead, used in place of the pictures.
            descriptions: Whether to use the rows' descriptions.
            batch_size: Pictures, or frames of videos, encoded per batch.

        Raises:
            ValueError: If a picture or a video is broken; the message names it.
        """
        source = with_features(rows, features)
        size = max(1, batch_size // (self.processor.num_frames or 1))

        def read(positions: range) -> tuple[list[Inputs], list[str | None]]:
            batch = [source[position] for position in positions]
            said = [row.get("description") if descriptions else None for row in batch]
            return [self.prepare(row) for row in batch], said

        jobs = [range(start, min(start + size, len(source))) for start in range(0, len(source), size)]
        views = np.empty((len(source), self.view_count, self.width), dtype=np.float32)
        bar = tqdm(read_ahead(read, jobs), desc="Encoding images", total=len(jobs), disable=len(jobs) <= 1)
        for positions, (prepared, said) in zip(jobs, bar):
            views[positions.start : positions.stop] = self.views(prepared, said, batch_size)
        self._check_numbers(views)
        return views

    def _check_numbers(self, embeds: np.ndarray) -> None:
        if not np.isfinite(embeds).all():
            raise UserError(
                f"The model {self.name} returns infinite or undefined numbers (NaN); it may have diverged in training, "
                "or need a wider precision: try --dtype fp32."
            )

    def _image_batches(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int
    ) -> Iterator[tuple[list[int], Inputs]]:
        """Yield the positions and the inputs, with descriptions, of items that can be encoded together."""
        kinds: dict[tuple[Any, ...], list[int]] = {}
        for position, inputs in enumerate(prepared):
            shape = inputs["pixel_values"].shape[1:] if "pixel_values" in inputs else ()
            kinds.setdefault((*inputs, *shape), []).append(position)
        for alike in kinds.values():
            pixels = prepared[alike[0]].get("pixel_values")
            frames = pixels.shape[1] if pixels is not None and pixels.ndim == 5 else 1
            size = max(1, batch_size // frames)
            for start in range(0, len(alike), size):
                positions = alike[start : start + size]
                batch = [prepared[position] for position in positions]
                inputs = {name: _joined([each[name] for each in batch]) for name in batch[0]}
                said = [descriptions[position] for position in positions]
                yield positions, inputs | (dict(self.processor(descriptions=said)) if any(said) else {})

    @torch.inference_mode()
    def _run(self, embed: Any, inputs: Inputs) -> np.ndarray:
        with inputs_of_the_user():
            return _array(embed(**self._on_device(inputs)))

    def _on_device(self, inputs: Inputs) -> Inputs:
        return {name: value.to(self.model.device) for name, value in inputs.items()}


def token_batches(processor: Any, texts: Sequence[str], batch_size: int) -> Iterator[tuple[np.ndarray, Inputs]]:
    """Yield the positions (B,) and the inputs (B, L) of texts with about equally many tokens: little of it is padding.

    Args:
        processor: A processor or a tokenizer.
        texts: In any order.
        batch_size: Most texts of a batch.
    """
    fixed = getattr(processor, "pad_to_max_length", False)
    for start in range(0, len(texts), TEXTS_PER_CHUNK):
        inputs = tokenize(processor, list(texts[start : start + TEXTS_PER_CHUNK]))
        # Some tokenizers give no mask; their models read the padding, too.
        tokens = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).bool()
        for rows in tokens.sum(1).argsort(descending=True, stable=True).split(batch_size):
            used = tokens[rows].any(0) | fixed
            yield start + rows.numpy(), {name: value[rows][:, used] for name, value in inputs.items()}


def _joined(values: list[Tensor]) -> Tensor:
    """Return the inputs of several items as one batch, padded with zeros, as masks are, to the most tokens."""
    most = max(value.shape[1] for value in values)
    return torch.cat([pad(value, [0, 0] * (value.ndim - 2) + [0, most - value.shape[1]]) for value in values])


def _array(embeds: Tensor) -> np.ndarray:
    return embeds.float().cpu().numpy()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and warnings of transformers away from the answers."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
