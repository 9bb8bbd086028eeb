"""Flickr8k-CN: photos with English captions and Chinese ones, by two translation systems and by people.

Published at github.com/li-xirong/flickr8kcn (Li et al., "Adding Chinese Captions to Images", ICMR 2016). Of the file
names, `enc` is English by people, `zhb` and `zhg` are Baidu's and Google's translations of it, `zhc` is Chinese
by people, independent of the English, and `zhm` is the English of the test images translated by people.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, Image

from ..errors import UserError
from ..schema import ORIGIN_HUMAN, ROW_FEATURES, machine_origin
from .files import Collection, Rows, Target, make_row, read_caption_lines, read_ids, require

PUBLISHED = "github.com/li-xirong/flickr8kcn"
SYSTEMS = {"baidu": "zhb", "google": "zhg"}
SPLITS = {"train": "flickr8ktrain.txt", "validation": "flickr8kval.txt", "test": "flickr8ktest.txt"}
IMAGE_FOLDERS = ("images", "Flicker8k_Dataset", "Flickr8k_Dataset")

Captions = dict[str, dict[int, str]]
"""Captions by image and number."""


def flickr8k_cn_rows(
    root: str | Path,
    translation: str | Sequence[str] = "baidu",
    reserved_captions: Sequence[int] = (),
    images: str | Path | None = None,
) -> Collection:
    """Read English captions, with machine translations for training and human Chinese for the other splits.

    Args:
        root: Folder with `flickr8ktrain.txt`, `flickr8kval.txt` and, if there is one, `flickr8ktest.txt`; the
            captions next to them or in `captions`.
        translation: Machine translation to train on, `baidu` or `google`, or several.
        reserved_captions: Numbers of the English captions that become the image's description, one a line, and are
            taken out of the captions and out of their translations ("reserved-caption descriptions").
        images: Folder of the photos; by default `images` or `Flicker8k_Dataset` in `root`.

    Raises:
        FileNotFoundError: If files are missing; the message lists every one.
        UserError: If there is no such translation, or a caption line is not in the published layout.
    """
    root = Path(root)
    systems = [translation] if isinstance(translation, str) else list(translation)
    for system in systems:
        if system not in SYSTEMS:
            raise UserError(f"Flickr8k-CN has no translation by {system!r}; choose {' or '.join(SYSTEMS)}.")
    splits = [split for split in SPLITS if split != "test" or (root / SPLITS[split]).exists()]
    folder = root / "captions" if (root / "captions").is_dir() else root
    human_files = sorted(folder.glob("flickr8kzhc*.caption.txt"))
    files = require(
        [
            [Path(images)] if images else [root / name for name in IMAGE_FOLDERS],
            *(root / SPLITS[split] for split in splits),
            folder / "flickr8kenc.caption.txt",
            *(folder / f"flickr8k{SYSTEMS[system]}.caption.txt" for system in systems),
            *(human_files or [folder / "flickr8kzhc.caption.txt"]),
        ],
        "Flickr8k-CN",
        PUBLISHED,
    )
    notes: list[str] = []
    english = _captions([folder / "flickr8kenc.caption.txt"], notes)
    numbers = {number for captions in english.values() for number in captions}
    if english and not set(reserved_captions) <= numbers:
        unknown = ", ".join(str(number) for number in reserved_captions if number not in numbers)
        raise UserError(
            f"No English caption has the index {unknown}; they are numbered {min(numbers)} to {max(numbers)}."
        )
    machine = {system: _captions([folder / f"flickr8k{SYSTEMS[system]}.caption.txt"], notes) for system in systems}
    human = _captions(human_files, notes)
    translated = _captions(sorted(folder.glob("flickr8kzhm*.caption.txt")), notes)

    def row(name: str, split: str) -> dict[str, Any]:
        kept = {number: text for number, text in english[name].items() if number not in reserved_captions}
        if split == "train":
            targets = [
                Target("zh", text, number, machine_origin(system))
                for system, captions in machine.items()
                for number, text in sorted(captions.get(name, {}).items())
            ]
        else:
            targets = [Target("zh", text, None, ORIGIN_HUMAN) for _, text in sorted(human.get(name, {}).items())]
            targets += [
                Target("zh", text, number, ORIGIN_HUMAN)
                for number, text in sorted(translated.get(name, {}).items())
                if number in kept
            ]
        reserved = "\n".join(english[name][number] for number in reserved_captions if number in english[name])
        return make_row(name, kept, targets, image=files[0] / f"{name}.jpg", description=reserved or None)

    ids = {split: read_ids(root / SPLITS[split], notes) for split in splits}
    for split, names in ids.items():
        silent = sum(name not in english for name in names)
        if silent:
            notes.append(f"{split}: left out {silent} images without any English caption.")

    def rows(split: str) -> Iterator[dict[str, Any]]:
        return (row(name, split) for name in ids[split] if name in english)

    return Collection(Rows.of(rows, splits), notes=notes)


def read_flickr8k_cn(
    root: str | Path,
    translation: str | Sequence[str] = "baidu",
    reserved_captions: Sequence[int] = (),
) -> DatasetDict:
    """Read Flickr8k-CN into memory, images referenced and undecoded; see `flickr8k_cn_rows`."""
    collection = flickr8k_cn_rows(root, translation, reserved_captions)
    features = Features({**ROW_FEATURES, "image": Image(decode=False)})
    return DatasetDict(
        {split: Dataset.from_list(list(rows), features=features) for split, rows in collection.splits.items()}
    )


def _captions(paths: Sequence[Path], notes: list[str]) -> Captions:
    captions: Captions = defaultdict(dict)
    for path in paths:
        for line in read_caption_lines(path, notes):
            captions[line.id].setdefault(line.number, line.text)
    return dict(captions)
