"""Visual features computed ahead, in one safetensors file beside the data, read row by row without loading it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import Dataset

FEATURES_FILE = "features.safetensors"


class FeatureFile:
    """Features by row id.

    The file holds ``features`` (all tokens, F) and ``offsets`` (rows + 1), with the ids and what made the features in
    its metadata; it is memory-mapped.

    Args:
        path: The file, or the folder that holds ``features.safetensors``.

    Raises:
        FileNotFoundError: If there is no such file.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.path = path / FEATURES_FILE if path.is_dir() else path
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} does not exist; write visual features first.")
        self._file = safe_open(self.path, framework="pt")
        self.metadata: dict[str, str] = self._file.metadata()
        self._rows = {name: row for row, name in enumerate(json.loads(self.metadata["ids"]))}
        self._offsets = self._file.get_tensor("offsets").tolist()
        self._features = self._file.get_slice("features")
        self.width: int = self._features.get_shape()[1]

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> Tensor:
        """Return the features (N, F) of one row."""
        row = self._rows.get(name)
        if row is None:
            raise ValueError(f"{self.path} has no features for row {name!r}; compute the features of this data set.")
        return self._features[self._offsets[row] : self._offsets[row + 1]]

    def statistics(self, names: Iterable[str]) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (F,) of each channel over the given rows' tokens."""
        count, total, squares = 0, torch.zeros(self.width).double(), torch.zeros(self.width).double()
        for name in names:
            features = self[name].double()
            count += len(features)
            total += features.sum(dim=0)
            squares += features.square().sum(dim=0)
        mean = total / count
        return mean.float(), (squares / count - mean.square()).clamp(min=0).sqrt().float()


def save_features(path: str | Path, ids: Sequence[str], features: Sequence[Tensor], **about: str) -> None:
    """Write features of shape (N_i, F), one per id, and what made them; the file appears whole or not at all."""
    lengths = torch.tensor([0, *(len(item) for item in features)])
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    save_file(
        {"features": torch.cat(list(features)), "offsets": lengths.cumsum(0)},
        beside,
        metadata={"ids": json.dumps(list(ids)), **about},
    )
    beside.replace(path)


class FeatureRows(Dataset[dict[str, Any]]):
    """Rows of a data set with their visual features in place of their pictures.

    Args:
        rows: A ``datasets.Dataset`` in the project's schema.
        features: Features of these rows.
    """

    def __init__(self, rows: Any, features: FeatureFile) -> None:
        self.rows = rows.remove_columns("image") if "image" in rows.column_names else rows
        self.features = features

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        return {**row, "visual_features": self.features[row["id"]]}
