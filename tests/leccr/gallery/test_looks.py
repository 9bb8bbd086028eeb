"""How pictures look in the small, whatever a model says of them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from leccr.drawing.thumbnail import jpeg_thumbnail
from leccr.gallery.looks import LIMIT, look_distances, look_of


def picture(seed: int) -> Image.Image:
    """Return a picture of soft spots."""
    spots = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(spots).resize((320, 240), Image.Resampling.BICUBIC)


def recompressed(own: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    own.save(stream, "JPEG", quality=20)
    return Image.open(stream)


COPIES = {
    "small": lambda own: own.resize((80, 60)),
    "recompressed": recompressed,
    "cropped": lambda own: own.crop((16, 12, 304, 228)),
    "mirrored": ImageOps.mirror,
    "stretched": lambda own: own.resize((240, 240)),
}


@pytest.mark.parametrize("change", COPIES)
def test_copies_look_the_same_and_other_pictures_do_not(change: str) -> None:
    looks = np.stack([look_of(Image.open(io.BytesIO(jpeg_thumbnail(picture(seed))))) for seed in range(20)])
    copy = look_of(Image.open(io.BytesIO(jpeg_thumbnail(COPIES[change](picture(0))))))
    found = look_distances(copy, looks)
    assert found[0] < LIMIT / 2 and found[1:].min() > 5 * LIMIT
    assert look_distances(looks[0], copy[None]) == pytest.approx(found[:1])


def test_plain_pictures_are_told_apart_by_their_colour() -> None:
    red, darker, blue = (look_of(Image.new("RGB", (40, 30), colour)) for colour in ("red", "#fe0000", "blue"))
    found = look_distances(red, np.stack([red, darker, blue]))
    assert found[0] == 0 and found[1] < LIMIT < found[2]
