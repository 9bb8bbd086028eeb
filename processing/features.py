"""Visual features computed ahead, in one safetensors file next to the data, read row by row without loading it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor
from torch.utils.data import Dataset

from .errors import UserError
from .writing import atomic_file

FEATURES_FILE = "features.safetensors"
_TYPE_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_MOST_TOKENS = 2**40


def features_paths(folder: str | Path) -> list[Path]:
    """Return the files of features in a folder, `features.safetensors` first; each is of another tower."""
    paths = sorted(Path(folder).glob("features-*.safetensors"))
    return [path for path in (Path(folder) / FEATURES_FILE, *paths) if path.is_file()]


def feature_files(folder: str | Path) -> list["FeatureFile"]:
    """Return the features in a folder, of all towers."""
    return [FeatureFile(path) for path in features_paths(folder)]


def copy_id(name: str, number: int) -> str:
    """Return the id under which the features of a varied copy of a row's picture are kept, counted from 1."""
    return f"{name}\t{number}"


class FeatureFile:
    """Features by row id.

    `copies` is how many varied copies of each training picture it holds besides, under `copy_id`.

    The file holds `features` (all tokens, F) and `offsets` (rows + 1), with the ids and what made the features in
    its metadata; it is memory-mapped.

    Args:
        path: The file, or the folder that holds `features.safetensors`, or else that of only one tower.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If the folder has the features of several towers.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.path = _only_file(path) if path.is_dir() else path
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} does not exist; write visual features first.")
        self._file = safe_open(self.path, framework="pt")
        self.metadata: dict[str, str] = self._file.metadata()
        self._rows = {name: row for row, name in enumerate(json.loads(self.metadata["ids"]))}
        self._offsets = self._file.get_tensor("offsets").tolist()
        self._features = self._file.get_slice("features")
        self.width: int = self._features.get_shape()[1]
        self.copies = int(self.metadata.get("copies", 0))

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> Tensor:
        """Return the features (N, F) of one row."""
        row = self._rows.get(name)
        if row is None:
            raise UserError(f"{self.path} has no features for row {name!r}; compute the features of this data set.")
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


def _only_file(folder: Path) -> Path:
    paths = features_paths(folder) or [folder / FEATURES_FILE]
    if len(paths) > 1 and paths[0].name != FEATURES_FILE:
        names = ", ".join(path.name for path in paths)
        raise UserError(f"{folder} has the features of several towers: {names}; name one of the files.")
    return paths[0]


def save_features(path: str | Path, ids: Sequence[str], features: Iterable[Tensor], **about: str) -> None:
    """Write features of shape (N_i, F), one per id, and what made them; the file appears whole or not at all.

    Only one row's features are held in memory, so `features` may be an iterator over more than memory can hold.

    Raises:
        ValueError: If there are not as many features as ids.
        UserError: If they differ in width or type.
    """
    with atomic_file(path) as part, part.open("wb") as file:
        _stream(file, list(ids), features, about)


def _stream(file: BinaryIO, ids: list[str], features: Iterable[Tensor], about: dict[str, str]) -> None:
    """Write the safetensors format by hand: length of the header, header, offsets, features.

    The header gives the number of tokens, which is known only at the end, so room is left for it.
    """
    metadata = {"ids": json.dumps(ids), **about}
    room = len(_header(metadata, len(ids) + 1, _MOST_TOKENS, _MOST_TOKENS, torch.bfloat16))
    room += -room % 8
    file.seek(8 + room + 8 * (len(ids) + 1))
    offsets, kind = [0], None
    for item in features:
        kind = kind or (item.shape[1:], item.dtype)
        if item.ndim != 2 or (item.shape[1:], item.dtype) != kind or item.dtype not in _TYPE_NAMES:
            raise UserError(f"Features have shape {tuple(item.shape)} and {item.dtype}, unlike the first of the file.")
        file.write(item.contiguous().view(torch.uint8).numpy().tobytes())
        offsets.append(offsets[-1] + len(item))
    if kind is None or len(offsets) != len(ids) + 1:
        raise ValueError(f"There are {len(offsets) - 1} features for {len(ids)} rows; give one for each.")
    file.seek(0)
    header = _header(metadata, len(offsets), offsets[-1], kind[0][0], kind[1])
    file.write(room.to_bytes(8, "little") + header.ljust(room))
    file.write(np.array(offsets, dtype="<i8").tobytes())


def _header(metadata: dict[str, str], rows: int, tokens: int, width: int, dtype: torch.dtype) -> bytes:
    start = 8 * rows
    end = start + tokens * width * dtype.itemsize
    return json.dumps(
        {
            "__metadata__": metadata,
            "offsets": {"dtype": "I64", "shape": [rows], "data_offsets": [0, start]},
            "features": {"dtype": _TYPE_NAMES[dtype], "shape": [tokens, width], "data_offsets": [start, end]},
        }
    ).encode()


class FeatureRows(Dataset[dict[str, Any]]):
    """Rows of a data set with their visual features in place of their pictures.

    Args:
        rows: A `datasets.Dataset` in the project's schema.
        features: Features of these rows.
        varied: Draw, each time, among the features of a picture and of its varied copies, where there are any;
            randomness is torch's.
    """

    def __init__(self, rows: Any, features: FeatureFile, varied: bool = False) -> None:
        self.rows = rows.remove_columns("image") if "image" in rows.column_names else rows
        self.features = features
        self.copies = features.copies if varied else 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        name = row["id"]
        drawn = int(torch.randint(self.copies + 1, ())) if self.copies else 0
        if drawn and copy_id(name, drawn) in self.features:
            name = copy_id(name, drawn)
        return {**row, "visual_features": self.features[name]}


def with_features(rows: Any, features: FeatureFile | None, varied: bool = False) -> Any:
    """Return the rows with their features in place of their pictures, or as they are where there are no features.

    Args:
        rows: Rows in the project's schema.
        features: Their features, or None.
        varied: As for `FeatureRows`: on for training, off for anything that is measured.
    """
    return rows if features is None else FeatureRows(rows, features, varied)
