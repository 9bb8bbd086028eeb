"""MSCOCO with Chinese (COCO-CN) or Japanese (STAIR Captions) captions.

COCO's captions (cocodataset.org) are read from its own `captions_train2014.json` and `captions_val2014.json`, or
from `dataset_coco.json`, which has the split of Karpathy and Fei-Fei (CVPR 2015). An English caption's number is its
index among the image's captions in the order of COCO's caption ids, in both.

COCO-CN (Li et al., IEEE Transactions on Multimedia 2019, github.com/li-xirong/coco-cn) has its own splits:
`coco-cn_train.txt` and so on hold image ids; `imageid.human-written-caption.txt` Chinese by people;
`imageid.manually-translated-caption.txt` the English of the test images translated by people; and
`imageid.machine-translated-caption.bosonseg.txt` Baidu's translation, segmented into `word:part-of-speech`.

STAIR Captions (Yoshikawa et al., ACL 2017, github.com/STAIR-Lab-CIT/STAIR-captions) has Japanese by people in COCO's
JSON layout. The test protocols are Karpathy's 5,000 test images, and the first 1,000 of them.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..schema import ORIGIN_HUMAN, machine_origin
from .files import (
    Collection,
    Rows,
    Target,
    clean,
    find,
    make_row,
    published_layout,
    read_caption_lines,
    read_ids,
    read_json,
    require,
    strip_suffix,
)

COCO = "cocodataset.org"
COCO_CN = "github.com/li-xirong/coco-cn"
STAIR = "github.com/STAIR-Lab-CIT/STAIR-captions"
PUBLISHED = f"{COCO}, cs.stanford.edu/people/karpathy/deepimagesent, {COCO_CN} and {STAIR}"
KARPATHY_FILE = "dataset_coco.json"
KARPATHY_SPLITS = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
COCO_FILES = {"train": "captions_train20*.json", "validation": "captions_val20*.json"}
COCO_CN_SPLITS = {"train": "coco-cn_train.txt", "validation": "coco-cn_val.txt", "test": "coco-cn_test.txt"}
WRITTEN = "imageid.human-written-caption.txt"
TRANSLATED = "imageid.manually-translated-caption.txt"
SEGMENTED = "imageid.machine-translated-caption.bosonseg.txt"
STAIR_FILES = ("stair_captions_v*_train.json", "stair_captions_v*_val.json")
SMALL_TEST = 1000


@dataclass(frozen=True)
class _Image:
    file: str
    number: int
    split: str
    sources: Mapping[int, str]


Targets = Mapping[str, Sequence[Target]]
"""Captions in the target language by image."""


def mscoco_rows(
    root: str | Path, languages: Sequence[str] | None = None, images: str | Path | None = None
) -> Collection:
    """Read COCO's English captions with those of one target language.

    Args:
        root: Folder that contains the files, themselves or one folder below (`annotations`, `coco-cn` ...).
        languages: `zh` for COCO-CN and its splits, with Baidu's translations for training if they exist; `ja`
            for STAIR Captions, in Karpathy's splits if `dataset_coco.json` exists and in COCO's own if not. By
            default the one whose files exist. The two split the same images differently, so it is one at a time.
        images: Folder with COCO's image folders (`train2014`, `val2014` ...) or the images themselves; by default
            `root`.

    Returns:
        Splits `train`, `validation` and `test`; for `ja` with Karpathy's split also `test_1k`.

    Raises:
        FileNotFoundError: If files are missing; the message lists every one.
        UserError: If both languages are asked for, or cannot be told, or a file is not in the published layout.
    """
    root = Path(root)
    language = _language(root, languages)
    karpathy = find(root, KARPATHY_FILE).exists()
    annotations = [find(root, KARPATHY_FILE)] if karpathy else [find(root, name) for name in COCO_FILES.values()]
    others = [*COCO_CN_SPLITS.values(), WRITTEN] if language == "zh" else STAIR_FILES
    require([*annotations, *(find(root, name) for name in others)], "MSCOCO", PUBLISHED)
    notes: list[str] = []
    captioned = _read_karpathy(annotations[0]) if karpathy else _read_coco(annotations)
    splits: dict[str, Sequence[str]]
    if language == "zh":
        targets, machine = _read_coco_cn(root, notes)
        splits = {
            split: _known(split, read_ids(find(root, name), notes), captioned, notes)
            for split, name in COCO_CN_SPLITS.items()
        }
    else:
        targets, machine = _read_stair(root, captioned), {}
        splits = {split: [name for name in captioned if captioned[name].split == split] for split in COCO_CN_SPLITS}
        splits = {split: names for split, names in splits.items() if names}
        if karpathy:
            splits["test_1k"] = splits["test"][:SMALL_TEST]
    folders = _image_folders(Path(images) if images else root)

    def row(name: str, split: str) -> dict[str, Any]:
        captions = [*targets.get(name, ()), *(machine.get(name, ()) if split == "train" else ())]
        return make_row(name, captioned[name].sources, captions, image=_image_path(folders, captioned[name].file))

    def rows(split: str) -> Iterator[dict[str, Any]]:
        return (row(name, split) for name in splits[split])

    return Collection(Rows.of(rows, splits), notes=notes)


def _language(root: Path, languages: Sequence[str] | None) -> str:
    markers = {"zh": find(root, WRITTEN), "ja": find(root, STAIR_FILES[0])}
    chosen = list(languages or [language for language, path in markers.items() if path.exists()])
    if not chosen:
        require([list(markers.values())], "MSCOCO in Chinese or Japanese", f"{COCO_CN} and {STAIR}")
    if len(chosen) != 1 or chosen[0] not in markers:
        raise UserError(
            f"Choose zh (COCO-CN) or ja (STAIR), one at a time, and not {' and '.join(chosen)}: the two split the same "
            "images differently."
        )
    return chosen[0]


def _read_karpathy(path: Path) -> dict[str, _Image]:
    with published_layout(path):
        return {
            strip_suffix(image["filename"]): _Image(
                image["filename"],
                image["cocoid"],
                KARPATHY_SPLITS[image["split"]],
                _numbered([(sentence["sentid"], sentence["raw"]) for sentence in image["sentences"]]),
            )
            for image in read_json(path)["images"]
        }


def _read_coco(paths: Sequence[Path]) -> dict[str, _Image]:
    images = {}
    for split, path in zip(COCO_FILES, paths):
        with published_layout(path):
            content = read_json(path)
            captions = _by_image(content)
            for image in content["images"]:
                sources = _numbered(captions[image["id"]])
                images[strip_suffix(image["file_name"])] = _Image(image["file_name"], image["id"], split, sources)
    return images


def _by_image(content: dict[str, Any]) -> dict[int, list[tuple[int, str]]]:
    captions: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for annotation in content["annotations"]:
        captions[annotation["image_id"]].append((annotation["id"], annotation["caption"]))
    return captions


def _numbered(captions: Sequence[tuple[int, str]]) -> dict[int, str]:
    """Return captions by their index in the order of their ids, empty ones left out."""
    return {number: clean(text) for number, (_, text) in enumerate(sorted(captions)) if text.strip()}


def _read_stair(root: Path, images: Mapping[str, _Image]) -> Targets:
    captions: dict[int, list[tuple[int, str]]] = {}
    for path in (find(root, name) for name in STAIR_FILES):
        with published_layout(path):
            captions.update(_by_image(read_json(path)))
    return {
        name: [Target("ja", text, None, ORIGIN_HUMAN) for text in _numbered(captions.get(image.number, [])).values()]
        for name, image in images.items()
    }


def _read_coco_cn(root: Path, notes: list[str]) -> tuple[Targets, Targets]:
    """Return Chinese by people, and Baidu's translations, which are for training only."""
    human: dict[str, list[Target]] = defaultdict(list)
    machine: dict[str, list[Target]] = defaultdict(list)
    for line in read_caption_lines(find(root, WRITTEN), notes):
        human[line.id].append(Target("zh", line.text, None, ORIGIN_HUMAN))
    if find(root, TRANSLATED).exists():
        for line in read_caption_lines(find(root, TRANSLATED), notes):
            human[line.id].append(Target("zh", line.text, line.number, ORIGIN_HUMAN))
    if find(root, SEGMENTED).exists():
        for line in read_caption_lines(find(root, SEGMENTED), notes):
            machine[line.id].append(Target("zh", _unsegmented(line.text), line.number, machine_origin("baidu")))
    return human, machine


def _unsegmented(text: str) -> str:
    """Return the text of `word:part-of-speech` pairs; Chinese has no spaces between words."""
    return "".join(word.rpartition(":")[0] or word for word in text.split())


def _known(split: str, names: Sequence[str], images: Mapping[str, _Image], notes: list[str]) -> list[str]:
    known = [name for name in names if name in images]
    if len(known) < len(names):
        notes.append(f"{split}: left out {len(names) - len(known)} images that COCO's captions do not know.")
    return known


def _image_folders(root: Path) -> list[Path]:
    return [folder for parent in (root, root / "images") for folder in (parent, *sorted(parent.glob("*20*")))]


def _image_path(folders: Sequence[Path], file: str) -> Path:
    return next((path for folder in folders if (path := folder / file).is_file()), folders[0] / file)
