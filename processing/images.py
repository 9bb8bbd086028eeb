"""Opening pictures so that a broken one is named, and varying them for training."""

import io
import math
import os
import stat
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from PIL import ImageOps

from .errors import BrokenFileError, UserError
from .names import stored_path
from .pictures_leccr import MOST_STRETCH, is_strip, picture_formats, visible_picture
from .png_chunks import without_pixels

# What Pillow finds odd in a file, and yet shows, names no file; and how large pictures may be is decided here.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=PillowImage.DecompressionBombWarning)

MAX_PIXELS = 100_000_000
BACKGROUND = "white"
"""What is seen through transparent parts unless told otherwise, as on paper and in most viewers."""

# Of formats with several pictures the ones that move; others have pages, layers, sizes or thumbnails.
_MOVING = ("GIF", "PNG", "WEBP", "AVIF", "FLI")
# A JPEG is decoded at an eighth, a quarter or a half of its size where that is still so many times the size needed,
# so that scaling down further evens out what decoding did.
_SPARE = 2
# Of PNG, JPEG, GIF and TIFF; other formats are left to Pillow.
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")


def open_image(value: Any, name: str = "", background: str = BACKGROUND, side: int | None = None) -> PillowImage.Image:
    """Return an RGB picture from what a data set holds, as a person sees it: see `visible_picture`.

    Of an animation it is the first picture, whose `info["animation"]` is true.

    Args:
        value: A Pillow picture, a path, or a `{"bytes", "path"}` mapping of an undecoded `datasets` image.
        name: The row's id, for the message when the picture has no path.
        background: What is seen through transparent parts.
        side: Pixels of the shorter side that suffice, because the picture will be made as small; a large JPEG is
            decoded at reduced scale, in a fraction of the time and the memory. None for the whole picture.

    Raises:
        UserError: If there is no picture or file, it cannot be decoded, has more than 100 million pixels, or is a long
            strip; the message names the file.
    """
    label, source = _source(value, name)
    try:
        with _opened(source) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PillowImage.DecompressionBombError
            if is_strip(picture):
                problem = f"{label} is more than {MOST_STRETCH} times as long as wide"
                raise BrokenFileError(problem, "cut it into parts")
            if side is not None and not isinstance(source, PillowImage.Image):
                picture.draft(None, (_SPARE * side, _SPARE * side))
            moves = is_animation(picture)
            shown = visible_picture(picture, background)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise BrokenFileError(f"{label} does not exist", "add the picture") from error
    except PillowImage.DecompressionBombError as error:
        problem = f"{label} has more than {MAX_PIXELS // 10**6} million pixels"
        raise BrokenFileError(problem, "make it smaller") from error
    except Exception as error:  # Decoders that meet broken files raise almost anything.
        raise BrokenFileError(f"{label} cannot be decoded as a picture", "repair or remove it") from error
    if moves:
        shown.info["animation"] = True
    return shown


def open_animation(path: Any, count: int, background: str = BACKGROUND) -> list[PillowImage.Image]:
    """Return the pictures that an animation shows in the middles of `count` equal parts of its time, in RGB.

    Args:
        path: The animation's file.
        count: Most pictures to return; an animation of fewer gives each once.
        background: What is seen through transparent parts.

    Raises:
        UserError: As for `open_image`.
    """
    try:
        with _opened(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PillowImage.DecompressionBombError
            total = getattr(picture, "n_frames", 1)
            ends, seconds = [], 0.0
            for number in range(total):
                picture.seek(number)
                picture.load()
                # Viewers show pictures that have no time for a tenth of a second.
                seconds += picture.info.get("duration") or 100.0
                ends.append(seconds)
            middles = [seconds * (part + 0.5) / count for part in range(count)]
            numbers = [next(number for number, end in enumerate(ends) if middle < end) for middle in middles]
            numbers = list(range(total)) if total < count else numbers
            shown = {}
            for number in sorted(set(numbers)):
                picture.seek(number)
                shown[number] = visible_picture(picture, background).copy()
    except PillowImage.DecompressionBombError as error:
        problem = f"{path} has more than {MAX_PIXELS // 10**6} million pixels"
        raise BrokenFileError(problem, "make it smaller") from error
    except Exception as error:
        raise BrokenFileError(f"{path} cannot be decoded as an animation", "repair or remove it") from error
    return [shown[number] for number in numbers]


def open_file(value: Any) -> Any:
    """Return a picture that is opened but not decoded, for what its file says besides; to be used in a `with` block.

    Of a PNG, in which that may come after the pixels, it has no pixels.

    Args:
        value: As for `open_image`.

    Raises:
        Exception: Whatever Pillow raises for a file that is no picture.
    """
    _, source = _source(value, "")
    picture = _opened(source)
    if picture.format != "PNG" or not getattr(picture, "fp", None):
        return picture
    with picture:
        return _opened(without_pixels(picture.fp))


def is_animation(picture: PillowImage.Image) -> bool:
    """Return whether an opened picture moves."""
    return picture.format in _MOVING and bool(getattr(picture, "is_animated", False))


def is_animated_file(path: Any) -> bool:
    """Return whether a file is an animation; a broken one is none."""
    try:
        with _opened(path) as picture:
            return is_animation(picture)
    except Exception:
        return False


def needed_side(image_processor: Any) -> int | None:
    """Return the shorter side that suffices for an image processor; None if it may need the whole picture."""
    if not getattr(image_processor, "do_resize", False):
        return None
    size = dict(getattr(image_processor, "size", None) or {})
    sides = [size.get(name) for name in ("height", "width", "shortest_edge")]
    return max((side for side in sides if side), default=None) if not size.get("longest_edge") else None


def cropped_side(side: int | None, augment: Any) -> int | None:
    """Return the shorter side that suffices where a crop still has to have `side` pixels.

    Args:
        side: Pixels; None for the whole picture.
        augment: A `RandomCrop`, another callable that needs the whole picture, or None.
    """
    if side is None or augment is None:
        return side
    scale = getattr(augment, "scale", None)
    # A quarter of the area has half of the side.
    return None if scale is None else math.ceil(side / max(min(scale), 0.01) ** 0.5)


def _opened(source: Any) -> Any:
    """Open what is not open yet, by its content, as one of the formats that are accepted."""
    if isinstance(source, PillowImage.Image):
        return nullcontext(source)
    return PillowImage.open(source, formats=picture_formats())


def _source(value: Any, name: str) -> tuple[str, Any]:
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
        label = path or f"The picture of row {name!r}"
        value = (path and stored_path(path)) if content is None else io.BytesIO(content)
    elif isinstance(value, (str, Path)):
        label = str(value)
    else:
        # Never the content itself, which may be millions of numbers.
        label = f"The picture of row {name!r}"
        value = _from_memory(value, label)
    if value is None:
        raise UserError(f"Row {name!r} has no picture; give one, or visual features.")
    if isinstance(value, (str, Path)) and not is_regular(value):
        raise BrokenFileError(f"{label} is not a regular file", "give a picture")
    return label, value


def _from_memory(value: Any, label: str) -> Any:
    """Return a Pillow picture, a stream or None for what a row holds in place of a file's name."""
    if value is None or isinstance(value, PillowImage.Image):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return io.BytesIO(bytes(value))
    is_colours = isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.size > 0
    if is_colours and value.ndim >= 2 and value.shape[2:] in ((), (3,), (4,)):
        return PillowImage.fromarray(value)
    shape = f" of shape {tuple(value.shape)} and type {value.dtype}" if hasattr(value, "shape") else ""
    raise BrokenFileError(
        f"{label} is a {type(value).__name__}{shape}",
        "give a path, a file's bytes, a Pillow picture or an array of 8-bit colours, (height, width, 3)",
    )


def is_regular(path: str | Path) -> bool:
    """Return whether a path is not a device, pipe or folder, whose reading may never end; a missing file passes."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return "\0" not in str(path)


def is_picture(path: str | Path) -> bool:
    """Return whether a regular file is a picture by how it begins; the whole of it may still be broken.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not is_regular(path):
        return False
    with open(path, "rb") as file:
        if file.read(12).startswith(_BEGINNINGS):
            return True
    try:
        with _opened(path):
            return True
    except PillowImage.DecompressionBombError:
        return True
    except Exception:
        return False


class RandomCrop:
    """Cuts a random part out of a picture and scales it back, as LECCR's training does (RandomResizedCrop 0.5–1).

    Args:
        scale: Smallest and largest share of the area that is kept.
        flip: Mirror half of the pictures. Off by default: captions say left and right.
    """

    def __init__(self, scale: tuple[float, float] = (0.5, 1.0), flip: bool = False) -> None:
        self.scale = scale
        self.flip = flip

    def __call__(self, picture: PillowImage.Image, generator: torch.Generator | None = None) -> PillowImage.Image:
        """Return a varied copy; randomness comes from `generator`, or from torch's own."""
        low, high = self.scale
        area, ratio, left, top, mirror = torch.rand(5, generator=generator).tolist()
        share = (low + area * (high - low)) ** 0.5
        stretch = (3 / 4) ** (ratio - 0.5)
        width = max(1, min(round(picture.width * share * stretch), picture.width))
        height = max(1, min(round(picture.height * share / stretch), picture.height))
        x, y = int(left * (picture.width - width + 1)), int(top * (picture.height - height + 1))
        varied = picture.resize(picture.size, PillowImage.Resampling.BICUBIC, box=(x, y, x + width, y + height))
        return ImageOps.mirror(varied) if self.flip and mirror < 0.5 else varied
