"""The metric `cross_modal_retrieval` for the library evaluate; README.md next to this file is its card."""

from typing import Any

import datasets
import evaluate  # type: ignore[import-untyped]
import numpy as np
import torch

from leccr.evaluation.metrics import retrieval_metrics
from leccr.evaluation.ranks import CHUNK, retrieval_ranks

DESCRIPTION = """
Retrieval between texts and images in both directions: hit rates (what papers on CLIP call R@k), their sum (SumR),
median rank and mean average precision. An image may have several texts and several embeddings (views); its score with
a text is the largest inner product. The whole similarity matrix is never held.
"""

INPUTS_DESCRIPTION = """
Args:
    predictions: (T, D) embeddings of the texts.
    references: (T,) integers, for each text the position of its image in `image_views`.
    image_views: (N, K, D) embeddings of all images, K views each; (N, D) is read as one view each. Images that no
        reference names are distractors. Given to `compute` only.
    chunk_size: texts, and images, that are scored per block; 1024 by default. It changes no figure.
Returns:
    For both directions, `text_to_image` and `image_to_text`, over queries: `<direction>_hit_rate_1`, `_5` and `_10`
    (share with a right answer among the first k, in percent), `<direction>_median_rank` (from 1) and
    `<direction>_mean_average_precision` (in percent). And `sum_of_hit_rates`, at most 600. Ties count against the
    model.
Examples:
    >>> metric = evaluate.load(path)
    >>> figures = metric.compute(predictions=[[1.0, 0.0], [0.0, 1.0]], references=[0, 1], image_views=[[1, 0], [0, 1]])
    >>> figures["sum_of_hit_rates"]
    600.0
"""


class CrossModalRetrieval(evaluate.Metric):
    """Hit rates, median rank and mean average precision in both directions, and SumR.

    The figures are those of `leccr.evaluation.metrics.retrieval_metrics`, which `leccr evaluate` prints.
    """

    def _info(self) -> evaluate.MetricInfo:
        info = evaluate.MetricInfo(
            description=DESCRIPTION,
            citation="",
            inputs_description=INPUTS_DESCRIPTION,
            license="Apache-2.0",
            features=datasets.Features(
                {"predictions": datasets.List(datasets.Value("float32")), "references": datasets.Value("int64")}
            ),
        )
        # Not an argument of MetricInfo, which refuses arrays for features that are lists; data sets do not.
        info.format = "numpy"
        return info

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._batches: list[tuple[np.ndarray, np.ndarray]] = []

    def __len__(self) -> int:
        """Return how many texts were added since the last `compute`."""
        return sum(len(positions) for _, positions in self._batches) + super().__len__()

    def add_batch(self, *, predictions: Any = None, references: Any = None, **unknown: Any) -> None:
        """Keep a batch of text embeddings (T, D) and the positions (T,) of their images until `compute`.

        Raises:
            ValueError: if they are not embeddings and integers, or not as many of the one as of the other.
        """
        if unknown:
            raise ValueError(f"add_batch takes predictions and references; {', '.join(unknown)} go to compute.")
        texts, positions = _batch(predictions, references)
        if self.num_process > 1:
            # The other processes hand over theirs in files of Arrow, which take longer than the ranking.
            super().add_batch(predictions=texts, references=positions)
        else:
            # Copies, as the caller may use the same memory for the next batch.
            self._batches.append((texts.astype(np.float32), positions.copy()))

    def add(self, *, prediction: Any = None, reference: Any = None, **unknown: Any) -> None:
        """Keep the embedding (D,) of one text and the position of its image, as `add_batch` does."""
        texts = None if prediction is None else _array(prediction, "predictions")[None]
        self.add_batch(predictions=texts, references=None if reference is None else [reference], **unknown)

    def compute(
        self, *, predictions: Any = None, references: Any = None, image_views: Any = None, chunk_size: int = CHUNK
    ) -> dict[str, float] | None:
        """Return the figures for all texts given here or to `add_batch` before.

        Raises:
            ValueError: if an input is missing or of a wrong shape, or a reference is the position of no image.
        """
        if image_views is None:
            raise ValueError("compute needs image_views, the embeddings (N, K, D) of all images.")
        if self.num_process > 1:
            return super().compute(
                predictions=predictions, references=references, image_views=image_views, chunk_size=chunk_size
            )
        batches = self._batches
        if predictions is not None or references is not None:
            batches = [*batches, _batch(predictions, references)]
        if not batches:
            raise ValueError("There are no texts: give compute predictions and references, or call add_batch before.")
        self._batches = []
        if len({texts.shape[1] for texts, _ in batches}) > 1:
            raise ValueError("All batches of predictions must have the same width D.")
        # A single batch is not copied.
        texts, positions = batches[0] if len(batches) == 1 else map(np.concatenate, zip(*batches))
        return self._compute(texts, positions, image_views, chunk_size)

    def _compute(self, predictions: Any, references: Any, image_views: Any, chunk_size: int) -> dict[str, float]:
        texts = _array(predictions, "predictions")
        views = _array(image_views, "image_views")
        if texts.ndim != 2:
            raise ValueError("All batches of predictions must have the same width D.")
        if views.ndim == 2:
            views = views[:, None]
        if views.ndim != 3 or views.dtype.kind not in "fiu" or views.shape[2] != texts.shape[1]:
            raise ValueError(
                f"image_views must be embeddings (N, K, {texts.shape[1]}), as wide as the texts', "
                f"but are {_kind(views)}."
            )
        positions = np.asarray(references)
        outside = positions[(positions < 0) | (positions >= len(views))]
        if len(outside):
            raise ValueError(f"There is no image {outside[0]}: references count from 0 to {len(views) - 1}.")
        ranks = retrieval_ranks(_tensor(texts), _tensor(views), torch.from_numpy(positions), chunk_size)
        return retrieval_metrics(ranks)


def _batch(predictions: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return text embeddings (T, D) and positions of images (T,) as arrays, after checking them."""
    texts, positions = _array(predictions, "predictions"), _array(references, "references")
    if texts.ndim != 2 or texts.dtype.kind not in "fiu":
        raise ValueError(f"predictions must be text embeddings (T, D), but are {_kind(texts)}.")
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        raise ValueError(f"references must be (T,) integers, positions of images, but are {_kind(positions)}.")
    if len(texts) != len(positions):
        raise ValueError(f"{len(texts)} predictions have {len(positions)} references; each text needs one.")
    return texts, positions


def _array(values: Any, name: str) -> np.ndarray:
    """Return what the user gave as an array.

    Raises:
        ValueError: if nothing was given, or rows differ in length.
    """
    if values is None:
        raise ValueError(f"{name} are missing.")
    if isinstance(values, torch.Tensor):
        # numpy has no bfloat16.
        values = values.detach().cpu()
        return (values.float() if values.is_floating_point() else values).numpy()
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be one array, but rows differ in shape.") from error


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} of the shape {array.shape}"
