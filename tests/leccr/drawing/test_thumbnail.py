import io

import pytest
from PIL import Image

from leccr.drawing.thumbnail import SIDE, jpeg_thumbnail


@pytest.mark.parametrize(("size", "expected"), [((1000, 500), (160, 80)), ((30, 20), (30, 20)), ((5000, 25), (160, 1))])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
def test_thumbnails_are_small_jpegs(size: tuple[int, int], expected: tuple[int, int], mode: str) -> None:
    with Image.open(io.BytesIO(jpeg_thumbnail(Image.new(mode, size)))) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", expected)


def test_the_picture_itself_is_not_changed() -> None:
    picture = Image.new("RGB", (2 * SIDE, SIDE))
    jpeg_thumbnail(picture)
    assert picture.size == (2 * SIDE, SIDE)
