"""Prepared data sets on disk: Parquet shards, one set for each split, written row by row and read as one."""

import os
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
from datasets import Dataset, DatasetDict, Features, Image, List, Value, load_dataset

from .errors import UserError
from .names import stored_name
from .parquet_guard import check_parquet, decoding
from .references import check_references, note_folders, noted_folders
from .row_checks import check_rows
from .schema import ROW_FEATURES
from .writing import new_part, publish_file

SPLIT_ORDER = ("train", "validation", "test")
SHARD_NAME = re.compile(r"(?P<split>\w+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")
# Pictures dominate the size of a row group, and a reader holds at least one group in memory.
ROWS_PER_GROUP = 100


def write_rows(
    folder: str | Path,
    split: str,
    rows: Iterable[dict[str, Any]],
    features: Features = ROW_FEATURES,
    embed_images: bool = True,
    rows_per_shard: int = 4000,
) -> int:
    """Write one split as shards `<split>-00000-of-000NN.parquet`, holding no more than 100 rows in memory.

    The shards appear together once all of them are written, and replace those that the folder had of this split.

    Args:
        folder: Where the shards go; it is made if need be.
        split: Name of the split, of letters, digits and underscores.
        rows: Rows; a column that a row lacks becomes null. An image is null, a path, a Pillow picture, or a mapping
            with `path` and `bytes`, of which the bytes go before. A video is null or a path, and is referred to by
            its absolute path always.
        features: Columns and their types.
        embed_images: Copy the bytes of image files into the shards as they are, or only refer to the files by their
            absolute paths. Images that come as bytes are embedded in both cases.
        rows_per_shard: Rows in each shard but the last.

    Returns:
        The number of rows written.

    Raises:
        FileNotFoundError: If an image is to be embedded and its file does not exist.
        ValueError: If the split's name cannot be part of a file name.
    """
    if not re.fullmatch(r"\w+", split):
        raise ValueError(f"A split cannot be named {split!r}; use letters, digits and underscores.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    columns = Features({name: Image() if isinstance(kind, Image) else kind for name, kind in features.items()})
    folders: set[str] = set()
    stored = (_stored(row, columns, embed_images, folders) for row in rows)
    parts: list[Path] = []
    written = 0
    try:
        while written == rows_per_shard * len(parts):
            parts.append(new_part(folder / f"{split}-{len(parts):05d}.parquet"))
            written += _write_shard(parts[-1], islice(stored, rows_per_shard), columns.arrow_schema)
        if len(parts) > 1 and written == rows_per_shard * (len(parts) - 1):
            # The last shard is empty: the rows ended with the one before.
            parts.pop().unlink()
        note_folders(folder, folders)
        _publish(folder, split, parts)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return written


def _stored(row: dict[str, Any], features: Features, embed: bool, folders: set[str]) -> dict[str, Any]:
    """Return a row as it is stored, and add to `folders` those that it refers to."""
    images, video = _stored_images(row, features, embed), _stored_video(row)
    paths = [*video.values(), *(image["path"] for image in images.values() if image["bytes"] is None)]
    folders.update(os.path.dirname(path) for path in paths)
    return {**row, **images, **video}


def _stored_images(row: dict[str, Any], features: Features, embed: bool) -> dict[str, Any]:
    images = [name for name, kind in features.items() if isinstance(kind, Image) and row.get(name) is not None]
    return {name: _stored_image(row[name], row, embed) for name in images}


def _stored_video(row: dict[str, Any]) -> dict[str, Any]:
    return {"video": stored_name(Path(row["video"]).absolute())} if row.get("video") else {}


def _stored_image(value: Any, row: dict[str, Any], embed: bool) -> dict[str, Any]:
    image = Image().encode_example(value)
    if image["bytes"] is not None:
        return image
    path = Path(image["path"])
    if not embed:
        return {"path": stored_name(path.absolute()), "bytes": None}
    try:
        return {"path": stored_name(path.name), "bytes": path.read_bytes()}
    except FileNotFoundError:
        raise FileNotFoundError(f"The image of row {row.get('id')!r} does not exist: {path}.") from None


def _write_shard(path: Path, rows: Iterator[dict[str, Any]], schema: pa.Schema) -> int:
    written = 0
    with parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            written += len(group)
    return written


def _publish(folder: Path, split: str, parts: list[Path]) -> None:
    shards = [folder / f"{split}-{number:05d}-of-{len(parts):05d}.parquet" for number in range(len(parts))]
    for part, shard in zip(parts, shards):
        publish_file(part, shard)
    for path in folder.iterdir():
        match = SHARD_NAME.fullmatch(path.name)
        if match and match["split"] == split and path not in shards:
            path.unlink()


def read_splits(folder: str | Path, wanted: Collection[str] | None = None) -> DatasetDict:
    """Open the data set in a folder: train, validation and test first, pictures undecoded.

    The rows are memory-mapped from the Arrow cache of `datasets`, which is filled when a folder is first opened.

    Args:
        folder: The folder.
        wanted: Splits to open; None for all.

    Raises:
        FileNotFoundError: If there is no such folder, it holds no prepared data, or a shard is missing.
        UserError: If a shard cannot be read, or a row refers to a file that the data set may not use.
    """
    splits = DatasetDict()
    for split, paths in find_shards(folder).items():
        if wanted is not None and split not in wanted:
            continue
        footers = [check_parquet(path) for path in paths]
        for path in paths:
            with decoding(path):
                check_rows(path)
        if sum(footer.num_rows for footer in footers):
            with decoding(paths[0]):
                rows = load_dataset("parquet", data_files={split: [str(path) for path in paths]}, split=split)
        else:
            # An empty split cannot be loaded.
            rows = Dataset(footers[0].schema.to_arrow_schema().empty_table())
        splits[split] = undecoded(rows)
        places = [str(path) for path, footer in zip(paths, footers) for _ in range(footer.num_rows)]
        check_references(splits[split], [folder], places.__getitem__, noted_folders(folder))
    return splits


def read_column(folder: str | Path, name: str) -> dict[str, list[Any]]:
    """Read one column of each split, and none of the others; errors as for `read_splits`."""
    return {
        split: [value for path in paths for value in _column(path, name)]
        for split, paths in find_shards(folder).items()
    }


def _column(path: Path, name: str) -> list[Any]:
    check_parquet(path)
    with decoding(path):
        return parquet.read_table(path, columns=[name])[name].to_pylist()


def undecoded(rows: Dataset) -> Dataset:
    """Let the image columns give paths or bytes and not pictures, so that a broken picture stops nothing.

    A column `image` may also hold files' bytes, paths, or arrays of 8-bit colours (height, width, 3).

    Raises:
        UserError: If it holds something else.
    """
    for name, kind in rows.features.items():
        if not isinstance(kind, Image) and (name != "image" or kind == Value("null")):
            continue
        try:
            if isinstance(kind, dict) and not {"bytes", "path"} & set(kind):
                raise TypeError
            if isinstance(kind, List) and not isinstance(kind.feature, List):
                raise TypeError
            with warnings.catch_warnings():
                # Parquet keeps lists of numbers as 64-bit ones, which are made 8-bit colours again.
                warnings.simplefilter("ignore", UserWarning)
                rows = rows.cast_column(name, Image(decode=False))
        except Exception as error:  # Arrow and datasets raise many kinds, with the content in their messages.
            raise UserError(
                f"The column {name} holds {_kind(kind)}, which are not pictures; store files' bytes, paths, or arrays "
                "of 8-bit colours, (height, width, 3)."
            ) from error
    return rows


def _kind(feature: Any) -> str:
    """Return what a column holds, in a few words."""
    if isinstance(feature, Value):
        return f"values of type {feature.dtype}"
    return f"records of {', '.join(feature)}" if isinstance(feature, dict) else "lists of other things"


def find_shards(folder: str | Path) -> dict[str, list[Path]]:
    """Return the shards of each split in a folder.

    Raises:
        FileNotFoundError: If there is no such folder, it holds no prepared data, or a shard is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no data folder {folder}.")
    names = sorted(path.name for path in folder.iterdir())
    shards = [match for name in names if (match := SHARD_NAME.fullmatch(name))]
    if not shards:
        raise FileNotFoundError(
            f"{folder} holds no prepared data: there is no file such as train-00000-of-00001.parquet in it."
        )
    expected = {
        f"{match['split']}-{number:05d}-of-{match['count']}.parquet"
        for match in shards
        for number in range(int(match["count"]))
    }
    missing = sorted(expected - set(names))
    if missing:
        raise FileNotFoundError(f"{folder} is incomplete, it lacks {', '.join(missing)}; prepare the data set again.")
    splits = sorted({match["split"] for match in shards}, key=lambda split: (_place(split), split))
    return {split: [folder / match[0] for match in shards if match["split"] == split] for split in splits}


def _place(split: str) -> int:
    return SPLIT_ORDER.index(split) if split in SPLIT_ORDER else len(SPLIT_ORDER)
