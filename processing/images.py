"""Opening pictures so that a broken one is named, and varying them for training."""

import io
import os
import stat
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from PIL import Image as PillowImage
from PIL import ImageOps

from .errors import UserError
from .names import stored_path

MAX_PIXELS = 100_000_000
# Of PNG, JPEG, GIF and TIFF; other formats are left to Pillow.
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")


def open_image(value: Any, name: str = "") -> PillowImage.Image:
    """Return an RGB picture from what a data set holds, turned upright if its EXIF data say that it is not.

    Args:
        value: A Pillow picture, a path, or a `{"bytes", "path"}` mapping of an undecoded `datasets` image.
        name: The row's id, for the message when the picture has no path.

    Raises:
        UserError: If there is no picture or file, it cannot be decoded, or it has more than 100 million pixels; the
            message names the file.
    """
    label, source = _source(value, name)
    try:
        with nullcontext(source) if isinstance(source, PillowImage.Image) else PillowImage.open(source) as picture:
            if picture.width * picture.height <= MAX_PIXELS:
                return ImageOps.exif_transpose(picture).convert("RGB")
    except FileNotFoundError as error:
        raise UserError(f"{label} does not exist; add the picture, or skip broken ones.") from error
    except PillowImage.DecompressionBombError:
        pass
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{label} cannot be decoded as a picture; repair or remove it, or skip broken ones.") from error
    raise UserError(f"{label} has more than {MAX_PIXELS // 10**6} million pixels; make it smaller.")


def _source(value: Any, name: str) -> tuple[str, Any]:
    if isinstance(value, dict):
        content, path = value.get("bytes"), value.get("path")
        label = path or f"The picture of row {name!r}"
        value = (path and stored_path(path)) if content is None else io.BytesIO(content)
    else:
        label = f"The picture of row {name!r}" if isinstance(value, PillowImage.Image) else str(value)
    if value is None:
        raise UserError(f"Row {name!r} has no picture; give one, or visual features.")
    if isinstance(value, (str, Path)) and not is_regular(value):
        raise UserError(f"{label} is no regular file; give a picture, or skip broken ones.")
    return label, value


def is_regular(path: str | Path) -> bool:
    """Return whether a path is no device, pipe or folder, whose reading may never end; a missing file passes."""
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
        with PillowImage.open(path):
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
