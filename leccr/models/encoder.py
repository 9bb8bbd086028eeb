"""The model of a gallery: pictures and videos to views, queries to embeddings."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers.utils import logging

from modeling_leccr import LeccrModel
from processing import LeccrProcessor, RetrievalCollator

from .checkpoints import load_retriever

# What changes views and has no weights of its own.
SCORING_FIELDS = ("alpha", "num_slots", "normalize_slots", "slot_anchor", "description_fusion", "text_pooling")
VALUES_A_TENSOR = 1024
Inputs = dict[str, torch.Tensor]
TEXTS_AT_ONCE = 256


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


class Encoder:
    """A trained model with its processor and its name.

    Args:
        model: The model; it is set to eval mode and stays on its device.
        processor: Its processor.
        name: What the gallery calls it: the checkpoint's folder or Hub name.
    """

    def __init__(self, model: LeccrModel, processor: LeccrProcessor, name: str) -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self.collator = RetrievalCollator(processor)
        self.takes_videos = getattr(processor, "num_frames", None) is not None
        self.slots = bool(model.config.num_slots)
        self.width: int = model.config.projection_dim
        self.view_count: int = max(model.config.num_slots, 1)

    @classmethod
    def load(cls, name: str) -> "Encoder":
        """Load a checkpoint, and use a GPU where there is one.

        Raises:
            UserError: If there is no such checkpoint, or it is no LECCR model.
        """
        with _quiet():
            model, processor = load_retriever(name)
        return cls(model.to("cuda" if torch.cuda.is_available() else "cpu"), processor, name)

    def fingerprint(self) -> str:
        """Return what tells this model from another of the same name.

        It is made of the names and shapes of all weights, up to 1,024 values spread evenly over each, and the settings
        that views depend on. Training changes all values of a layer, so that looking at all of them adds nothing but
        half a second to each start.
        """
        digest = hashlib.sha256(
            json.dumps([getattr(self.model.config, name, None) for name in SCORING_FIELDS]).encode()
        )
        for name, weight in sorted(self.model.state_dict().items()):
            values = weight.detach().reshape(-1)
            values = values[:: max(1, values.numel() // VALUES_A_TENSOR)].float().cpu()
            digest.update(f"{name} {tuple(weight.shape)}".encode() + values.numpy().tobytes())
        return digest.hexdigest()[:16]

    def prepare(self, row: dict[str, Any]) -> Inputs:
        """Return the model's inputs for the picture, the video or the features of one row, without its description.

        Raises:
            UserError: If it is broken, naming it.
        """
        return self.collator.image_inputs([row], descriptions=False)

    @torch.inference_mode()
    def views(self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = 32) -> np.ndarray:
        """Return the views (n, K, D), float32.

        Args:
            prepared: Inputs of each item.
            descriptions: One for each item, or None.
            batch_size: Pictures, or frames of videos, encoded at once. Inputs of different shapes are encoded apart.
        """
        shapes: dict[tuple[Any, ...], list[int]] = {}
        for place, inputs in enumerate(prepared):
            shape = tuple((name, *value.shape) for name, value in sorted(inputs.items()))
            shapes.setdefault(shape, []).append(place)
        views = np.empty((len(prepared), self.view_count, self.width), dtype=np.float32)
        for shape, places in shapes.items():
            frames = max(fields[2] if name == "pixel_values" and len(fields) == 5 else 1 for name, *fields in shape)
            size = max(1, batch_size // frames)
            for start in range(0, len(places), size):
                some = places[start : start + size]
                views[some] = self._views([prepared[at] for at in some], [descriptions[at] for at in some])
        return views

    def _views(self, prepared: list[Inputs], descriptions: list[str | None]) -> np.ndarray:
        inputs = {name: torch.cat([each[name] for each in prepared]) for name in prepared[0]}
        if any(descriptions):
            inputs |= self.processor(descriptions=descriptions)
        return self.model.get_image_views(**self._on_device(inputs)).float().cpu().numpy()

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings (T, D) of texts in any language, float32."""
        batches = (list(texts[start : start + TEXTS_AT_ONCE]) for start in range(0, len(texts), TEXTS_AT_ONCE))
        embeds = [self.model.get_text_features(**self._on_device(self.processor(text=batch))) for batch in batches]
        return torch.cat(embeds).float().cpu().numpy()

    @torch.inference_mode()
    def image(self, row: dict[str, Any]) -> np.ndarray:
        """Return the embedding (D,) of a row's whole picture or video, float32."""
        inputs = self._on_device(self.collator.image_inputs([row]))
        return self.model.get_image_features(**inputs)[0].float().cpu().numpy()

    def _on_device(self, inputs: Any) -> dict[str, torch.Tensor]:
        return {name: value.to(self.model.device) for name, value in inputs.items()}
