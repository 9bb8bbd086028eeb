"""Flickr8k-CN and Multi30K joined: the photos that both have, with captions in en, zh, de, fr and cs.

Both take their photos from Flickr, so they are joined by Flickr's number: `1000268201_693b08cb0e` of Flickr8k is
`1000268201` of Multi30K. Splits are those of Flickr8k-CN, whatever split Multi30K has the photo in, so that no photo
is in two of them. A model trained on this must therefore not be tested on Multi30K's own test split.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .files import Collection, Rows, image_key
from .flickr8k_cn import flickr8k_cn_rows
from .multi30k import Captions, read_multi30k_captions


def five_languages_rows(
    root: str | Path,
    translation: str | Sequence[str] = "baidu",
    reserved_captions: Sequence[int] = (),
    languages: Sequence[str] | None = None,
    images: str | Path | None = None,
) -> Collection:
    """Add Multi30K's captions, translations by people of one English caption an image, to Flickr8k-CN's rows.

    Such a caption's source number points to the English caption that it translates, if the image has that one here.

    Args:
        root: Folder that holds both data sets, as `flickr8k-cn` and `multi30k`.
        translation: Machine translation into Chinese, as for Flickr8k-CN.
        reserved_captions: As for Flickr8k-CN. Then of Multi30K's captions only those are taken that translate an
            English caption which is left, since the others may translate a reserved one.
        languages: Of German, French and Czech those to add; None means all.
        images: Folder of Flickr8k's photos.

    Raises:
        FileNotFoundError: If files are missing.
        UserError: If files are not in the published layout.
    """
    root = Path(root)
    flickr = flickr8k_cn_rows(root / "flickr8k-cn", translation, reserved_captions, images)
    multi30k = read_multi30k_captions(root / "multi30k", task=1, languages=languages)
    captions = {image_key(name): texts for split in multi30k.splits.values() for name, texts in split.items()}

    def rows(split: str) -> Iterator[dict[str, Any]]:
        for row in flickr.splits[split]:
            texts = captions.get(image_key(row["id"]), Captions())
            targets = _targets(texts, row["source_captions"], known_only=bool(reserved_captions))
            yield {**row, "target_captions": [*row["target_captions"], *targets]}

    return Collection(Rows.of(rows, flickr.splits), notes=[*flickr.notes, *multi30k.notes])


def _targets(captions: Captions, english: Sequence[str], known_only: bool) -> Iterator[dict[str, Any]]:
    positions = {_normal(text): position for position, text in reversed(list(enumerate(english)))}
    for target in captions.targets:
        # In task 1 the number of a translation is that of its English caption.
        position = positions.get(_normal(captions.sources.get(target.number or 0, "")))
        if position is not None or not known_only:
            yield {
                "language": target.language,
                "text": target.text,
                "source_number": position,
                "origin": target.origin,
                "weight": None,
            }


def _normal(text: str) -> str:
    """Return the letters and digits only, since the two data sets differ in spaces, case and punctuation."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())
