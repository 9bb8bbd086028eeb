"""Small JPEG pictures, as galleries store them and the demo shows them."""

import io

from PIL import Image

from processing.pictures_leccr import visible_picture

SIDE, QUALITY = 160, 70


def jpeg_thumbnail(picture: Image.Image, side: int = SIDE, quality: int = QUALITY) -> bytes:
    """Return a picture as a JPEG of at most `side` by `side` pixels; a smaller one keeps its size."""
    small = visible_picture(picture).copy()
    small.thumbnail((side, side))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=quality, optimize=True)
    return stream.getvalue()
