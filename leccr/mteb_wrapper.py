"""Trained models on the tasks of MTEB and of MIEB, its part for images, scored by views as `leccr evaluate` does.

A multilingual image benchmark, German and French, both directions (this downloads the data sets)::

    import mteb
    from leccr.mteb_wrapper import LeccrEncoder

    model = LeccrEncoder("YOUR-NAME/your-model")  # or a folder that `leccr train` wrote
    names = [f"Multi30k{way}Retrieval" for way in ("T2I", "I2T")]
    results = mteb.evaluate(model, mteb.get_tasks(names, languages=["deu", "fra"]))
    print(results.to_dataframe())

Other tasks of captions in many languages are `XM3600T2IRetrieval`, `XFlickr30kCoT2IRetrieval` and
`WITT2IRetrieval` (neither German nor French), each with `I2T` in place of `T2I` for the other direction.
`hit_rate_at_1`, `_5` and `_10` are the hit rates of `leccr evaluate`, as shares instead of percent.
`mteb.mock_run(model)` is a quick check without any download.

These data sets have no descriptions. Give them by the ids of a task's pictures,
`LeccrEncoder(name, descriptions={"corpus-0001": "Two dogs ..."})`, or put a column `description` into its corpus or
queries; an empty one is none. MTEB keeps results by the model's name and revision: here the revision distinguishes a
local folder's weights and the descriptions given by id, but not a column that you added to a data set.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.types import PromptType
from torch import Tensor
from tqdm.auto import tqdm

from .errors import UserError
from .models.checkpoints import model_type
from .models.encoder import TEXT_BATCH, padded
from .models.model_encoder import load_model_encoder

RANKING_TASKS = (
    "Any2AnyRetrieval",
    "Any2AnyMultilingualRetrieval",
    "Any2AnyReranking",
    "DocumentUnderstanding",
    "VisionCentricQA",
)
"""Types of tasks that rank by `LeccrEncoder.similarity`; the others need one vector for each picture."""


class LeccrEncoder:
    """A checkpoint behind the encoder protocol of mteb, for texts and for pictures.

    Where a task ranks pictures, a picture is its views (K, D), and a score is the largest inner product, as in
    `leccr evaluate` and in galleries. Elsewhere it is its embedding (D,). The text next to a picture is
    taken for its description; a model that takes none adds the two embeddings.

    Args:
        model_name: Hub name or folder of a `LeccrModel`, or of a `CrossLingualModel` for tasks of texts.
        revision: Commit, branch or tag on the Hub.
        device: Where it runs, as for `processing.device.choose_device`.
        dtype: Its precision, as for `processing.device.choose_dtype`.
        descriptions: Descriptions of pictures by their `id` in the tasks' data sets.
        **kwargs: Ignored; mteb may pass more.

    Raises:
        UserError: If there is no such checkpoint or device, or the checkpoint is broken or of another kind.
    """

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        descriptions: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        folder = _checkpoint_folder(model_name, revision)
        if not (model_type(folder) or "").startswith("leccr"):
            raise UserError(f"{model_name} is a {model_type(folder)} model, not a LECCR one; mteb loads it by itself.")
        self.encoder = load_model_encoder(folder, device, dtype, text_only=True)
        self.descriptions = dict(descriptions or {})
        self.takes_pictures = getattr(self.encoder.model.config, "vision_config", None) is not None
        self.mteb_model_meta = self._meta(model_name, folder)

    def _meta(self, name: str, folder: Path) -> ModelMeta:
        weights = list(self.encoder.model.parameters())
        given = {"descriptions": _digest(map(repr, sorted(self.descriptions.items())))} if self.descriptions else None
        local = Path(name).is_dir()
        return ModelMeta.create_empty(
            overwrites={
                "loader": type(self),
                "name": f"local/{folder.resolve().name}" if local else name,
                # A folder of the Hub's cache is called after its commit.
                "revision": _weights_digest(folder) if local else folder.name,
                "n_parameters": sum(weight.numel() for weight in weights),
                "memory_usage_mb": sum(weight.numel() * weight.element_size() for weight in weights) / 2**20,
                "max_tokens": getattr(self.encoder.processor, "text_max_length", None),
                "embed_dim": self.encoder.width,
                "framework": ["PyTorch", "Transformers"],
                "similarity_fn_name": ScoringFunction.CUSTOM,
                "use_instructions": False,
                "modalities": ["image", "text"] if self.takes_pictures else ["text"],
                "experiment_kwargs": given,
            }
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Embed what mteb loads: texts (n, D), pictures (n, D), or their views (n, K, D).

        Args:
            inputs: Batches with `text` or `image` or both, and perhaps `id` and `description`.
            task_metadata: Which task it is for.
            hf_split: Not used.
            hf_subset: Not used.
            prompt_type: Whether these are queries or documents, if the task distinguishes them.
            **kwargs: `batch_size` of texts and `show_progress_bar`; others are ignored.

        Raises:
            ValueError: If a batch has neither texts nor pictures.
        """
        views = task_metadata.type in RANKING_TASKS and _ranked(task_metadata, prompt_type)
        texts: list[str] = []
        pictures: list[np.ndarray] = []
        for batch in tqdm(inputs, desc="Encoding", disable=not kwargs.get("show_progress_bar", True)):
            if "image" in batch:
                pictures.append(self._encode_pictures(batch, views))
            elif "text" in batch:
                texts += batch["text"]
            else:
                raise ValueError(f"A batch has {', '.join(batch)}, but this model takes text and image.")
        if pictures:
            return padded([own for batch in pictures for own in batch]) if views else np.concatenate(pictures)
        return self._encode_texts(texts, kwargs.get("batch_size", TEXT_BATCH))

    def _encode_texts(self, texts: list[str], batch_size: int = TEXT_BATCH) -> np.ndarray:
        # Some captions of WIT are empty.
        return self.encoder.texts([text if text.strip() else "." for text in texts], batch_size)

    def _encode_pictures(self, batch: Mapping[str, Any], views: bool) -> np.ndarray:
        count = len(batch["image"])
        ids = batch.get("id", range(count))
        texts = batch.get("text", [""] * count)
        written = batch.get("description", [""] * count)
        described = [
            self.descriptions.get(name) or description or text
            for name, description, text in zip(ids, written, texts, strict=True)
        ]
        prepared = [self.encoder.prepare({"id": name, "image": image}) for name, image in zip(ids, batch["image"])]
        said = described if self.encoder.takes_descriptions else [None] * count
        encoder = self.encoder
        embeds = padded(encoder.views(prepared, said)) if views else encoder.whole_images(prepared, said)
        if "text" not in batch or self.encoder.takes_descriptions:
            return embeds
        text_embeds = self._encode_texts(texts)
        sums = embeds + (text_embeds[:, None] if views else text_embeds)
        return sums / np.linalg.norm(sums, axis=-1, keepdims=True)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the scores (n, m): the largest inner product of any view of one with any view of the other.

        Args:
            embeddings1: (n, D), (n, K, D), or one vector (D,).
            embeddings2: (m, D), (m, K, D), or one vector (D,).
        """
        pairs = product(_as_views(embeddings1).unbind(1), _as_views(embeddings2).unbind(1))
        return reduce(torch.maximum, (first @ second.T for first, second in pairs))

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Return the scores (n,) of pairs; as `similarity`."""
        pairs = product(_as_views(embeddings1).unbind(1), _as_views(embeddings2).unbind(1))
        return reduce(torch.maximum, ((first * second).sum(-1) for first, second in pairs))


def _ranked(task_metadata: Any, prompt_type: PromptType | None) -> bool:
    """Whether pictures of this side are compared by their views: documents, and queries that ask for texts."""
    if prompt_type == PromptType.query:
        return task_metadata.get_modalities(PromptType.document) == ["text"]
    return prompt_type == PromptType.document


def _as_views(embeddings: Any) -> Tensor:
    """Return (n, K, D) float32 of (n, K, D), (n, D) or (D,)."""
    values = torch.as_tensor(embeddings).float()
    if values.ndim == 1:
        values = values.unsqueeze(0)
    return values.unsqueeze(1) if values.ndim == 2 else values


def _checkpoint_folder(name: str, revision: str | None) -> Path:
    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(snapshot_download(name, revision=revision))
    except (HfHubHTTPError, OSError, ValueError) as error:
        asked = f"{name} at {revision}" if revision else name
        raise UserError(f"There is no folder {name}, nor does the Hub give {asked}; check the name.") from error


def _weights_digest(folder: Path) -> str:
    """Return what distinguishes a checkpoint from another of the same name: a retrained one must be measured again."""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])
    return _digest(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
