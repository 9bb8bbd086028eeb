"""Opening data whose training rows are streamed: from a folder, or from an address such as `hf://datasets/org/name`."""

import hashlib
import re
from pathlib import Path
from typing import Any

from processing.storage import SHARD_NAME, read_splits
from processing.streaming import StreamedRows, open_shards
from processing.writing import atomic_file

from ..errors import UserError, no_data
from ..recipes.recipe import Recipe

TRAIN, VALIDATION = "train", "validation"
TRAIN_FILES = re.compile(rf"{TRAIN}-.+\.(parquet|tar)")


def is_address(data: str) -> bool:
    """Return whether data are not a folder of this machine, but an address of fsspec."""
    return "://" in data


def open_streamed(recipe: Recipe) -> dict[str, Any]:
    """Open the splits that training needs: rows to stream, and a validation that is loaded as always.

    Raises:
        UserError: If there are no such data, or the recipe needs what cannot be had of rows that are streamed.
    """
    data = str(recipe.data)
    if recipe.data is None or data == "scenes":
        raise UserError("Scenes are drawn, so that there is nothing to stream; leave out --streaming.")
    if recipe.shuffle_buffer < 1:
        raise UserError(f"shuffle_buffer is {recipe.shuffle_buffer}, but has to be at least 1.")
    if recipe.skip_broken:
        raise UserError(
            "--skip-broken looks at all pictures first, which --streaming is to avoid; leave broken ones out with "
            "`leccr prepare --skip-broken`."
        )
    if not is_address(data) and not Path(data).is_dir():
        raise no_data(data)
    try:
        shards = open_shards(data, TRAIN_FILES)
        folder = _validation_folder(data) if is_address(data) else Path(data)
    except UserError:
        raise
    except (OSError, ImportError, ValueError) as error:
        raise UserError(f"{data} cannot be read: {' '.join(str(error).split()) or type(error).__name__}.") from error
    if not shards:
        raise UserError(f"{data} has no training files to stream, such as train-00000-of-00001.parquet.")
    missing = _missing([shard.name.rpartition("/")[2] for shard in shards])
    if missing:
        raise UserError(f"{data} is incomplete, it lacks {', '.join(missing)}.")
    train = StreamedRows(shards, None if is_address(data) else data)
    return {TRAIN: train, **read_splits(folder, [VALIDATION])}


def _missing(names: list[str]) -> list[str]:
    """Return the names of shards that should be next to these, by the count that they name."""
    counts = {match["count"] for name in names if (match := SHARD_NAME.fullmatch(name))}
    expected = {f"{TRAIN}-{number:05d}-of-{count}.parquet" for count in counts for number in range(int(count))}
    return sorted(expected - set(names))


def _validation_folder(data: str) -> Path:
    """Return a folder of this machine with the validation, downloaded once."""
    import fsspec
    from datasets.config import HF_DATASETS_CACHE

    files, _ = fsspec.core.url_to_fs(data)
    folder = Path(HF_DATASETS_CACHE, "leccr", hashlib.blake2b(data.encode(), digest_size=12).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    shards = open_shards(data, re.compile(rf"{VALIDATION}-.+\.parquet"))
    if not shards:
        raise UserError(f"{data} has no validation to choose the best checkpoint by; add one as Parquet files.")
    wanted = {Path(shard.path).name: shard.path for shard in shards}
    for name, path in wanted.items():
        target = folder / name
        if not target.exists() or target.stat().st_size != files.size(path):
            with atomic_file(target) as part:
                files.get_file(path, str(part))
    for existing in folder.glob("*.parquet"):
        if existing.name not in wanted:
            existing.unlink()
    return folder
