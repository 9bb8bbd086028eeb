"""Opening the data that a command names."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from tqdm.auto import tqdm

from processing.features import FeatureFile, feature_files
from processing.notes import note
from processing.screen import shown_names
from processing.streaming import StreamedRows
from processing.video import NUM_FRAMES, open_visual

from ..errors import UserError, no_data
from ..recipes.recipe import Recipe
from .facts import SCENES


def load_data(data: str, skip_broken: bool = False) -> tuple[DatasetDict, FeatureFile | None]:
    """Open a prepared data set, or draw the built-in Scenes.

    Args:
        data: Folder that `leccr prepare` wrote, or `scenes`.
        skip_broken: Look at every picture and video first and leave out those that cannot be decoded.

    Returns:
        The splits, pictures undecoded, and their visual features if these were computed ahead; those that came with
        the data first. See `leccr.data.features` for those that fit a model.

    Raises:
        UserError: If there is no such folder.
        FileNotFoundError: If it holds no prepared data, or a part is missing.
        UserError: If a part is broken.
    """
    if data == SCENES:
        from processing.scenes.build import build_scenes

        return build_scenes(), None
    folder = Path(data)
    if not folder.is_dir():
        raise no_data(data, " or use scenes")
    from processing.storage import read_splits

    splits = read_splits(folder)
    features = next(iter(feature_files(folder)), None)
    if skip_broken and features is None:
        splits = DatasetDict({name: without_broken_pictures(rows, name) for name, rows in splits.items()})
    return splits, features


def without_broken_pictures(rows: Dataset, name: str) -> Dataset:
    """Leave out rows whose picture or video cannot be decoded, and say how many and which."""
    noun = "videos" if has_videos(rows) else "pictures"
    opens = [_opens(row) for row in tqdm(rows, desc=f"Checking {noun} of {name}")]
    kept = [index for index, good in enumerate(opens) if good]
    broken = [str(row_id) for row_id, good in zip(rows["id"], opens) if not good]
    if broken:
        said = f"{len(broken)} of {len(rows)} rows, their {noun} cannot be decoded: {shown_names(broken)}"
        note(f"{name}: skipped {said}.")
    return rows.select(kept)


def _opens(row: dict[str, Any]) -> bool:
    try:
        open_visual(row)
    except UserError:
        return False
    return True


def has_videos(rows: Dataset | StreamedRows) -> bool:
    """Return whether any row has a video."""
    return has_values(rows, "video")


def has_values(rows: Dataset | StreamedRows, name: str) -> bool:
    """Return whether any row has a value in a column."""
    if isinstance(rows, StreamedRows):
        return rows.has(name)
    if name not in rows.column_names:
        return False
    column = rows.select_columns(name).with_format("arrow")[:][name]
    return bool(column.null_count < len(column))


def for_videos(recipe: Recipe, splits: Mapping[str, Any]) -> Recipe:
    """Return the recipe with what its model needs if the data have videos, unless it says that itself.

    Each frame is one token; a layer of self-attention over the frames, as LECCR's video models have, and their mean
    make the video's vector. A picture is a video of one frame.

    Raises:
        UserError: If the recipe takes the first token for the whole, which would be the first frame.
    """
    if recipe.network != "cross-modal" or not any(map(has_videos, splits.values())):
        return recipe
    if recipe.model.get("vision_summary") == "first":
        raise UserError(
            f"Recipe {recipe.name} says vision_summary: first, but the data have videos, and that would be the first "
            "frame; say mean."
        )
    return dataclasses.replace(
        recipe,
        model={"visual_layers": 1, **recipe.model, "vision_summary": "mean"},
        processor={"num_frames": NUM_FRAMES, **recipe.processor},
    )


def split_of(splits: DatasetDict, name: str, data: str) -> Dataset:
    """Return one split.

    Raises:
        UserError: If the data have no split of that name.
    """
    if name not in splits:
        raise UserError(f"{data} has no split {name}; it has {', '.join(splits)}.")
    return splits[name]
