"""Your own images or videos: a folder of them, with `metadata.csv` or `metadata.jsonl` or without any.

The metadata are those of Hugging Face's ImageFolder (huggingface.co/docs/datasets/image_dataset) with more columns:

- `file_name` (or `image` or `video`): the file, as a path in the folder;
- `caption` (or `text`): a caption in the source language; in JSON lines also a list of them;
- `caption_de` and so on: captions in other languages, which count as written by people; `caption_en` and the like
  of the source language is the same as `caption`. A translation in the same line as one source caption is its
  translation;
- `split`: train, validation or test, for all lines of a file or none. Without it, files in folders of these names
  are so split, and others are given a reproducible random split;
- `description`.

Several lines with the same file give it several captions. Files without a line are left out. Without metadata all
files go into one split `gallery`, to be searched and not to train on. A file whose lines have no description gets that
of the folder's `descriptions.jsonl`, if there is one, as `leccr index` reads it.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..descriptions import read_descriptions
from ..errors import UserError
from ..folders import walk_files
from ..names import ByName, stored_name
from ..schema import ORIGIN_HUMAN
from ..screen import shown
from ..suffixes import explain_left_out, is_image_name, is_video_name
from .files import Collection, Rows, Target, clean, make_row
from .metadata import Metadata

METADATA = ("metadata.csv", "metadata.jsonl", "captions.csv", "captions.jsonl")
CAPTION_COLUMNS = ("caption", "text")
SPLITS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
SHARES = (0.8, 0.1, 0.1)
GALLERY = "gallery"

_LANGUAGE_COLUMN = re.compile(r"caption_(?P<language>[a-z]{2,3}(?:-[A-Za-z]+)?)")


def folder_rows(
    root: str | Path,
    source_language: str = "en",
    shares: Sequence[float] = SHARES,
    images: str | Path | None = None,
    videos: str | Path | None = None,
) -> Collection:
    """Read a folder of images or videos.

    Args:
        root: The folder.
        source_language: Language of the captions in the column `caption`.
        shares: Shares of train, validation and test where the metadata do not tell the split.
        images: Another folder in which files may be that the metadata name by absolute paths, or links lead to.
        videos: Another such folder.

    Raises:
        FileNotFoundError: If there is no such folder, or no image or video in it and no metadata either.
        UserError: If the metadata lack a column or contradict themselves, naming the line, or the shares are not
            three numbers that add up to 1.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}; name one with images or videos.")
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise UserError(f"The shares of train, validation and test should add up to 1, unlike {list(shares)}.")
    unreadable: list[tuple[str, str]] = []
    media, others = _media(root, unreadable)
    notes = [f"{shown(name)}: {reason}; nothing in it was read." for name, reason in unreadable]
    notes += explain_left_out(others)
    descriptions = read_descriptions(root)

    def row_of(file: str, lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        return _row(root, file, lines, source_language, descriptions.get(file))

    existing = [root / name for name in METADATA if (root / name).exists()]
    if not existing and not media:
        raise FileNotFoundError(" ".join([f"{root} holds no image or video, nor {' or '.join(METADATA)}.", *notes]))
    if not existing:
        rows_of_all = Rows.of(lambda split: (row_of(file, []) for file in media), [GALLERY])
        return Collection(rows_of_all, notes=notes)
    metadata = Metadata(existing[0])
    splits = _split(metadata, shares)
    unlisted = sum(file not in metadata for file in media)
    if unlisted:
        notes.append(f"{unlisted} images or videos have no line in the metadata; they are left out.")
    # The name on the disk may be in another Unicode form than that in the metadata.
    on_disk = ByName((file, file) for file in media)

    def rows(split: str) -> Iterator[dict[str, Any]]:
        return (row_of(on_disk.get(file, file), metadata[file]) for file in splits[split])

    return Collection(Rows.of(rows, splits), notes=notes)


def _media(root: Path, unreadable: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Return the images and videos below the folder, as paths in it, and the other files that are not hidden."""
    paths = (path for path in walk_files(root, unreadable, follow_links=False, hidden=True) if path.is_file())
    files = sorted(path.relative_to(root).as_posix() for path in paths)
    media = {file for file in files if is_image_name(file) or is_video_name(file)}
    hidden = {file for file in files if any(part.startswith(".") for part in file.split("/"))}
    known = media | hidden
    return [file for file in files if file in media], [file for file in files if file not in known]


def _row(
    root: Path, file: str, lines: Iterable[Mapping[str, Any]], source_language: str, description: str | None
) -> dict[str, Any]:
    sources: dict[int, str] = {}
    targets: list[Target] = []
    for line in lines:
        own = [*CAPTION_COLUMNS, f"caption_{source_language}"]
        texts = [text for name in own for text in _texts(line.get(name))]
        numbers = range(len(sources), len(sources) + len(texts))
        sources.update(zip(numbers, texts))
        for name, value in line.items():
            match = _LANGUAGE_COLUMN.fullmatch(name)
            if match and name not in own:
                number = numbers[0] if len(numbers) == 1 else None
                targets += [Target(match["language"], text, number, ORIGIN_HUMAN) for text in _texts(value)]
        description = next(iter(_texts(line.get("description"))), description)
    path = root / file
    video = is_video_name(path)
    return make_row(
        stored_name(file),
        sources,
        targets,
        image=None if video else path,
        video=path if video else None,
        description=description,
        source_language=source_language,
    )


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [clean(str(text)) for text in values if text is not None and clean(str(text))]


def _split(metadata: Metadata, shares: Sequence[float]) -> dict[str, list[str]]:
    named = {file: _named_split(metadata, file) for file in metadata}
    folders = {file: SPLITS.get(file.split("/")[0]) for file in metadata}
    if any(named.values()) and not all(named.values()):
        raise UserError(f"{metadata.path} gives some files a split and others none; give it to all or to none.")
    if not any(named.values()):
        named = folders if all(folders.values()) else _shared_out(list(metadata), shares)
    by_split = {split: [file for file in named if named[file] == split] for split in dict.fromkeys(SPLITS.values())}
    return {split: files for split, files in by_split.items() if files}


def _named_split(metadata: Metadata, file: str) -> str | None:
    """Return the split that the lines of a file name, if they do."""
    values = {line.get("split") or None for line in metadata[file]} - {None}
    for value in values:
        if value not in SPLITS:
            raise UserError(f"{metadata.path} puts {file} into {value!r}; use train, validation or test.")
    splits = sorted({SPLITS[str(value)] for value in values})
    if len(splits) > 1:
        raise UserError(f"{metadata.path} puts {file} into both {' and '.join(splits)}; choose one.")
    return splits[0] if splits else None


def _shared_out(files: list[str], shares: Sequence[float]) -> dict[str, str | None]:
    """Split files by the order of a hash of their names, so that the split is always the same."""
    ordered = sorted(files, key=lambda file: hashlib.blake2b(file.encode()).digest())
    held_out = [round(share * len(files)) for share in shares[1:]]
    # Without one image to select a checkpoint on there is no training.
    held_out[0] = max(held_out[0], int(shares[1] > 0 and len(files) > 1))
    validation, test = ordered[: held_out[0]], ordered[held_out[0] : sum(held_out)]
    return {**dict.fromkeys(files, "train"), **dict.fromkeys(validation, "validation"), **dict.fromkeys(test, "test")}
