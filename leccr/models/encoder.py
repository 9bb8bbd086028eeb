"""The one way to run a model: texts, pictures and videos to embeddings, in batches, on any device."""

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from tqdm.auto import tqdm

from processing.device import choose_device, choose_dtype
from processing.features import FeatureFile, with_features
from processing.images import BACKGROUND
from processing.notes import is_quiet
from processing.read_ahead import read_ahead
from processing.video import open_frames

from ..arguments import SENTENCE_TRANSFORMERS, repository_of
from ..errors import UserError
from .calibration import Calibration, load_calibration

VALUES_PER_TENSOR = 1024
TEXT_BATCH, IMAGE_BATCH = 256, 64
# Seconds from which on it is worth saying how busy a model was, and the share that cannot be much better.
WORTH_SAYING, ENOUGH = 10.0, 0.9
Inputs = dict[str, Any]


class Stopwatch:
    """Adds up the seconds that pass inside `with stopwatch:`, and those since it was made."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._made = time.perf_counter()

    def __enter__(self) -> "Stopwatch":
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start

    def busy(self) -> str:
        """Return a sentence about the share of time in which a model was at work; nothing if all took seconds only."""
        total = time.perf_counter() - self._made
        if total < WORTH_SAYING:
            return ""
        share = self.seconds / total
        said = f"The model was busy {share:.0%} of the time"
        if share >= ENOUGH:
            return f"{said}."
        return (
            f"{said}, and waited for pictures otherwise: more --workers may help or, with many processor cores, "
            "--processes."
        )


class Encoder(ABC):
    """Turns texts into vectors, and pictures, videos or their features, the items, into views.

    A text fits an item as well as the largest inner product of its vector with the item's views says. All embeddings
    are float32 arrays, whatever the model's precision.

    Attributes:
        name: The checkpoint's folder or Hub name, as `load` takes it.
        takes_images: Whether it embeds pictures.
        takes_videos: Whether it embeds videos.
        takes_descriptions: Whether descriptions change a picture's embeddings.
        slots: Whether a picture's views are slots.
        view_count: Views of a picture, K; 1 where pictures have different numbers of them.
        description_weight: Weight of the sentences of descriptions in the views of a dual encoder; None if they do not
            count, or as they were trained to (`leccr.models.sentence_views`).
        sentence_gate: How much of the picture is in the slot of a sentence.
        width: Numbers of an embedding, D.
        frames: Most frames of a video; 1 for a model of pictures.
        background: What is seen through transparent parts of pictures.
        calibration: What scores mean, if the checkpoint says so.
    """

    name: str
    takes_images = True
    takes_videos = False
    takes_descriptions = False
    slots = False
    view_count = 1
    description_weight: float | None = None
    sentence_gate = 1.0
    width: int
    frames = 1
    background = BACKGROUND
    calibration: Calibration | None = None

    @staticmethod
    def load(
        name: str | Path,
        device: str | torch.device = "auto",
        dtype: str = "auto",
        text_only: bool = False,
        trust_remote_code: bool = False,
    ) -> "Encoder":
        """Load a model without progress bars or warnings of transformers.

        Args:
            name: Folder or Hub name of a model that `leccr train` wrote, or of a dual encoder of transformers; or `st:`
                and that of a model of sentence-transformers for texts and pictures.
            device: Where it runs, as for `processing.device.choose_device`.
            dtype: Its precision, as for `processing.device.choose_dtype`.
            text_only: Whether texts are all that it has to embed, so that a `CrossLingualModel` will do.
            trust_remote_code: Run code that the model carries, if it is of a kind that the libraries do not know.

        Raises:
            UserError: If there is no such device, precision or model, or the model embeds no pictures and is not asked
                for texts only.
        """
        chosen = choose_device(device)
        choose_dtype(dtype)
        if str(name).startswith(SENTENCE_TRANSFORMERS):
            from .sentence_encoder import load_sentence_encoder

            encoder: Encoder = load_sentence_encoder(str(name), chosen, dtype, text_only, trust_remote_code)
        else:
            from .model_encoder import load_model_encoder

            encoder = load_model_encoder(name, chosen, dtype, text_only, trust_remote_code)
        encoder.calibration = None if text_only else load_calibration(repository_of(name))
        return encoder

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what distinguishes this model from another of the same name."""

    @abstractmethod
    def parameter_count(self) -> int:
        """Return how many weights the model has."""

    @abstractmethod
    def texts(self, texts: Sequence[str], batch_size: int = TEXT_BATCH, progress: bool = True) -> np.ndarray:
        """Return the embeddings (T, D) of texts in any language, in the order of the texts.

        Args:
            texts: None of them empty.
            batch_size: Texts encoded per batch.
            progress: Show a progress bar if there are several batches.
        """

    @abstractmethod
    def unknown_shares(self, texts: Sequence[str]) -> list[float]:
        """Return the share of each text's tokens, from 0 to 1, that are not in the model's vocabulary.

        It is 1 for emoji and for scripts that the vocabulary lacks: the model cannot read them, and its embedding of
        such a text says nothing about it.
        """

    @abstractmethod
    def open_picture(self, value: Any, name: str = "") -> PillowImage.Image:
        """Open a picture as the model is shown it, in no more detail than it needs; as `processing.images.open_image`.

        Args:
            value: A picture, its bytes or its path.
            name: The row's id, for the message when the picture has no path.
        """

    @abstractmethod
    def prepare(self, row: dict[str, Any]) -> Inputs:
        """Return what `views` takes for the picture, the video or the features of one row, without its description.

        Raises:
            ValueError: If it is broken; the message names it.
        """

    @abstractmethod
    def views(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> list[np.ndarray]:
        """Return the views (K, D) of each picture or video.

        Args:
            prepared: What `prepare` returned for each.
            descriptions: One for each, or None.
            batch_size: Pictures, or frames of videos, encoded per batch.
        """

    @abstractmethod
    def whole_images(
        self, prepared: Sequence[Inputs], descriptions: Sequence[str | None], batch_size: int = IMAGE_BATCH
    ) -> np.ndarray:
        """Return one embedding (n, D) for each picture or video as a whole; arguments as for `views`."""

    def takes_features(self, features: FeatureFile) -> bool:
        """Return whether visual features that were computed ahead can take the place of the pictures."""
        return False

    def as_taken(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row as this model takes it: for a model of pictures, a video is its middle frame.

        Raises:
            UserError: If the video cannot be decoded.
        """
        if self.takes_videos or row.get("image") is not None or row.get("video") is None:
            return row
        [frame] = open_frames(row["video"], 1, self.background, row.get("span"))
        return {**row, "image": frame, "video": None}

    def image(self, row: dict[str, Any]) -> np.ndarray:
        """Return the embedding (D,) of a row's whole picture or video."""
        return self.whole_images([self.prepare(row)], [row.get("description")])[0]

    def row_views(
        self,
        rows: Any,
        features: FeatureFile | None = None,
        descriptions: bool = True,
        batch_size: int = IMAGE_BATCH,
        stopwatch: Stopwatch | None = None,
    ) -> np.ndarray:
        """Return the views (N, K, D) of the pictures, videos or features of rows, read ahead in threads.

        A progress bar shows if there are several batches. Where rows have different numbers of views they are `padded`.

        Args:
            rows: Rows in the project's schema, such as a `datasets.Dataset`.
            features: Visual features computed ahead, used in place of the pictures.
            descriptions: Whether to use the rows' descriptions.
            batch_size: Pictures, or frames of videos, encoded per batch.
            stopwatch: Measures `views`, and not how long pictures are read and prepared.

        Raises:
            ValueError: If a picture or a video is broken; the message names it.
        """
        stopwatch = stopwatch or Stopwatch()
        source = with_features(rows, features)
        size = max(1, batch_size // self.frames)

        def read(positions: range) -> tuple[list[Inputs], list[str | None]]:
            batch = [source[position] for position in positions]
            said = [row.get("description") if descriptions else None for row in batch]
            return [self.prepare(row) for row in batch], said

        jobs = [range(start, min(start + size, len(source))) for start in range(0, len(source), size)]
        per_row: list[np.ndarray] = []
        for prepared, said in tqdm(
            read_ahead(read, jobs), desc="Encoding images", total=len(jobs), disable=len(jobs) <= 1 or is_quiet()
        ):
            with stopwatch:
                per_row += self.views(prepared, said, batch_size)
        views = padded(per_row) if per_row else np.empty((0, self.view_count, self.width), dtype=np.float32)
        self._check_numbers(views)
        return views

    def _check_numbers(self, embeds: np.ndarray) -> None:
        if not np.isfinite(embeds).all():
            raise UserError(
                f"The model {self.name} returns infinite or undefined numbers (NaN); it may have diverged in training, "
                "or need a wider precision: try --dtype fp32."
            )


def padded(views: Sequence[np.ndarray]) -> np.ndarray:
    """Stack the views (K, D) of items to (n, K, D).

    An item with fewer views than others repeats its first one, so that its largest inner product stays what it is.
    """
    most = max(len(own) for own in views)
    return np.stack([np.concatenate([own, np.repeat(own[:1], most - len(own), axis=0)]) for own in views])


def digest(weights: Mapping[str, torch.Tensor], settings: Sequence[Any] = ()) -> str:
    """Return what distinguishes a model: the names and shapes of its weights, and 1,024 values spread over each.

    Training changes all values of a layer, so that looking at all of them adds nothing but half a second to each start.

    Args:
        weights: By name.
        settings: What views depend on besides the weights.
    """
    found = hashlib.sha256(json.dumps(list(settings)).encode())
    for name, weight in sorted(weights.items()):
        values = weight.detach().reshape(-1)
        values = values[:: max(1, values.numel() // VALUES_PER_TENSOR)].float().cpu()
        found.update(f"{name} {tuple(weight.shape)}".encode() + values.numpy().tobytes())
    return found.hexdigest()[:16]
