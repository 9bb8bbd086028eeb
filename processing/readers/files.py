"""What the readers share: text files as they are published, looking for files, and building rows."""

import gzip
import json
import os
import re
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import UserError
from ..folders import walk_files
from ..text_files import read_text

# Far above any file of captions that is published; a packed file may hold a thousand times its size.
LARGEST_TEXT = 2**29
SPLIT_LISTS = {"train": "train", "validation": "val", "test": "test"}

# "<id>#<tag>#<number> <text>", or "<id>#<number><tab><text>" as in COCO-CN.
_CAPTION = re.compile(r"(?P<id>[^\s#]+)(?:#(?P<tag>\w+))?#(?P<number>\d{1,9})(?:\s+(?P<text>.*))?")


class FeatureSource(Protocol):
    """Ready-made visual features by row id."""

    def __contains__(self, name: object) -> bool: ...

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the features (N, F) of one row, float32."""


@dataclass(frozen=True)
class Rows:
    """Rows that are made again each time they are iterated over, so that they need no memory.

    Args:
        make: Returns an iterator over the rows.
    """

    make: Callable[[], Iterable[dict[str, Any]]]

    @classmethod
    def of(cls, make: Callable[[str], Iterable[dict[str, Any]]], splits: Iterable[str]) -> dict[str, "Rows"]:
        """Return the rows of several splits, given a function of the split's name."""
        return {split: cls(partial(make, split)) for split in splits}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.make())


@dataclass
class Collection:
    """What a reader found.

    Args:
        splits: Rows of `processing.schema` by split.
        features: Ready-made visual features, in place of pictures or videos.
        notes: What was left out or repaired, one sentence each.
        protocol: What to train on, select by and test with, where it is not what the reader always has.
    """

    splits: dict[str, Rows]
    features: FeatureSource | None = None
    notes: list[str] = field(default_factory=list)
    protocol: str | None = None


class Target(NamedTuple):
    """A caption in a target language; `number` is that of the source caption it translates, if it translates one."""

    language: str
    text: str
    number: int | None
    origin: str


class CaptionLine(NamedTuple):
    """One line of a caption file; `tag` is empty where the layout has none."""

    id: str
    tag: str
    number: int
    text: str


def read_lines(path: Path) -> list[str]:
    r"""Return the lines of a text file, plain or gzipped, without a byte order mark and without Windows line ends.

    Only `\n` ends a line, since files that are parallel line by line may have other separators within a line.
    """
    content = path.read_bytes()
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                content = file.read(LARGEST_TEXT + 1)
            if len(content) > LARGEST_TEXT:
                raise UserError(f"{path} unpacks to more than {LARGEST_TEXT // 2**20} MiB; fetch it again.")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is incomplete or broken: {error}. Fetch it again.") from error
    text = read_text(path, content)
    lines = [line.removesuffix("\r").removeprefix("\ufeff") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def read_json(path: Path) -> Any:
    """Read a JSON file, in the encodings of `read_text`.

    Raises:
        UserError: If it is not complete JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not complete JSON: {error}. Fetch it again.") from error


@contextmanager
def published_layout(path: Path) -> Iterator[None]:
    """Turn a missing field of a JSON file into a UserError that names the file and the field."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not in the published layout: {type(error).__name__} {error}.") from error


def clean(text: str) -> str:
    """Return text with every run of white space, tabs and full-width spaces included, as one space."""
    return " ".join(text.split())


def read_ids(path: Path, notes: list[str]) -> list[str]:
    """Read one id per line, with or without `.jpg` or `.mp4` at its end; empty lines and repetitions are left out."""
    names = [strip_suffix(clean(line)) for line in read_lines(path) if line.strip()]
    unique = list(dict.fromkeys(names))
    if len(unique) < len(names):
        notes.append(f"{path.name} repeats {len(names) - len(unique)} ids; each is taken once.")
    return unique


def read_caption_lines(path: Path, notes: list[str]) -> Iterator[CaptionLine]:
    """Yield the captions of a file of `<id>#<tag>#<number> <text>` or `<id>#<number><tab><text>` lines.

    `.jpg` or `.mp4` at the end of an id is taken off. Of captions with the same id, tag and number the first is
    kept; empty captions are left out; both are counted in `notes`.

    Raises:
        UserError: If a line has another form; the message names the file and the line.
    """
    seen: set[tuple[str, str, int]] = set()
    repeated = empty = 0
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        match = _CAPTION.fullmatch(line.strip())
        if match is None:
            raise UserError(f"{path} line {number} is not of the form 'id#tag#number text': {line[:80]!r}.")
        key = (strip_suffix(match["id"]), match["tag"] or "", int(match["number"]))
        text = clean(match["text"] or "")
        repeated += key in seen
        empty += not text
        if text and key not in seen:
            yield CaptionLine(*key, text)
        seen.add(key)
    if repeated:
        notes.append(f"{path.name} repeats {repeated} caption ids; the first of each is kept.")
    if empty:
        notes.append(f"{path.name} has {empty} empty captions; they are left out.")


def strip_suffix(name: str) -> str:
    """Return an id without `.jpg` or `.mp4` at its end; `.jpg` in its middle stays."""
    return name.removesuffix(".jpg").removesuffix(".mp4")


def require(paths: Iterable[Path | Sequence[Path]], name: str, published: str) -> list[Path]:
    """Return the paths that exist, one for each wanted file or folder.

    Args:
        paths: Wanted paths; where one has alternatives, a sequence of them, of which the first that exists is taken.
        name: Name of the data set, for the message.
        published: Where it is published.

    Raises:
        FileNotFoundError: If any is missing; one message lists all that were looked for.
    """
    found, missing = [], []
    for wanted in paths:
        alternatives = [wanted] if isinstance(wanted, Path) else list(wanted)
        existing = [path for path in alternatives if path.exists()]
        if existing:
            found.append(existing[0])
        else:
            missing.append(" or ".join(str(path) for path in alternatives))
    if missing:
        raise FileNotFoundError(
            f"{name} is incomplete, these are missing: {', '.join(missing)}. It is published at {published}."
        )
    return found


def find(root: Path, pattern: str) -> Path:
    """Return a file or folder by its name, wildcards allowed, in a folder or one folder below, or where it should be.

    Of several the last by name is taken, which is the newest version.
    """
    for found in (sorted(root.glob(pattern)), sorted(root.glob(f"*/{pattern}"))):
        if found:
            return found[-1]
    return root / pattern


def files_by_stem(folder: Path, suffixes: Container[str]) -> dict[str, Path]:
    """Return the files below a folder by their names without ending; links are followed.

    Raises:
        UserError: If a folder cannot be read, whose files would count as missing.
    """
    found: dict[str, Path] = {}
    unreadable: list[tuple[str, str]] = []
    for path in walk_files(folder, unreadable, hidden=True):
        stem, suffix = os.path.splitext(path.name)
        if suffix.lower() in suffixes:
            found.setdefault(stem, path)
    if unreadable and folder.exists():
        name, reason = unreadable[0]
        raise UserError(f"{name}: {reason}; make it readable.")
    return found


def read_split_lists(root: Path, notes: list[str]) -> dict[str, list[str]]:
    """Read `train_id.txt`, `val_id.txt` and `test_id.txt`, in the folder or one below, if there are any."""
    files = {split: find(root, f"{name}_id.txt") for split, name in SPLIT_LISTS.items()}
    return {split: read_ids(path, notes) for split, path in files.items() if path.exists()}


def make_row(
    name: str,
    sources: Mapping[int, str],
    targets: Iterable[Target] = (),
    image: Path | None = None,
    video: Path | None = None,
    description: str | None = None,
    source_language: str = "en",
) -> dict[str, Any]:
    """Build a row of `processing.schema`.

    Args:
        name: Id of the image or video.
        sources: Source captions by their published number.
        targets: Captions in target languages. Where `sources` lacks the number that one translates, it counts as
            written independently if a person wrote it, and is left out if a machine did.
        image: Image file.
        video: Video file.
        description: Description of the image or video.
        source_language: Language of the source captions.
    """
    positions = {number: position for position, number in enumerate(sorted(sources))}
    return {
        "id": name,
        "image": None if image is None else {"path": str(image), "bytes": None},
        "video": None if video is None else str(video),
        "source_language": source_language,
        "source_captions": [sources[number] for number in positions],
        "target_captions": [
            {
                "language": target.language,
                "text": target.text,
                "source_number": None if target.number is None else positions.get(target.number),
                "origin": target.origin,
                "weight": None,
            }
            for target in targets
            if target.origin == "human" or target.number in positions
        ],
        "description": description,
    }


def image_key(name: str) -> str:
    """Return what names the same picture in every data set.

    Flickr8k's `1000268201_693b08cb0e` is Flickr30k's `1000268201`; COCO's `COCO_val2014_000000391895` of 2014 is
    its `000000391895` of 2017.
    """
    name = strip_suffix(name)
    coco = re.fullmatch(r"(?:COCO_[a-z]+\d{4}_)?(\d{12})", name)
    if coco:
        return f"coco {int(coco[1])}"
    flickr = re.fullmatch(r"(\d+)_[0-9a-f]{10}", name)
    return flickr[1] if flickr else name
