"""Pictures that a data set or a program holds as bytes or numbers, and what is none."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from processing.errors import UserError
from processing.images import open_image


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview], ids=lambda kind: kind.__name__)
def test_the_bytes_of_a_file(convert: Any) -> None:
    stream = io.BytesIO()
    PillowImage.new("RGB", (8, 6), "red").save(stream, "PNG")
    assert open_image(convert(stream.getvalue()), "a").size == (8, 6)
    with pytest.raises(UserError, match="The picture of row 'a' cannot be decoded") as refused:
        open_image(convert(b"SECRET"), "a")
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3), (6, 8, 4)])
def test_an_array_of_colours(shape: tuple[int, ...]) -> None:
    assert open_image(np.zeros(shape, dtype=np.uint8), "a").size == (8, 6)


@pytest.mark.parametrize(
    "value",
    [np.full((3, 6, 8), 77, np.uint8), np.full((6, 8, 3), 77.0), np.zeros((0, 8), np.uint8), [77] * 9, 77, {77}],
    ids=["channels first", "floats", "nothing", "a list", "a number", "a set"],
)
def test_what_is_no_picture_is_not_printed(value: Any) -> None:
    with pytest.raises(UserError, match="The picture of row 'a' is a .*; give a path, a file's bytes") as refused:
        open_image(value, "a")
    assert "77" not in str(refused.value)
