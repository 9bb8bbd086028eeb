"""Models that sentence-transformers loads, for texts and pictures, as an `Encoder`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage

from processing.device import choose_dtype, to_device
from processing.images import open_image
from processing.text_rule_leccr import unknown_shares

from ..arguments import SENTENCE_TRANSFORMERS, repository_of
from ..errors import UserError, missing_extra
from .checkpoints import quiet
from .encoder import IMAGE_BATCH, TEXT_BATCH, Encoder, Inputs, digest


class SentenceEncoder(Encoder):
    """A `SentenceTransformer` that embeds pictures, too: one view for each, and all embeddings have unit length.

    Texts are queries to it, and pictures documents, where its prompts distinguish them.

    Args:
        model: The model; it is set to eval mode and stays on its device.
        name: As `Encoder.load` takes it.
    """

    def __init__(self, model: Any, name: str = "") -> None:
        self.model = model.eval()
        self.name = name
        self.takes_images = model.supports("image")
        self.width: int = self.texts(["a"], progress=False).shape[1]
        self._fingerprint: str | None = None

    def fingerprint(self) -> str:
        """Return what distinguishes this model from another: its weights."""
        return self._fingerprint or digest(self.model.state_dict())

    def keep_fingerprint(self) -> None:
        """Look at the weights now: a checkpoint is the same model in every precision that they are rounded to."""
        self._fingerprint = self.fingerprint()

    def parameter_count(self) -> int:
        """Return how many weights the model has."""
        return sum(weight.numel() for weight in self.model.parameters())

    def texts(self, texts: Sequence[str], batch_size: int = TEXT_BATCH, progress: bool = True) -> np.ndarray:
        """Return the embeddings (T, D) of texts as queries."""
        if not len(texts):
            return np.empty((0, self.width), dtype=np.float32)
        readable = [_as_text(text) for text in texts]
        shows = progress and len(texts) > batch_size
        embeds = self._encoded(self.model.encode_query, readable, batch_size, shows)
        self._check_numbers(embeds)
        return embeds

    def unknown_shares(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text's tokens that the tokenizer does not know; 0 where it cannot be asked."""
        tokenizer = getattr(self.model.tokenizer, "tokenizer", self.model.tokenizer)
        known = getattr(tokenizer, "unk_token_id", None) is not None
        return unknown_shares(tokenizer, texts) if known else [0.0] * len(texts)

    def open_picture(self, value: Any, name: str = "") -> PillowImage.Image:
        """Open a picture in all its detail: the model decides on the size."""
        return open_image(value, name, self.background)

    def prepare(self, row: dict[str, Any]) -> Inputs:
        """Return the picture of one row.

        Raises:
            UserError: If it is broken, or the row is a video or has only visual features.
        """
        if row.get("video") is not None:
            raise UserError(f"Row {row['id']!r} is a video, but {self.name} takes pictures only.")
        return {"image": self.open_picture(row.get("image"), row["id"])}

    def views(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> list[np.ndarray]:
        """Return the view (1, D) of each picture; descriptions change nothing."""
        return list(self.whole_images(prepared, descriptions, batch_size)[:, None])

    def whole_images(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> np.ndarray:
        """Return one embedding (n, D) for each picture; descriptions change nothing."""
        if not len(prepared):
            return np.empty((0, self.width), dtype=np.float32)
        return self._encoded(self.model.encode_document, [each["image"] for each in prepared], batch_size)

    def _encoded(self, encode: Any, inputs: list[Any], batch_size: int, progress: bool = False) -> np.ndarray:
        embeds = encode(
            inputs, batch_size=batch_size, show_progress_bar=progress, convert_to_tensor=True, normalize_embeddings=True
        )
        return embeds.float().cpu().numpy()


def load_sentence_encoder(
    name: str, device: torch.device, dtype: str, text_only: bool, trust_remote_code: bool
) -> SentenceEncoder:
    """Load a model of sentence-transformers; arguments and errors as for `Encoder.load`."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise missing_extra("sentence-transformers", f"{SENTENCE_TRANSFORMERS}NAME") from error
    try:
        with quiet():
            model = SentenceTransformer(repository_of(name), device=str(device), trust_remote_code=trust_remote_code)
    except ImportError as error:
        raise UserError(f"{name} needs a library that is not installed: {_line(error)}") from error
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        if "trust_remote_code" in str(error):
            raise UserError(
                f"{name} needs code that it carries itself, which is not run; read that code and, if you trust it, add "
                "--trust-remote-code, or choose another model."
            ) from error
        raise UserError(f"{name} cannot be loaded by sentence-transformers: {_line(error)}") from error
    if not text_only and not model.supports("image"):
        raise UserError(
            f"{name} embeds no pictures, only {', '.join(map(str, model.modalities))}; give a model of "
            "sentence-transformers for texts and pictures, such as a CLIP."
        )
    if not model.supports("text"):
        raise UserError(f"{name} embeds no texts; give a model of sentence-transformers for texts and pictures.")
    encoder = SentenceEncoder(model, name)
    if choose_dtype(dtype) is not None:
        encoder.keep_fingerprint()
        to_device(model, device, dtype)
    return encoder


def _as_text(text: str) -> Any:
    """Return a text as the library takes it for one, and does not open the file or the address that it may name."""
    from sentence_transformers.base.modality import infer_modality

    # Half of a surrogate pair is not text to tokenizers.
    readable = text.encode("utf-8", "replace").decode("utf-8")
    return readable if infer_modality(readable) == "text" else {"text": readable}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


__all__ = ["SentenceEncoder", "load_sentence_encoder"]
