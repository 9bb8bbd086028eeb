"""Pictures and rows of tokens as batches. It travels as remote code."""

import os
from collections.abc import Iterator, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from PIL import Image

# Arguments of tokenizers that count tokens, and the least that each can be.
LEAST_TOKENS = {"max_length": 1, "stride": 0, "pad_to_multiple_of": 1}
MOST_TOKENS = 2**31 - 1


def check_lengths(options: Mapping[str, Any]) -> None:
    """Raise ValueError if one of a tokenizer's arguments is a number of tokens that cannot be; None is no number."""
    for name, least in LEAST_TOKENS.items():
        value = options.get(name)
        if value is not None and not (isinstance(value, Integral) and least <= int(value) <= MOST_TOKENS):
            raise ValueError(f"{name} is {value!r}, but has to be a whole number from {least} to {MOST_TOKENS}.")


def grouped(values: Any, size: int) -> Any:
    """Return rows (B·S, L), of any kind of tensor or lists, as (B, S, L)."""
    if isinstance(values, list):
        return [values[start : start + size] for start in range(0, len(values), size)]
    return values.reshape(-1, size, values.shape[-1])


def each(images: Any) -> Iterator[Any]:
    """Yield pictures one by one, from one of them, an array of them, or a list that may have lists in it."""
    dimensions = getattr(images, "ndim", None)
    if isinstance(images, (Image.Image, str, os.PathLike)) or (dimensions is not None and dimensions < 4):
        yield images
    else:
        for image in images:
            yield from each(image)


def stacked(pictures: list[np.ndarray]) -> np.ndarray:
    """Return pictures (3, H, W) as one batch (B, 3, H, W)."""
    sizes = {picture.shape[-2:] for picture in pictures}
    if len(sizes) > 1:
        shown = " and ".join(f"{width}x{height}" for height, width in sorted(sizes)[:2])
        raise ValueError(
            f"The image processor leaves pictures of different sizes, such as {shown}; give its size a height and a "
            "width, with do_resize, or give one picture at a time."
        )
    if not pictures:
        raise ValueError("There is no picture in images; give at least one.")
    return np.stack(pictures)
