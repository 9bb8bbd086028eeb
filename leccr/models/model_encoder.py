"""Models of transformers, ours and dual encoders, as an `Encoder`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn.functional import pad
from tqdm.auto import tqdm

from processing import RetrievalCollator
from processing.caption_collator import tokenize
from processing.device import choose_dtype, to_device
from processing.features import FeatureFile
from processing.notes import is_quiet
from processing.sentences import split_for
from processing.text_rule_leccr import unknown_shares

from ..data.features import fits_model
from ..errors import inputs_of_the_user
from .checkpoints import CROSS_LINGUAL, RETRIEVER, load_cross_lingual, load_retriever, model_type
from .dual_encoders import DualEncoder, WholeCollator, load_dual_encoder
from .encoder import IMAGE_BATCH, TEXT_BATCH, Encoder, Inputs, digest

# Settings that change views and are not weights.
SCORING_FIELDS = (
    "alpha",
    "slot_source",
    "num_slots",
    "normalize_slots",
    "slot_anchor",
    "description_fusion",
    "text_pooling",
)
# Tokenized together, and then sorted by their numbers of tokens.
TEXTS_PER_CHUNK = 4096


class ModelEncoder(Encoder):
    """A model with its processor.

    Args:
        model: A `LeccrModel`, a `CrossLingualModel`, a `leccr.models.dual_encoders.DualEncoder`, or any model with
            `get_text_features`; it is set to eval mode and stays on its device.
        processor: Its processor or its tokenizer.
        name: The checkpoint's folder or Hub name.
    """

    def __init__(self, model: Any, processor: Any, name: str = "") -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self.collator = (WholeCollator if isinstance(model, DualEncoder) else RetrievalCollator)(processor)
        slots = getattr(model.config, "num_slots", 0)
        frames = getattr(processor, "num_frames", None)
        self.takes_images = hasattr(model, "get_image_views")
        self.takes_videos = frames is not None
        self.takes_descriptions = bool(getattr(model.config, "takes_descriptions", False))
        self.slots = bool(getattr(model.config, "has_slots", False))
        self.view_count: int = max(slots, 1)
        self.width: int = getattr(model.config, "projection_dim", 0)
        self.frames: int = frames or 1
        self.background = self.collator.background
        self._fingerprint: str | None = None

    def fingerprint(self) -> str:
        """Return what distinguishes this model from another: its weights, and the settings that views depend on."""
        if self._fingerprint is not None:
            return self._fingerprint
        settings = [getattr(self.model.config, name, None) for name in SCORING_FIELDS]
        return digest(self.model.state_dict(), settings)

    def keep_fingerprint(self) -> None:
        """Look at the weights now: a checkpoint is the same model in every precision that they are rounded to."""
        self._fingerprint = self.fingerprint()

    def parameter_count(self) -> int:
        """Return how many weights the model has, its objectives' included."""
        return sum(weight.numel() for weight in self.model.parameters())

    @torch.inference_mode()
    def texts(self, texts: Sequence[str], batch_size: int = TEXT_BATCH, progress: bool = True) -> np.ndarray:
        """Return the embeddings (T, D) of texts; texts of about equally many tokens share a batch."""
        embeds = np.empty((len(texts), self.width), dtype=np.float32)
        with tqdm(
            total=len(texts), desc="Encoding texts", disable=not progress or len(texts) <= batch_size or is_quiet()
        ) as bar:
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
        """Return the share of each text's tokens that the tokenizer does not know."""
        return unknown_shares(getattr(self.processor, "tokenizer", self.processor), texts)

    def takes_features(self, features: FeatureFile) -> bool:
        """Return whether features fit: by their width, and the name of the tower that they are of."""
        return hasattr(self.model.config, "visual_feature_dim") and fits_model(self.model.config)(features)

    def open_picture(self, value: Any, name: str = "") -> PillowImage.Image:
        """Open a picture, a large JPEG in no more detail than is needed to encode and show it."""
        return self.collator.open_picture(value, name)

    def prepare(self, row: dict[str, Any]) -> Inputs:
        """Return the model's inputs for the picture, the video or the features of one row."""
        return self.collator.image_inputs([row], descriptions=False)

    def views(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> list[np.ndarray]:
        """Return the views (K, D) of each.

        Pictures of different sizes, and videos of different lengths, are encoded separately; features are padded.
        """
        views: dict[int, np.ndarray] = {}
        for positions, inputs in self._image_batches(prepared, descriptions, batch_size):
            views |= zip(positions, self._views(inputs))
        return [views[position] for position in range(len(prepared))]

    @torch.inference_mode()
    def _views(self, inputs: Inputs) -> list[np.ndarray]:
        if not getattr(self.model.config, "has_sentences", False):
            return list(self._run(self.model.get_image_views, inputs))
        with inputs_of_the_user():
            output = self.model.encode_images(**self._on_device(inputs))
        real = output.view_mask.cpu().numpy()
        return [own[is_real] for own, is_real in zip(_array(output.image_views), real)]

    def whole_images(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> np.ndarray:
        """Return one embedding (n, D) for each picture or video as a whole."""
        embeds = np.empty((len(prepared), self.width), dtype=np.float32)
        for positions, inputs in self._image_batches(prepared, descriptions, batch_size):
            embeds[positions] = self._run(self.model.get_image_features, inputs)
        return embeds

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
                if any(said):
                    inputs |= self.processor(descriptions=split_for(self.processor, said))
                yield positions, inputs

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


def load_model_encoder(
    name: str | Path,
    device: str | torch.device = "auto",
    dtype: str = "auto",
    text_only: bool = False,
    trust_remote_code: bool = False,
) -> ModelEncoder:
    """Load a checkpoint of transformers; arguments and errors as for `Encoder.load`."""
    model, processor = _load(name, text_only, trust_remote_code)
    encoder = ModelEncoder(model, processor, str(name))
    if choose_dtype(dtype) is not None:
        encoder.keep_fingerprint()
    to_device(model, device, dtype)
    return encoder


def _load(name: str | Path, text_only: bool, trust_remote_code: bool) -> tuple[Any, Any]:
    kind = model_type(name)
    if kind == RETRIEVER or (kind == CROSS_LINGUAL and not text_only):
        return load_retriever(name)
    if kind == CROSS_LINGUAL:
        return load_cross_lingual(name)
    return load_dual_encoder(name, text_only, trust_remote_code)
