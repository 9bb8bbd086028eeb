"""What must be true of every collection: pictures are there, and no picture is in two splits."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..errors import UserError
from .files import Collection, FeatureSource, Rows, image_key
from .roots import Roots

_EXAMPLES = 3
EVERYWHERE = Roots(())


def check_visuals(collection: Collection, allow_missing: bool = False, roots: Roots = EVERYWHERE) -> Collection:
    """Make sure that every row has its picture, video or ready-made features, and names only files that it may.

    Args:
        collection: What a reader returned.
        allow_missing: Leave rows without them out, and say in the notes how many, instead of raising.
        roots: Folders that the pictures and videos have to be in.

    Raises:
        FileNotFoundError: If rows lack their visual; the message counts them and names a few. Also if all rows lack
            it, whatever `allow_missing`.
        UserError: If there are no rows, or one names a file outside the folders.
    """
    missing: dict[str, int] = {}
    examples: list[str] = []
    total = 0
    for split, rows in collection.splits.items():
        missing[split] = 0
        for row in rows:
            total += 1
            roots.check(row)
            lacking = _lacking(row, collection.features)
            if lacking:
                missing[split] += 1
                examples += [lacking] if len(examples) < _EXAMPLES else []
    count = sum(missing.values())
    if not total:
        raise UserError("The data set has no image or video at all; look at the lists of ids or the metadata.")
    if not count:
        return collection
    shown = ", ".join(examples) + (" ..." if count > len(examples) else "")
    if not allow_missing or count == total:
        advice = "" if count == total else " Put them there, or leave their rows out with --allow-missing."
        raise FileNotFoundError(f"{count} of {total} images or videos are missing: {shown}.{advice}")
    features = collection.features
    splits = {split: _with_visual(rows, features) for split, rows in collection.splits.items()}
    left_out = {split: count for split, count in missing.items() if count}
    notes = [f"{split}: left out {count} rows whose image or video is missing." for split, count in left_out.items()]
    return replace(collection, splits=splits, notes=[*collection.notes, *notes])


def _with_visual(rows: Rows, features: FeatureSource | None) -> Rows:
    return Rows(lambda: (row for row in rows if not _lacking(row, features)))


def _lacking(row: dict[str, Any], features: FeatureSource | None) -> str | None:
    """Return what the row lacks, or None."""
    if features is not None:
        return None if row["id"] in features else f"features of {row['id']}"
    if row["image"] and row["image"]["bytes"] is not None:
        return None
    path = row["image"]["path"] if row["image"] else row["video"]
    if path is None:
        return f"image or video of {row['id']}"
    return None if os.path.isfile(path) else path


def check_splits(splits: Mapping[str, Iterable[dict[str, Any]]], allow_overlap: bool = False) -> list[str]:
    """Make sure that no id occurs twice in a split and that no picture is in two splits.

    Splits whose names begin alike up to the first underscore, such as `test` and `test_1k`, may share pictures.

    Args:
        splits: Rows by split.
        allow_overlap: Let splits share pictures, and return what they share as notes.

    Raises:
        UserError: If an id is repeated, or two splits share pictures.
    """
    keys = {split: frozenset(_unique_keys(split, rows)) for split, rows in splits.items()}
    return check_disjoint(keys, allow_overlap)


def check_disjoint(keys: Mapping[str, frozenset[str]], allow_overlap: bool = False) -> list[str]:
    """Make sure that no picture is in two splits, given the `image_key` of each picture by split.

    A split may be of another data set, under a name such as `test of <folder>`.
    """
    names = list(keys)
    pairs = [(first, second) for index, first in enumerate(names) for second in names[index + 1 :]]
    notes = []
    for first, second in pairs:
        shared = keys[first] & keys[second]
        if not shared or _role(first) == _role(second):
            continue
        found = f"{len(shared)} images are both in {first} and in {second}, for example {min(shared)}"
        if not allow_overlap:
            raise UserError(
                f"{found}: figures on one would profit from training on the other. Choose splits that share no image, "
                "or allow it with --allow-overlap."
            )
        notes.append(f"{found}.")
    return notes


def _role(split: str) -> str:
    return split.split(" ")[0].split("_")[0]


def _unique_keys(split: str, rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    ids: set[str] = set()
    for row in rows:
        if row["id"] in ids:
            raise UserError(f"The id {row['id']!r} occurs twice in {split}; give each image or video its own.")
        ids.add(row["id"])
        yield image_key(row["id"])
