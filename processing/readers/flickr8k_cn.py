"""Flickr8k-CN: photos with English captions, machine-translated Chinese for training, human Chinese for validation.

Published at github.com/li-xirong/flickr8kcn; the layout is the one that the NRCCR and LECCR releases use.
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

from datasets import Dataset, DatasetDict, Features, Image

from ..schema import ORIGIN_HUMAN, ROW_FEATURES, machine_origin

SYSTEMS = {"baidu": "zhb", "google": "zhg"}
CAPTION_LINE = re.compile(r"(?P<id>\S+)#(?P<tag>\w+)#(?P<number>\d+)\s+(?P<text>.*)")


def read_flickr8k_cn(
    root: str | Path,
    translation: Literal["baidu", "google"] | tuple[str, ...] = "baidu",
    reserved_captions: tuple[int, ...] = (),
) -> DatasetDict:
    """Read the train and validation splits.

    Args:
        root: Folder with ``flickr8ktrain.txt``, ``flickr8kval.txt``, ``captions/`` and ``images/``.
        translation: Machine translation to train on, or several.
        reserved_captions: Numbers of the English captions that become the image's description and are taken out of
            the captions and out of their translations ("reserved-caption descriptions").

    Returns:
        ``train`` with English captions and their machine translations, ``validation`` with English captions and
        Chinese captions written by people; images are referenced, not embedded.

    Raises:
        FileNotFoundError: If files are missing; the message lists every one.
        ValueError: If a caption line is not in the published layout.
    """
    root = Path(root)
    systems = (translation,) if isinstance(translation, str) else tuple(translation)
    files = {
        "train": root / "flickr8ktrain.txt",
        "validation": root / "flickr8kval.txt",
        "en": root / "captions" / "flickr8kenc.caption.txt",
        "human": root / "captions" / "flickr8kzhc.val.caption.txt",
        **{system: root / "captions" / f"flickr8k{SYSTEMS[system]}.caption.txt" for system in systems},
    }
    missing = [str(path) for path in (*files.values(), root / "images") if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"Flickr8k-CN is incomplete, these are missing: {', '.join(missing)}. "
            "The data set is published at github.com/li-xirong/flickr8kcn."
        )
    english = read_captions(files["en"])
    translations = {system: read_captions(files[system]) for system in systems}
    human = read_captions(files["human"])
    splits = {}
    for split in ("train", "validation"):
        ids = files[split].read_text(encoding="utf-8-sig").split()
        rows = [
            _row(root, name, english[name], translations if split == "train" else {}, human, reserved_captions)
            for name in ids
        ]
        features = Features({**ROW_FEATURES, "image": Image(decode=False)})
        splits[split] = Dataset.from_list(rows, features=features)
    return DatasetDict(splits)


def read_captions(path: Path) -> dict[str, dict[int, str]]:
    """Read ``<image id>.jpg#<tag>#<number> <text>`` lines into captions by image id and number.

    Raises:
        ValueError: If a line has another form, or a caption is empty.
    """
    captions: dict[str, dict[int, str]] = defaultdict(dict)
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        match = CAPTION_LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"{path} line {number} is not of the form 'image.jpg#tag#number text': {line[:80]!r}.")
        captions[match["id"].removesuffix(".jpg")][int(match["number"])] = match["text"].strip()
    return captions


def _row(
    root: Path,
    name: str,
    english: dict[int, str],
    translations: dict[str, dict[str, dict[int, str]]],
    human: dict[str, dict[int, str]],
    reserved: tuple[int, ...],
) -> dict[str, Any]:
    kept = [number for number in sorted(english) if number not in reserved]
    targets = [
        _target(captions[name][number], place, machine_origin(system))
        for system, captions in translations.items()
        for place, number in enumerate(kept)
        if number in captions[name]
    ]
    if not translations:
        targets = [_target(text, None, ORIGIN_HUMAN) for _, text in sorted(human.get(name, {}).items())]
    return {
        "id": name,
        "image": {"path": str(root / "images" / f"{name}.jpg"), "bytes": None},
        "source_language": "en",
        "source_captions": [english[number] for number in kept],
        "target_captions": targets,
        "description": " ".join(english[number] for number in reserved if number in english) or None,
    }


def _target(text: str, source_number: int | None, origin: str) -> dict[str, Any]:
    return {"language": "zh", "text": text, "source_number": source_number, "origin": origin, "weight": None}
