import io
import math
from typing import Any

import pytest
from PIL import Image as PillowImage
from space_errors import SpaceError
from space_search import check_count, check_query, open_picture


@pytest.mark.parametrize("text", ["", " \n\t", None, 5, ["a"]])
def test_what_is_no_query_is_refused(text: Any) -> None:
    with pytest.raises(SpaceError):
        check_query(text)


def test_queries_are_bounded_and_made_whole() -> None:
    assert check_query("  ein \n Hund ") == "ein Hund"
    assert check_query("a\ud800b") == "a?b"
    assert len(check_query("x" * 500)) == 500
    with pytest.raises(SpaceError, match="20,000 characters; the most is 500"):
        check_query("x" * 20_000)


@pytest.mark.parametrize("k", [0, -1, 51, math.nan, "5", None, True])
def test_what_is_no_count_is_refused(k: Any) -> None:
    with pytest.raises(SpaceError, match="from 1 to 50"):
        check_count(k)


def test_pictures_are_turned_upright_and_lose_transparency() -> None:
    stream = io.BytesIO()
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.new("RGB", (40, 20), "red").save(stream, "JPEG", exif=exif)
    assert open_picture(stream.getvalue()).size == (20, 40)
    stream = io.BytesIO()
    PillowImage.new("RGBA", (4, 4), (255, 0, 0, 0)).save(stream, "PNG")
    assert open_picture(stream.getvalue()).mode == "RGB"
