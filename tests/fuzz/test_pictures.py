"""Pictures, animations and EXIF data that were changed at random."""

import random
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from leccr.drawing.thumbnail import jpeg_thumbnail
from processing.images import is_animated_file, is_picture, open_image
from processing.video import open_frames
from tests import odd_pictures
from tests.videos import write_video

from .changes import flipped, harmless

RAMP = odd_pictures.ramp(24, 8)
GIF: dict[str, Any] = {"save_all": True, "append_images": [RAMP.rotate(90), RAMP.rotate(180)], "duration": 40}
TURNED = odd_pictures.exif([(odd_pictures.ORIENTATION, odd_pictures.SHORT, 1, odd_pictures.short(6))])
FILES = {
    **odd_pictures.ramp_files(),
    "JPEG": odd_pictures.encoded(
        RAMP.convert("RGB"), "JPEG", exif=odd_pictures.exif([(274, 3, 1, odd_pictures.short(6))])
    ),
    "progressive JPEG": odd_pictures.encoded(RAMP, "JPEG", progressive=True),
    "PNG": odd_pictures.encoded(RAMP.convert("RGBA")),
    "palette PNG": odd_pictures.encoded(RAMP.convert("P"), transparency=3),
    "GIF": odd_pictures.encoded(RAMP.convert("P"), "GIF", **GIF),
    "animated PNG": odd_pictures.encoded(RAMP, "PNG", **GIF),
    "animated WebP": odd_pictures.encoded(RAMP.convert("RGB"), "WEBP", **GIF),
    "BMP": odd_pictures.encoded(RAMP, "BMP"),
    "AVIF": odd_pictures.encoded(RAMP.convert("RGB"), "AVIF"),
    "ICO": odd_pictures.encoded(RAMP.convert("RGBA"), "ICO", sizes=[(16, 16)]),
    "PPM": odd_pictures.encoded(RAMP.convert("RGB"), "PPM"),
    "TGA": odd_pictures.encoded(RAMP, "TGA"),
}


def look(path: Path) -> None:
    """Open a file in all ways in which commands do."""
    harmless(lambda: is_picture(path))
    harmless(lambda: is_animated_file(path))
    harmless(lambda: open_image(str(path), side=4))
    harmless(lambda: open_frames(path, 2))
    harmless(lambda: jpeg_thumbnail(open_image({"bytes": path.read_bytes(), "path": None}, "a")))


@pytest.mark.parametrize("name", FILES)
def test_any_picture(name: str, place: Path) -> None:
    for number, copy in enumerate(flipped(FILES[name], 20)):
        path = place / f"{number}.jpg"
        path.write_bytes(copy)
        look(path)


def test_any_video(place: Path) -> None:
    content = write_video(place / "whole.mp4", ["red", "blue"] * 3).read_bytes()
    for number, copy in enumerate(flipped(content, 30)):
        path = place / f"{number}.mp4"
        path.write_bytes(copy)
        harmless(open_frames, path, 3)


TAGS = (0x0112, 0x010F, 0x011A, 0x8769, 0x8825, 0x0201, 0x0202, 0xA005, 0x927C)
entries = st.tuples(
    st.one_of(st.sampled_from(TAGS), st.integers(0, 2**16 - 1)),
    st.integers(0, 14),
    st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1)),
    st.binary(min_size=4, max_size=4),
)


@examples(max_examples=50)
@given(st.lists(entries, max_size=5), st.sampled_from(["JPEG", "PNG", "WEBP", "AVIF"]))
def test_any_exif(written: list[tuple[int, int, int, bytes]], kind: str) -> None:
    content = odd_pictures.encoded(RAMP.convert("RGB"), kind, exif=odd_pictures.exif(written))
    shown = open_image({"bytes": content, "path": None}, "a")
    assert sorted(shown.size) == [8, 24]


def test_exif_changed_anywhere() -> None:
    whole = Image.Exif()
    whole[274], whole[0x010F] = 6, "maker"
    whole.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    for copy in flipped(whole.tobytes(), 50):
        content = odd_pictures.encoded(RAMP.convert("RGB"), "JPEG", exif=copy)
        assert sorted(open_image({"bytes": content, "path": None}, "a").size) == [8, 24]


def test_headers_that_promise_too_much(place: Path) -> None:
    """Widths and heights are believed by no decoder before they are measured."""
    generator = random.Random(0)
    for number in range(60):
        content = bytearray(FILES[generator.choice(["PNG", "BMP", "GIF", "TGA", "JPEG", "ICO"])])
        for _ in range(2):
            position = generator.randrange(min(40, len(content) - 4))
            content[position : position + 4] = struct.pack(
                generator.choice("<>") + "I", generator.choice([2**31 - 1, 2**16, 9999])
            )
        path = place / f"{number}.png"
        path.write_bytes(content)
        look(path)
