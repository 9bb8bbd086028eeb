"""Ready-made visual features and video files as the video benchmarks publish them."""

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..suffixes import VIDEO_SUFFIXES
from .files import FeatureSource, files_by_stem, read_lines, require

BIGFILE_PARTS = ("feature.bin", "shape.txt", "id.txt")
FRAMES = "video2frames.txt"
_STRING = r"'[^'\\\n]*'" + "|" + r'"[^"\\\n]*"'
_ENTRY = re.compile(rf"(?P<name>{_STRING})\s*:\s*(?P<frames>\[\s*(?:(?:{_STRING})\s*,?\s*)*\])")


class NpyFeatures:
    """One `.npy` file a video, anywhere below a folder, as VATEX publishes its I3D features: (1, N, F) or (N, F).

    Args:
        files: Files by row id.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = files

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the features (N, F) of one video, float32.

        Raises:
            UserError: If the file is no such array.
        """
        path = self.files[name]
        try:
            features = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is not a NumPy array of numbers; fetch it again.") from error
        while features.ndim > 2 and features.shape[0] == 1:
            features = features[0]
        if features.ndim == 1:
            features = features[None]
        if features.ndim != 2 or 0 in features.shape:
            raise UserError(f"{path} has shape {features.shape}, which is not (tokens, width).")
        return features.astype(np.float32)


class BigFile:
    """Features in the BigFile layout of the NRCCR and LECCR releases, read through a memory map.

    `feature.bin` holds float32 vectors one after another, `shape.txt` their number and width, `id.txt` their ids,
    and `video2frames.txt`, if there is one, the ids of each video's frames as a Python dictionary.

    Args:
        folder: Holds these files.

    Raises:
        FileNotFoundError: If one is missing.
        UserError: If they contradict each other.
    """

    def __init__(self, folder: Path) -> None:
        require([folder / name for name in BIGFILE_PARTS], f"The features in {folder}", "github.com/LiJiaBei-7/nrccr")
        try:
            count, width = (int(word) for word in " ".join(read_lines(folder / "shape.txt")).split())
        except ValueError as error:
            raise UserError(f"{folder / 'shape.txt'} should hold two numbers: vectors and their width.") from error
        names = [name for line in read_lines(folder / "id.txt") for name in line.split()]
        size = (folder / "feature.bin").stat().st_size
        if len(names) != count or size != count * width * 4:
            raise UserError(
                f"{folder} contradicts itself: shape.txt has {count} vectors of {width} float32 numbers, id.txt has "
                f"{len(names)} ids, and feature.bin has {size} bytes. Fetch it again."
            )
        self._vectors = np.memmap(folder / "feature.bin", dtype="<f4", mode="r", shape=(count, width))
        self._indices = {name: index for index, name in enumerate(names)}
        self._frames = _read_frames(folder / FRAMES) if (folder / FRAMES).exists() else {}

    def __contains__(self, name: object) -> bool:
        frames = self._frames.get(str(name))
        return name in self._indices if frames is None else any(frame in self._indices for frame in frames)

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the features (N, F) of one video's frames in their order, or of one image (1, F)."""
        frames = self._frames.get(name, [name])
        return np.array(self._vectors[[self._indices[frame] for frame in frames if frame in self._indices]])


def _read_frames(path: Path) -> dict[str, Sequence[str]]:
    text = "\n".join(read_lines(path))
    try:
        # Entry by entry where that covers the whole text: the tree of a million ids would take over a gigabyte.
        entries = [(match["name"], match["frames"]) for match in _ENTRY.finditer(text)]
        if not _ENTRY.sub("", text).strip("{}, \n\t"):
            frames = {ast.literal_eval(name): ast.literal_eval(ids) for name, ids in entries}
        else:
            frames = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise UserError(f"{path} is not a Python dictionary of frame ids by video; it is not run as code.") from error
    if not isinstance(frames, dict) or not all(isinstance(ids, (list, tuple)) for ids in frames.values()):
        raise UserError(f"{path} is not a dictionary of lists: it should give each video its frame ids.")
    return {str(name): ids for name, ids in frames.items()}


def find_features(root: Path, choice: str | None = None) -> FeatureSource | None:
    """Return the features below a folder: BigFiles, or else `.npy` files; None if there are none.

    Args:
        root: Where to look.
        choice: Name of the features' folder; needed where there are several BigFiles.

    Raises:
        FileNotFoundError: If there are no features of that name.
        UserError: If there are several BigFiles and none is chosen.
    """
    folders = sorted(path.parent for path in root.rglob("feature.bin"))
    if choice is not None:
        folders = [folder for folder in folders if choice in (folder.name, str(folder))]
        named = [path for path in (Path(choice), root / choice, root / "FeatureData" / choice) if path.is_dir()]
        if not folders and not named:
            raise FileNotFoundError(f"There are no features {choice!r} below {root}.")
        root = named[0] if named else root
    if len(folders) > 1:
        raise UserError(
            f"{root} has several features: {', '.join(folder.name for folder in folders)}. Choose one with --features."
        )
    if folders:
        return BigFile(folders[0])
    files = files_by_stem(root, (".npy",))
    return NpyFeatures(files) if files else None


def find_videos(root: Path) -> dict[str, Path]:
    """Return the video files below a folder by their names without ending."""
    return files_by_stem(root, VIDEO_SUFFIXES)
