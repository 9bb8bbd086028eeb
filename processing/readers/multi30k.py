"""Multi30K: Flickr30k's photos with English, German, French and Czech captions.

Published at github.com/multi30k/dataset (Elliott et al., "Multi30K: Multilingual English-German Image Descriptions",
2016; French 2017, Czech 2018); the photos are Flickr30k's. Task 1 has one English caption an image and its translations
by people; task 2 has five English and five German captions per image, written independently of each other. Captions
and `image_splits` are parallel line by line.

Papers on retrieval in French and Czech train on task 2's English captions and their machine translations, and test with
task 1's captions. The translations are not published there, so that `leccr translate` has to add them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..pictures_leccr import image_suffixes
from ..schema import ORIGIN_HUMAN
from .files import (
    Collection,
    Rows,
    Target,
    clean,
    files_by_stem,
    image_key,
    make_row,
    read_lines,
    require,
    strip_suffix,
)

PUBLISHED = "github.com/multi30k/dataset"
IMAGE_FOLDERS = ("flickr30k-images", "flickr30k_images", "images")
# The test split of the papers is that of 2016; the others keep their published names.
SPLITS = {
    1: {
        "train": "train",
        "validation": "val",
        "test": "test_2016_flickr",
        "test_2017_flickr": "test_2017_flickr",
        "test_2017_mscoco": "test_2017_mscoco",
        "test_2018_flickr": "test_2018_flickr",
    },
    2: {"train": "train", "validation": "val", "test": "test_2016"},
}
LANGUAGES = {1: ("de", "fr", "cs"), 2: ("de",)}
TRANSLATED = ("fr", "cs")
"""Languages without captions in task 2, whose training is on machine translations of its English ones."""
PROTOCOL_OF_TRANSLATED = (
    "The papers' protocol for French and Czech: training on task 2's five English captions per image and their machine "
    "translations; validation and test with task 1's captions, one per image and language, which people translated "
    "from the English one. The split `test` is that of 2016."
)


@dataclass
class Captions:
    """Source captions of one image by number, and its captions in target languages."""

    sources: dict[int, str] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)


def multi30k_rows(
    root: str | Path,
    task: int = 1,
    languages: Sequence[str] | None = None,
    images: str | Path | None = None,
) -> Collection:
    """Read Multi30K and find its photos.

    Args:
        root: The repository, its `data` folder, or a folder that has the latter as `data`.
        task: 1 for one caption per language and image, 2 for five English and five German ones.
        languages: Target languages to take; None means all that there are. Czech has no test split of 2017. Task 2 in
            French, Czech or both has five English captions of each image in training, and nothing in the target
            languages; its other splits are those of task 1.
        images: Folder with Flickr30k's photos, and COCO's for `test_2017_mscoco`. Files are found by name, or as
            Flickr8k names the same photo. By default `flickr30k-images` or `images` in `root`.

    Raises:
        FileNotFoundError: If files are missing; the message lists every one.
        UserError: If there is no such task or language, task 2 is asked for in German and another language, or files
            that should be parallel have unequal numbers of lines.
    """
    root = Path(root)
    collection = read_multi30k_captions(root, task, languages)
    folders = [Path(images)] if images else [root / name for name in IMAGE_FOLDERS]
    (folder,) = require([folders], "Multi30K's photos", "shannon.cs.illinois.edu/DenotationGraph (Flickr30k)")
    by_stem = files_by_stem(folder, image_suffixes())
    by_key = {image_key(stem): path for stem, path in by_stem.items()}

    def row(name: str, captions: Captions) -> dict[str, Any]:
        image = by_stem.get(name) or by_key.get(image_key(name)) or folder / f"{name}.jpg"
        return make_row(name, captions.sources, captions.targets, image=image)

    def rows(split: str) -> Iterator[dict[str, Any]]:
        return (row(name, texts) for name, texts in collection.splits[split].items())

    return Collection(Rows.of(rows, collection.splits), notes=collection.notes, protocol=collection.protocol)


@dataclass
class Multi30kFound:
    """Captions without the photos.

    Args:
        splits: Captions by split and image.
        notes: What was left out.
        protocol: What they are for, if not for what `leccr prepare` says of Multi30K.
    """

    splits: dict[str, dict[str, Captions]]
    notes: list[str]
    protocol: str | None = None


def read_multi30k_captions(root: str | Path, task: int = 1, languages: Sequence[str] | None = None) -> Multi30kFound:
    """Read the captions only; arguments and errors as for `multi30k_rows`."""
    if task not in SPLITS:
        raise UserError(f"Multi30K has the tasks 1 and 2, not {task}.")
    chosen = list(dict.fromkeys(languages or LANGUAGES[task]))
    known = LANGUAGES[1]
    for language in chosen:
        if language not in known:
            raise UserError(f"Multi30K has no captions in {language}, only in {', '.join(known)}.")
    folder, notes = _data_folder(Path(root)), list[str]()
    if task == 1 or not set(chosen) & set(TRANSLATED):
        return Multi30kFound(_read_splits(folder, task, chosen, SPLITS[task], notes), notes)
    if "de" in chosen:
        raise UserError(
            f"Task 2 has German captions of its own, but is tested in {' and '.join(sorted({*chosen} - {'de'}))} with "
            "task 1's; prepare German by itself."
        )
    english = _read_splits(folder, 2, [], ["train"], notes)
    translated = _read_splits(folder, 1, chosen, [split for split in SPLITS[1] if split != "train"], notes)
    notes.append(
        f"train: Multi30K has no captions in {' and '.join(chosen)} for it; `leccr translate DATA --to "
        f"{','.join(chosen)} --splits train` adds machine translations. The other splits were translated by people."
    )
    return Multi30kFound({**english, **translated}, notes, PROTOCOL_OF_TRANSLATED)


def _read_splits(
    folder: Path, task: int, languages: Sequence[str], wanted: Iterable[str], notes: list[str]
) -> dict[str, dict[str, Captions]]:
    """Return the wanted splits of a task that exist; training and validation have to."""
    data, chosen = folder / f"task{task}", ["en", *languages]
    names = {split: SPLITS[task][split] for split in wanted}
    _require_files(data, task, chosen, [name for split, name in names.items() if split in ("train", "validation")])
    splits = {}
    for split, name in names.items():
        names_file, files = _split_files(data, task, name, chosen)
        if names_file.exists() and any(language == "en" for language, _, _ in files):
            splits[split] = _read_split(names_file, files, task, notes)
    return splits


def _data_folder(root: Path) -> Path:
    return next((folder for folder in (root / "data", root) if any(folder.glob("task[12]"))), root / "data")


def _require_files(data: Path, task: int, languages: Sequence[str], required: Sequence[str]) -> None:
    paths: list[Path | Sequence[Path]] = []
    for name in required:
        paths.append(data / "image_splits" / _names_file(task, name))
        paths += [_spellings(data / "raw" / file) for language in languages for file in _names(task, name, language)]
    require(paths, f"Multi30K task {task}", PUBLISHED)


def _names_file(task: int, name: str) -> str:
    return f"{name}.txt" if task == 1 else f"{name}_images.txt"


def _names(task: int, name: str, language: str) -> list[str]:
    return [f"{name}.{language}"] if task == 1 else [f"{name}.{number}.{language}" for number in range(1, 6)]


def _spellings(path: Path) -> list[Path]:
    return [path.with_name(path.name + ".gz"), path]


def _split_files(
    data: Path, task: int, name: str, languages: Sequence[str]
) -> tuple[Path, list[tuple[str, int, Path]]]:
    """Return the file of image names, and (language, number, file) of the caption files that exist."""
    files = [
        (language, number, path)
        for language in languages
        for number, file in enumerate(_names(task, name, language))
        for path in _spellings(data / "raw" / file)
        if path.exists()
    ]
    # A file may exist both plain and gzipped.
    unique = {(language, number): path for language, number, path in reversed(files)}
    return data / "image_splits" / _names_file(task, name), [(*key, unique[key]) for key in sorted(unique)]


def _read_split(
    names_file: Path, files: Sequence[tuple[str, int, Path]], task: int, notes: list[str]
) -> dict[str, Captions]:
    # A line of the COCO test split is "<image>.jpg#<caption id>".
    names = [strip_suffix(clean(line).split("#")[0]) for line in read_lines(names_file) if line.strip()]
    captions: dict[str, Captions] = {}
    repeated = len(names) - len(set(names))
    if repeated:
        notes.append(f"{names_file.name} repeats {repeated} images; all captions of an image come into one row.")
    ordinals = list(_ordinals(names))
    empty = 0
    for language, number, path in files:
        for name, ordinal, text in zip(names, ordinals, _parallel_lines(path, len(names), names_file)):
            texts = captions.setdefault(name, Captions())
            index = number + 5 * ordinal if task == 2 else ordinal
            if not text:
                empty += 1
            elif language == "en":
                texts.sources[index] = text
            else:
                texts.targets.append(Target(language, text, index if task == 1 else None, ORIGIN_HUMAN))
    if empty:
        notes.append(f"{names_file.name}: {empty} captions are empty; they are left out.")
    return captions


def _ordinals(names: Sequence[str]) -> Iterator[int]:
    """Yield how many times each name came before."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, -1) + 1
        yield seen[name]


def _parallel_lines(path: Path, count: int, names_file: Path) -> list[str]:
    lines = [clean(line) for line in read_lines(path)]
    while len(lines) > count and not lines[-1]:
        lines.pop()
    if len(lines) != count:
        raise UserError(
            f"{path} has {len(lines)} lines and {names_file} names {count} images; they should be parallel line by "
            "line, so take both from the same release."
        )
    return lines
