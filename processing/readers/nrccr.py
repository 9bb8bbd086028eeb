"""The layout that the NRCCR and LECCR releases share for Multi30K, MSCOCO, VATEX and MSR-VTT-CN.

Published at github.com/LiJiaBei-7/nrccr and github.com/LiJiaBei-7/leccr (Wang et al., ACM MM 2022 and 2024):

- `TextData/<collection><split>...caption.txt` with lines `<id>#<tag>#<number> <text>`. The tag `enc` (or `en`)
  is English, `enc2de` German translated from the English caption of that number, `de` German by people. Files of
  translations back into English (`de2enc`, `enc2de2enc`) are left out. `Flickr30ktrain` is Multi30K's task 2 and
  `multi30ktrain` its task 1, as is `_task1` at the end of a German file's name.
- `img_id/` or `video_id/` (`FeatureData/` in older releases): ids by split, `train_id.txt`, `val_id.txt`,
  `test_id_2016.txt`, with the language in front for MSCOCO (`zh_val_id.txt`); `image_ids.txt` gives MSCOCO's file
  name for each id.
- Images named by id, or `FeatureData/<name>/` with a BigFile.
- Generated descriptions, one `.txt` an image or video, named by id, for MSCOCO by the image's file.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..schema import ORIGIN_HUMAN, machine_origin
from .files import (
    Collection,
    FeatureSource,
    Rows,
    Target,
    clean,
    make_row,
    read_caption_lines,
    read_ids,
    read_lines,
    require,
)
from .visuals import find_features, find_videos

PUBLISHED = "github.com/LiJiaBei-7/nrccr"
ID_FOLDERS = ("img_id", "video_id", "FeatureData")
IMAGE_FOLDERS = ("flickr30k-images", "all_pics", "images")
DESCRIPTION_FOLDERS = ("caption", "data_video_chat2_generated", "descriptions")
TASK_COLLECTIONS = {1: "multi30k", 2: "Flickr30k"}
SPLITS = {"train": "train", "val": "validation", "test": "test"}
# The test split of the papers is that of 2016.
MAIN_TEST = ("2016", "5k")
SYSTEMS = ("google", "baidu")
FLICKR8K_CN_TAGS = {"zhb": "baidu", "zhg": "google"}

_FILE = re.compile(r"(?P<collection>.+?)(?P<split>train|val|test)(?P<rest>(?:_.*)?)\.caption\.txt")
_TRANSLATION = re.compile(r"enc?2(?P<language>[a-z]{2})")
_WRITTEN = re.compile(r"(?P<language>zh)[cm]|(?P<other>[a-z]{2})")


@dataclass(frozen=True)
class _TextFile:
    path: Path
    collection: str
    split: str
    words: tuple[str, ...]


@dataclass
class _Captions:
    sources: dict[int, str] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)


def nrccr_rows(
    root: str | Path,
    languages: Sequence[str] | None = None,
    task: int = 2,
    images: str | Path | None = None,
    videos: str | Path | None = None,
    features: str | None = None,
    descriptions: str | Path | None = None,
) -> Collection:
    """Read one benchmark of the NRCCR and LECCR releases.

    Args:
        root: The benchmark's folder, with `TextData`.
        languages: Target languages to take; None means all that there are. Take MSCOCO's Chinese and Japanese one at a
            time, since they split the same images differently.
        task: Multi30K's task, if the files of both exist.
        images: Folder of the images; by default `flickr30k-images`, `all_pics` or `images` in `root`.
        videos: Folder of the videos, where they are to be used and not their features.
        features: Name of the folder of ready-made features; needed where there are several, or images too.
        descriptions: Folder of the generated descriptions; by default `caption`, `data_video_chat2_generated` or
            `descriptions` in `root`.

    Raises:
        FileNotFoundError: If files are missing.
        UserError: If a file is not in the published layout, or there are several features and none is chosen.
    """
    if task not in TASK_COLLECTIONS:
        raise UserError(f"Multi30K has the tasks 1 and 2, not {task}.")
    root = Path(root)
    texts = _text_files(root, task)
    notes: list[str] = []
    captions = {split: _read_captions(files, languages, notes) for split, files in _by_split(texts).items()}
    ids = {split: _ids(root, split, list(part), languages, notes) for split, part in captions.items()}
    names = _image_names(root)
    folder, ready, paths = _visuals(root, images, videos, features)
    described = _folder(root, descriptions, DESCRIPTION_FOLDERS)

    def row(name: str, captioned: _Captions) -> dict[str, Any]:
        file = names.get(name, f"{name}.jpg")
        return make_row(
            name,
            captioned.sources,
            captioned.targets,
            image=folder / file if folder else None,
            video=paths.get(name),
            description=_description(described, Path(file).stem if name in names else name),
        )

    def rows(split: str) -> Iterator[dict[str, Any]]:
        return (row(name, captions[split][name]) for name in ids[split])

    return Collection(Rows.of(rows, captions), ready, notes)


def read_target_captions(paths: Sequence[Path], notes: list[str]) -> dict[str, list[Target]]:
    """Read captions in other languages than English by image or video; translations into English are left out."""
    captions: dict[str, list[Target]] = defaultdict(list)
    for path in paths:
        for name, target in _targets(path, notes):
            if target.language != "en":
                captions[name].append(target)
    return captions


def _targets(path: Path, notes: list[str]) -> Iterator[tuple[str, Target]]:
    """Yield the captions of one file; English ones have their own number, and only translations another's."""
    system = next((system for system in SYSTEMS if system in path.name.lower()), "unknown")
    for line in read_caption_lines(path, notes):
        if line.tag in ("en", "enc"):
            yield line.id, Target("en", line.text, line.number, ORIGIN_HUMAN)
        elif line.tag in FLICKR8K_CN_TAGS:
            yield line.id, Target("zh", line.text, line.number, machine_origin(FLICKR8K_CN_TAGS[line.tag]))
        elif match := _TRANSLATION.fullmatch(line.tag):
            yield line.id, Target(match["language"], line.text, line.number, machine_origin(system))
        elif match := _WRITTEN.fullmatch(line.tag):
            yield line.id, Target(match["language"] or match["other"], line.text, None, ORIGIN_HUMAN)


def _text_files(root: Path, task: int) -> list[_TextFile]:
    require([root / "TextData"], "The data set", PUBLISHED)
    files = []
    for path in sorted((root / "TextData").glob("*.caption.txt")):
        match = _FILE.fullmatch(path.name)
        words = tuple(match["rest"].strip("_").split("_")) if match else ()
        if match and not any(re.fullmatch(r"\w+2enc?", word) for word in words):
            files.append(_TextFile(path, match["collection"], match["split"], words))
    if not any(file.split == "train" for file in files):
        require([root / "TextData" / "<collection>train_enc.caption.txt"], "The data set", PUBLISHED)
    if set(TASK_COLLECTIONS.values()) <= {file.collection for file in files if file.split == "train"}:
        files = [file for file in files if file.split != "train" or file.collection == TASK_COLLECTIONS[task]]
    if any("task1" in file.words for file in files):
        files = [file for file in files if "de" not in file.words or ("task1" in file.words) == (task == 1)]
    return files


def _by_split(files: Sequence[_TextFile]) -> dict[str, list[Path]]:
    splits: dict[str, list[Path]] = {}
    for split in SPLITS:
        for file in (file for file in files if file.split == split):
            splits.setdefault("_".join([SPLITS[split], *_variant(file.words)]), []).append(file.path)
    return splits


def _variant(words: Sequence[str]) -> list[str]:
    """Return which of several test splits a file's name means, nothing for the main one."""
    return [word for word in words if re.fullmatch(r"\d+k?", word) and word not in MAIN_TEST]


def _read_captions(paths: Sequence[Path], languages: Sequence[str] | None, notes: list[str]) -> dict[str, _Captions]:
    captions: dict[str, _Captions] = {}
    for path in paths:
        for name, target in _targets(path, notes):
            if target.language == "en":
                captions.setdefault(name, _Captions()).sources[target.number or 0] = target.text
            elif languages is None or target.language in languages:
                captions.setdefault(name, _Captions()).targets.append(target)
    return captions


def _ids(root: Path, split: str, captioned: list[str], languages: Sequence[str] | None, notes: list[str]) -> list[str]:
    """Return the ids that have captions, in the order of the lists of ids if there are any."""
    role, *variant = split.split("_")
    short = next(short for short, long in SPLITS.items() if long == role)
    listed: list[str] = []
    for path in (path for folder in ID_FOLDERS for path in sorted((root / folder).glob("*.txt"))):
        words = path.stem.split("_")
        spoken = [word for word in words if re.fullmatch("[a-z]{2}", word) and word != "id"]
        fits = languages is None or not spoken or any(language in languages for language in spoken)
        if fits and short in words and "id" in words and _variant(words) == variant:
            listed += read_ids(path, notes)
    known = set(captioned)
    ids = [name for name in dict.fromkeys(listed) if name in known]
    if ids and len(ids) < len(known):
        notes.append(f"{split}: left out {len(known) - len(ids)} captioned ids that the lists of ids do not have.")
    return ids or captioned


def _image_names(root: Path) -> dict[str, str]:
    paths = [path for folder in (*ID_FOLDERS, ".") if (path := root / folder / "image_ids.txt").exists()]
    lines = [clean(line).split(" ", 1) for line in read_lines(paths[0]) if line.strip()] if paths else []
    if any(len(line) != 2 for line in lines):
        raise UserError(f"{paths[0]} should have an id and a file name on each line.")
    return {line[0]: line[1] for line in lines}


def _visuals(
    root: Path, images: str | Path | None, videos: str | Path | None, features: str | None
) -> tuple[Path | None, FeatureSource | None, dict[str, Path]]:
    """Return the folder of images, or the features, or the videos."""
    folder = _folder(root, images, IMAGE_FOLDERS)
    if features is not None or not (folder or videos):
        ready = find_features(root / "FeatureData", features)
        if ready is None:
            require(
                [[root / name for name in (*IMAGE_FOLDERS, "FeatureData/<name>/feature.bin")]],
                "The images, or their features,",
                PUBLISHED,
            )
        return None, ready, {}
    return (None, None, find_videos(Path(videos))) if videos else (folder, None, {})


def _folder(root: Path, choice: str | Path | None, names: Sequence[str]) -> Path | None:
    if choice is not None:
        return require([Path(choice)], "The data set", PUBLISHED)[0]
    return next((root / name for name in names if (root / name).is_dir()), None)


def _description(folder: Path | None, name: str) -> str | None:
    path = folder / f"{name}.txt" if folder else None
    return clean(" ".join(read_lines(path))) or None if path and path.exists() else None
