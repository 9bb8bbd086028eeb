"""Any picture as a person sees it: upright, RGB, what is transparent filled.

This file travels with every checkpoint and exported model, and the Space has a copy; it needs no other of this project.
"""

import contextlib
import importlib
import struct
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, features

# How many times as long as wide a picture can be: panoramas have up to thirty.
MOST_STRETCH = 200
ORIENTATION = 0x0112
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262

# EPS and PS files are programs, which Ghostscript would run; of the others Pillow knows no more than the name.
_REFUSED_FORMATS = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "IPTC", "FPX", "MIC", "PDF"}
_PARTS_OF_PILLOW = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Types of EXIF entries.
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
_WITH_ALPHA = {"La": "LA", "RGBa": "RGBA"}
# PNG tells the transparent colour in the file's own depth, and Pillow gives pictures of 8 bits.
_KEY_SCALES = {"L;2": 85.0, "L;4": 17.0, "RGB;16B": 1 / 257}
# A picture of floating-point numbers up to here has white at 1, and lights brighter than that.
_BRIGHTEST_LIGHT = 8.0


@cache
def picture_formats() -> tuple[str, ...]:
    """Return the formats of pictures that are opened, as Pillow names them; HEIF is one if pillow-heif is installed."""
    Image.init()
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    lacking = {name for name, part in _PARTS_OF_PILLOW.items() if not features.check(part)}
    named = set(Image.EXTENSION.values()) & set(Image.OPEN)
    return tuple(sorted(named - _REFUSED_FORMATS - lacking))


@cache
def image_suffixes() -> frozenset[str]:
    """Return the endings, in lower case, of the formats that are opened as pictures."""
    formats = picture_formats()
    return frozenset(suffix for suffix, name in Image.EXTENSION.items() if name in formats)


def is_strip(picture: Image.Image) -> bool:
    """Return whether a picture is so long that enlarging its shorter side to what models take would fill the memory."""
    return max(picture.size) > MOST_STRETCH * min(picture.size)


def visible_picture(picture: Image.Image, background: Any = "white") -> Image.Image:
    """Return a picture as viewers show it, in RGB.

    Orientation is the only part of the EXIF data that is read, as cameras and editors write the others wrongly. Whole
    numbers of 16 or 32 bits and floating-point numbers are scaled to 8 bits: from black to the white of their depth,
    or, where their depth does not tell it, from their smallest to their largest.

    Args:
        picture: Of any mode. It is decoded, and otherwise left as it is.
        background: What is seen through transparent parts, as Pillow names colours.

    Raises:
        ValueError: If it is a long strip.
    """
    if is_strip(picture):
        raise ValueError(f"The picture has {picture.width}x{picture.height} pixels, which is no picture but a strip.")
    scale = _key_scale(picture)
    picture.load()
    turn = _TURNS.get(_orientation(picture))
    if picture.mode == "RGB" and turn is None and not picture.info:
        return picture
    shown = _rgb(picture, background, scale)
    if turn is not None:
        shown = shown.transpose(turn)
    # What is upright now must not be turned again.
    shown.info = {}
    return shown


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation; 1, which is upright, where it cannot be read."""
    try:
        stored = _stored_orientation(picture.info.get("exif") or b"")
        if stored is not None:
            return stored
        # Formats that keep it elsewhere, such as in XMP.
        value = picture.getexif().get(ORIENTATION, 1)
        return int(value[0] if isinstance(value, tuple) else value)
    except Exception:  # The EXIF data are anything that a file may contain.
        return 1


def _stored_orientation(exif: bytes) -> int | None:
    """Return the orientation in EXIF data, whatever their other entries are; None if they have none."""
    data = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return None
    [start] = struct.unpack_from(order + "I", data, 4)
    [count] = struct.unpack_from(order + "H", data, start)
    for offset in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind = struct.unpack_from(order + "HH", data, offset)
        if tag == ORIENTATION:
            value = _WHOLE_NUMBERS.get(kind)
            return 1 if value is None else int(struct.unpack_from(order + value, data, offset + 8)[0])
    return None


def _key_scale(picture: Image.Image) -> float:
    """Return what the transparent colour of a PNG has to be multiplied by; only known before it is decoded."""
    tiles = getattr(picture, "tile", None)
    mode = tiles[0][3] if tiles and picture.format == "PNG" else None
    return _KEY_SCALES.get(mode, 1.0) if isinstance(mode, str) else 1.0


def _rgb(picture: Image.Image, background: Any, key_scale: float) -> Image.Image:
    key = picture.info.get("transparency")
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _scaled(picture, key, background)
    if picture.mode in _WITH_ALPHA:
        picture = picture.convert(_WITH_ALPHA[picture.mode])
    if picture.mode in ("LA", "PA", "RGBA") or (picture.mode == "P" and _has_alpha(picture)):
        return _filled(picture.convert("RGBA"), background)
    if picture.mode in ("1", "L", "RGB") and key is not None:
        keyed = _transparent_where(np.asarray(picture.convert("RGB")), key, key_scale)
        return _pasted(picture.convert("RGB"), keyed, background)
    return picture.convert("RGB")


def _has_alpha(picture: Image.Image) -> bool:
    palette = picture.palette
    return "transparency" in picture.info or (palette is not None and palette.mode.endswith("A"))


def _filled(picture: Image.Image, background: Any) -> Image.Image:
    ground = Image.new("RGBA", picture.size, background)
    return Image.alpha_composite(ground, picture).convert("RGB")


def _pasted(picture: Image.Image, transparent: np.ndarray, background: Any) -> Image.Image:
    picture = picture.copy()
    picture.paste(Image.new("RGB", picture.size, background), mask=Image.fromarray(transparent.astype(np.uint8) * 255))
    return picture


def _transparent_where(pixels: np.ndarray, key: Any, scale: float) -> np.ndarray:
    """Return where pixels (H, W, 3) have the transparent colour, (H, W)."""
    try:
        colour = np.round(np.asarray(key, dtype=float) * scale)
        return (pixels == colour).all(axis=-1)
    except (TypeError, ValueError):
        return np.zeros(pixels.shape[:2], dtype=bool)


def _scaled(picture: Image.Image, key: Any, background: Any) -> Image.Image:
    """Return a picture of large whole numbers, or of floating-point numbers, in RGB."""
    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})
    black, white = _range(picture, values, tags)
    levels = np.nan_to_num((values.astype(np.float32) - black) * np.float32(255 / (white - black)))
    levels = np.clip(levels + 0.5, 0, 255).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == 0:
        # In such a TIFF zero is white.
        levels = 255 - levels
    shown = Image.fromarray(levels).convert("RGB")
    return _pasted(shown, values == key, background) if isinstance(key, int) else shown


def _range(picture: Image.Image, values: np.ndarray, tags: Any) -> tuple[float, float]:
    """Return the numbers that stand for black and for white."""
    if picture.mode.startswith("I;16"):
        bits = tags.get(BITS_PER_SAMPLE, (16,))
        return 0.0, 2.0 ** (bits[0] if isinstance(bits, tuple) else bits) - 1
    finite = values[np.isfinite(values)] if picture.mode == "F" else values
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    if picture.mode == "F" and low >= 0 and (high <= 1 or (high <= _BRIGHTEST_LIGHT and (finite % 1).any())):
        return 0.0, 1.0
    if low >= 0 and high <= 255 and picture.format != "PPM":
        return 0.0, 255.0
    if low >= 0 and high <= 65535:
        return 0.0, 65535.0
    return low, high if high > low else low + 1
