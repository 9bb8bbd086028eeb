"""A published LECCR model, loaded only with the Auto classes."""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.repocard import metadata_load
from PIL import Image as PillowImage
from space_confidence import FILE, Calibration, read_calibration
from space_errors import SpaceError
from space_languages import SIX
from transformers import AutoModel, AutoProcessor
from transformers.utils import cached_file

Array = np.ndarray
BATCH_SIZE = 16


def widened(views: Array, count: int) -> Array:
    """Return views (..., K, D) as (..., count, D); the first is repeated, which changes no largest inner product."""
    return np.concatenate([views, np.repeat(views[..., :1, :], count - views.shape[-2], axis=-2)], axis=-2)


class Retriever:
    """Turns texts and pictures into vectors.

    Args:
        model: A LECCR model; it is set to eval mode.
        processor: Its processor.
        name: Folder or Hub name, for the page.
    """

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        self.model = model.eval()
        self.processor = processor
        self.name = name
        # Visitors need not know where on the server a folder is.
        self.title = Path(name).resolve().name if Path(name).is_dir() else name
        self.background = str(getattr(processor, "background", "white"))
        self.takes_videos = getattr(processor, "num_frames", None) is not None
        self.num_slots = int(model.config.num_slots)
        self.has_sentences = getattr(model.config, "slot_source", "attention") != "attention"
        self.has_slots = self.num_slots > 0 or self.has_sentences
        self.alpha = float(model.config.alpha)

    @property
    def slot_words(self) -> str:
        """How many slots a picture has, in words."""
        sentences = "a slot for each sentence of the description" if self.has_sentences else ""
        return " and ".join(filter(None, [f"{self.num_slots} slots" if self.num_slots else "", sentences]))

    @classmethod
    def load(cls, name: str) -> "Retriever":
        """Load a model by its folder or its name on the Hub, and run the code that it carries.

        Raises:
            SpaceError: If there is none, or it is another kind of model.
        """
        try:
            processor = AutoProcessor.from_pretrained(name, trust_remote_code=True)
            model = AutoModel.from_pretrained(name, trust_remote_code=True)
        except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
            raise SpaceError(
                "The model cannot be loaded; set LECCR_MODEL to the folder or the Hub name of a LECCR model."
            ) from error
        if getattr(model.config, "model_type", None) != "leccr" or model.config.vision_config is None:
            raise SpaceError("The model is not a LECCR model that sees pictures; set LECCR_MODEL to one.")
        return cls(model.to("cuda" if torch.cuda.is_available() else "cpu"), processor, name)

    @cached_property
    def calibration(self) -> Calibration | None:
        """What scores mean, if the model says so."""
        return read_calibration(self.file(FILE))

    def confidence(self, scores: list[float], text: str) -> list[float] | list[None]:
        """Return how sure answers to a text with these scores are, from 0 to 1; None where the model does not say."""
        if self.calibration is None:
            return [None] * len(scores)
        # It cannot be sure of what it cannot read.
        return [0.0] * len(scores) if self.unknown_share(text) == 1 else self.calibration.confidence(scores, text)

    def unknown_share(self, text: str) -> float:
        """Return the share of a text's tokens, from 0 to 1, that the model does not know."""
        return float(self.processor.unknown_shares(text)[0])

    @torch.inference_mode()
    def embed_text(self, text: str) -> Array:
        """Return the embedding (D,) of a text in any language, float32."""
        inputs = self.on_device(self.processor(text=[text]))
        return self.model.get_text_features(**inputs)[0].float().cpu().numpy()

    @torch.inference_mode()
    def embed_pictures(
        self, pictures: Sequence[PillowImage.Image], descriptions: Sequence[str | None]
    ) -> tuple[Array, Array]:
        """Return the views (n, K, D) and the whole-image embeddings (n, D) of pictures, float32."""
        views: list[Any] = [None] * len(pictures)
        images: list[Any] = [None] * len(pictures)
        for indices in self._batches(pictures):
            inputs = self.inputs([pictures[index] for index in indices], [descriptions[index] for index in indices])
            output = self.model.encode_images(**inputs)
            for row, index in enumerate(indices):
                views[index] = output.image_views[row].float().cpu().numpy()
                images[index] = output.image_embeds[row].float().cpu().numpy()
        most = max(len(own) for own in views)
        return np.stack([widened(own, most) for own in views]), np.stack(images)

    def _batches(self, pictures: Sequence[PillowImage.Image]) -> Iterator[list[int]]:
        """Yield indices of pictures that can be encoded in one batch."""
        resizes = getattr(self.processor.image_processor, "do_resize", True)
        sizes: dict[Any, list[int]] = {}
        for index, picture in enumerate(pictures):
            sizes.setdefault(None if resizes else picture.size, []).append(index)
        for indices in sizes.values():
            for start in range(0, len(indices), BATCH_SIZE):
                yield indices[start : start + BATCH_SIZE]

    def inputs(
        self, pictures: Sequence[PillowImage.Image], descriptions: Sequence[str | None]
    ) -> dict[str, torch.Tensor]:
        """Return what the model takes for pictures and their descriptions."""
        texts = {"descriptions": list(descriptions)} if any(descriptions) else {}
        if self.takes_videos:
            return self.on_device(self.processor(videos=[[picture] for picture in pictures], **texts))
        return self.on_device(self.processor(images=list(pictures), **texts))

    @torch.inference_mode()
    def encode(self, inputs: dict[str, torch.Tensor]) -> Any:
        """Return all that the model computes for pictures, attentions included."""
        return self.model.encode_images(**inputs, output_attentions=True)

    def on_device(self, inputs: Any) -> dict[str, torch.Tensor]:
        """Return inputs on the model's device, and in its precision if they are not integers."""
        dtype = self.model.dtype
        return {
            name: value.to(self.model.device, dtype if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
        }

    def file(self, name: str) -> Path | None:
        """Return a file next to the weights, in the folder or on the Hub; None if there is none."""
        try:
            found = cached_file(self.name, name, _raise_exceptions_for_missing_entries=False)
        except (OSError, ValueError):
            return None
        return None if found is None else Path(found)

    def training(self) -> dict[str, Any]:
        """Return what `training.json` says about how the model was trained; nothing if there is none."""
        path = self.file("training.json")
        try:
            found = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def languages(self) -> list[str]:
        """Return the languages that the card names, or else those measured in training, or else our six."""
        card = self.file("README.md")
        named = metadata_load(card) if card is not None else None
        codes = (named or {}).get("language") or []
        if not codes:
            ending = "_sum_of_hit_rates"
            fields = (field.removeprefix("eval_") for field in self.training().get("validation", {}))
            codes = [field.removesuffix(ending) for field in fields if field.endswith(ending)]
        return [str(code) for code in ([codes] if isinstance(codes, str) else codes)] or list(SIX)
