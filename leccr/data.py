"""Opening the data that a command names."""

from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from tqdm.auto import tqdm

from processing.features import FEATURES_FILE, FeatureFile
from processing.images import open_image

from .errors import UserError

SCENES = "scenes"


def load_data(data: str, skip_broken: bool = False) -> tuple[DatasetDict, FeatureFile | None]:
    """Open a prepared data set, or draw the built-in Scenes.

    Args:
        data: Folder that ``leccr prepare`` wrote, or ``scenes``.
        skip_broken: Look at every picture first and leave out those that cannot be decoded.

    Returns:
        The splits, pictures undecoded, and the visual features beside them if there are any.

    Raises:
        UserError: If there is no such folder.
        FileNotFoundError: If it holds no prepared data, or a part is missing.
        ValueError: If a part is broken.
    """
    if data == SCENES:
        from processing.scenes import build_scenes

        return build_scenes(), None
    folder = Path(data)
    if not folder.is_dir():
        raise UserError(f"There is no data folder {data}; make one with `leccr prepare`, or say scenes.")
    from processing.storage import read_splits

    splits = read_splits(folder)
    features = FeatureFile(folder) if (folder / FEATURES_FILE).is_file() else None
    if skip_broken and features is None:
        splits = DatasetDict({name: without_broken_pictures(rows, name) for name, rows in splits.items()})
    return splits, features


def without_broken_pictures(rows: Dataset, name: str) -> Dataset:
    """Leave out rows whose picture cannot be decoded, and say how many."""
    kept = [place for place, row in enumerate(tqdm(rows, desc=f"Checking pictures of {name}")) if _opens(row)]
    if len(kept) < len(rows):
        print(f"{name}: skipped {len(rows) - len(kept)} of {len(rows)} rows, their pictures cannot be decoded.")
    return rows.select(kept)


def _opens(row: dict[str, Any]) -> bool:
    try:
        open_image(row["image"], row["id"])
    except ValueError:
        return False
    return True


def split_of(splits: DatasetDict, name: str, data: str) -> Dataset:
    """Return one split.

    Raises:
        UserError: If the data have no split of that name.
    """
    if name not in splits:
        raise UserError(f"{data} has no split {name}; it has {', '.join(splits)}.")
    return splits[name]
