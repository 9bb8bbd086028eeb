"""Your own images or videos: a folder of them, with ``metadata.csv`` or ``metadata.jsonl`` or without any.

The metadata are those of Hugging Face's ImageFolder (huggingface.co/docs/datasets/image_dataset) with more columns:

- ``file_name`` (or ``image`` or ``video``): the file, as a path in the folder;
- ``caption`` (or ``text``): a caption in the source language; in JSON lines also a list of them;
- ``caption_de`` and so on: captions in other languages, which count as written by people; ``caption_en`` and the like
  of the source language is the same as ``caption``. A translation in the same line as one source caption is its
  translation;
- ``split``: train, validation or test, for all lines of a file or none. Without it, files in folders of these names
  are so split, and others are split at random but always in the same way;
- ``description``.

Several lines with the same file give it several captions. Files without a line are left out. Without metadata all
files go into one split ``gallery``, to be searched and not to train on.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..schema import ORIGIN_HUMAN
from .files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Collection, Rows, Target, clean, make_row, read_lines, require

METADATA = ("metadata.csv", "metadata.jsonl", "captions.csv", "captions.jsonl")
FILE_COLUMNS = ("file_name", "image", "video")
CAPTION_COLUMNS = ("caption", "text")
SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
SHARES = (0.8, 0.1, 0.1)
GALLERY = "gallery"

_LANGUAGE_COLUMN = re.compile(r"caption_(?P<language>[a-z]{2,3}(?:-[A-Za-z]+)?)")


@dataclass
class _Item:
    sources: dict[int, str] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    description: str | None = None
    split: str | None = None


def folder_rows(root: str | Path, source_language: str = "en", shares: Sequence[float] = SHARES) -> Collection:
    """Read a folder of images or videos.

    Args:
        root: The folder.
        source_language: Language of the captions in the column ``caption``.
        shares: Shares of train, validation and test where the metadata do not tell the split.

    Raises:
        FileNotFoundError: If there is no such folder, or no image or video in it and no metadata either.
        ValueError: If the metadata lack a column or contradict themselves, naming the line, or the shares are not
            three numbers that add up to 1.
    """
    root = Path(root)
    require([root], "The folder", "nowhere: it is yours")
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"The shares of train, validation and test should add up to 1, unlike {list(shares)}.")
    metadata = [root / name for name in METADATA if (root / name).exists()]
    notes: list[str] = []
    if metadata:
        items = _read_metadata(metadata[0], source_language, notes)
        splits = _split(items, shares)
    else:
        files = _media(root)
        if not files:
            raise FileNotFoundError(f"{root} holds no image or video, nor {' or '.join(METADATA)}.")
        items, splits = {file: _Item() for file in files}, {GALLERY: files}
    notes += _unlisted(root, items)

    def row(file: str) -> dict[str, Any]:
        item, path = items[file], root / file
        video = path.suffix.lower() in VIDEO_SUFFIXES
        return make_row(
            file,
            item.sources,
            item.targets,
            image=None if video else path,
            video=path if video else None,
            description=item.description,
            source_language=source_language,
        )

    def rows(split: str) -> Iterator[dict[str, Any]]:
        return (row(file) for file in splits[split])

    return Collection(Rows.of(rows, splits), notes=notes)


def _media(root: Path) -> list[str]:
    """Return the images and videos below the folder, as paths in it."""
    paths = (path for path in root.rglob("*") if path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    return sorted(path.relative_to(root).as_posix() for path in paths if path.is_file())


def _unlisted(root: Path, items: Mapping[str, Any]) -> list[str]:
    count = sum(file not in items for file in _media(root))
    return [f"{count} images or videos have no line in the metadata; they are left out."] if count else []


def _read_metadata(path: Path, source_language: str, notes: list[str]) -> dict[str, _Item]:
    items: dict[str, _Item] = {}
    empty = 0
    for place, line in _lines(path):
        file = next((str(line[name]).strip() for name in FILE_COLUMNS if line.get(name)), "")
        if not file:
            raise ValueError(f"{path} line {place} has no {' or '.join(FILE_COLUMNS)}; it has {', '.join(line)}.")
        item = items.setdefault(Path(file).as_posix(), _Item())
        empty += not _add(item, line, source_language)
        split = _split_name(path, place, line.get("split"))
        if split and item.split not in (None, split):
            raise ValueError(f"{path} line {place} puts {file} into {split}, an earlier line into {item.split}.")
        item.split = split or item.split
    if empty:
        notes.append(f"{path.name} has {empty} lines without any caption.")
    named = [item.split is not None for item in items.values()]
    if any(named) and not all(named):
        raise ValueError(f"{path} gives some files a split and others none; give it to all or to none.")
    return items


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line and its columns."""
    text = "\n".join(read_lines(path))
    if path.suffix == ".jsonl":
        for place, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield place, _json_line(path, place, line)
        return
    header = text.split("\n", 1)[0]
    # Spreadsheets in some countries separate by semicolons, and some export tabs.
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    for columns in reader:
        if None in columns.keys():
            raise ValueError(f"{path} line {reader.line_num} has more columns than the first line names.")
        yield reader.line_num, {name.strip(): value for name, value in columns.items()}


def _json_line(path: Path, place: int, line: str) -> dict[str, Any]:
    try:
        columns = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} line {place} is not JSON: {error}.") from error
    if not isinstance(columns, dict):
        raise ValueError(f"{path} line {place} is not a JSON object.")
    return columns


def _add(item: _Item, line: Mapping[str, Any], source_language: str) -> bool:
    """Add a line's captions and description; return whether there was any caption."""
    columns = [*CAPTION_COLUMNS, f"caption_{source_language}"]
    sources = [text for name in columns for text in _texts(line.get(name))]
    numbers = [len(item.sources) + place for place in range(len(sources))]
    item.sources.update(zip(numbers, sources))
    found = bool(sources)
    for name, value in line.items():
        match = _LANGUAGE_COLUMN.fullmatch(name)
        if match and name not in columns:
            number = numbers[0] if len(numbers) == 1 else None
            targets = [Target(match["language"], text, number, ORIGIN_HUMAN) for text in _texts(value)]
            item.targets += targets
            found = found or bool(targets)
    item.description = next(iter(_texts(line.get("description"))), item.description)
    return found


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [clean(str(text)) for text in values if text is not None and clean(str(text))]


def _split_name(path: Path, place: int, value: Any) -> str | None:
    if not value:
        return None
    if value not in SPLITS:
        raise ValueError(f"{path} line {place} has the split {value!r}; use train, validation or test.")
    return SPLITS[value]


def _split(items: Mapping[str, _Item], shares: Sequence[float]) -> dict[str, list[str]]:
    folders = {file: SPLITS.get(file.split("/")[0]) for file in items}
    if any(item.split for item in items.values()):
        named = {file: item.split for file, item in items.items()}
    elif all(folders.values()):
        named = dict(folders)
    else:
        named = _shared_out(list(items), shares)
    order = dict.fromkeys(SPLITS.values())
    found = {split: [file for file in items if named[file] == split] for split in order}
    return {split: files for split, files in found.items() if files}


def _shared_out(files: list[str], shares: Sequence[float]) -> dict[str, str | None]:
    """Split files by the order of a hash of their names, so that the split is always the same."""
    ordered = sorted(files, key=lambda file: hashlib.blake2b(file.encode()).digest())
    held_out = [round(share * len(files)) for share in shares[1:]]
    # Without one image to select a checkpoint on there is no training.
    held_out[0] = max(held_out[0], int(shares[1] > 0 and len(files) > 1))
    validation, test = ordered[: held_out[0]], ordered[held_out[0] : sum(held_out)]
    return {**dict.fromkeys(files, "train"), **dict.fromkeys(validation, "validation"), **dict.fromkeys(test, "test")}
