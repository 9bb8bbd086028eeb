import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from processing.errors import UserError
from processing.images import open_image
from processing.pictures_leccr import image_suffixes, picture_formats, visible_picture
from tests.odd_pictures import ODD_ENTRIES, ORIENTATION, SHORT, corners, encoded, exif, ramp, ramp_files, ramps, short

ROOT = Path(__file__).parents[2]
RED, CLEAR = (255, 0, 0, 255), (0, 0, 0, 0)


def grey(picture: Image.Image) -> np.ndarray:
    assert picture.mode == "RGB"
    return np.asarray(picture.convert("L")).astype(int)


def half_clear(mode: str = "RGBA") -> Image.Image:
    """Return a picture that is red on the left and transparent on the right."""
    image = Image.new("RGBA", (8, 4), CLEAR)
    image.paste(RED, (0, 0, 4, 4))
    return image.convert(mode)


def keyed_png(depth: int, kind: int, rows: list[bytes], key: bytes) -> bytes:
    """Return a PNG, 2 wide, with a transparent colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 2, len(rows), depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", header), chunk(b"tRNS", key), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class TestDepthAndMode:
    @pytest.mark.parametrize("name", ramps())
    def test_every_mode_shows_the_same_ramp(self, name: str) -> None:
        difference = np.abs(grey(visible_picture(ramps()[name])) - grey(ramp().convert("RGB")))
        # The web palette of P has few colours; LAB is rounded twice.
        assert difference.max() <= (26 if name in ("P", "PA") else 4)

    @pytest.mark.parametrize("name", ramp_files())
    def test_every_file_shows_the_same_ramp(self, name: str) -> None:
        shown = open_image({"bytes": ramp_files()[name], "path": name})
        assert np.abs(grey(shown) - grey(ramp().convert("RGB"))).max() <= 6

    def test_black_and_white(self) -> None:
        shown = visible_picture(corners("1"))
        assert (shown.getpixel((0, 0)), shown.getpixel((39, 19))) == ((255, 255, 255), (0, 0, 0))

    def test_a_dark_16_bit_picture_stays_dark(self) -> None:
        dark = Image.fromarray(np.full((4, 4), 6000, np.uint16))
        assert grey(visible_picture(dark)).max() == round(6000 / 257)

    def test_lights_brighter_than_white_are_white(self) -> None:
        values = np.array([[0.0, 0.5, 1.0, 3.5, np.inf, np.nan]], np.float32)
        assert grey(visible_picture(Image.fromarray(values))).tolist() == [[0, 128, 255, 255, 255, 0]]

    def test_pictures_of_one_number(self) -> None:
        for values in (np.full((2, 2), np.nan, np.float32), np.full((2, 2), 10**6, np.int32)):
            assert visible_picture(Image.fromarray(values)).size == (2, 2)


class TestTransparency:
    @pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "PA", "P"])
    def test_is_filled_with_the_background(self, mode: str) -> None:
        made = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA"}.get(mode, mode)
        picture = half_clear().quantize(4) if mode == "P" else half_clear(made).convert(mode)
        for background, expected in (("white", (255, 255, 255)), ("#102030", (16, 32, 48)), ("black", (0, 0, 0))):
            assert visible_picture(picture, background).getpixel((7, 0)) == expected
            assert visible_picture(picture, background).getpixel((0, 0)) != expected

    def test_half_transparent_parts_are_mixed(self) -> None:
        assert visible_picture(Image.new("RGBA", (2, 2), (255, 0, 0, 128))).getpixel((0, 0)) == (255, 127, 127)

    @pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
    def test_in_files(self, kind: str) -> None:
        shown = open_image({"bytes": encoded(half_clear(), kind), "path": kind})
        right: Any = shown.getpixel((7, 0))
        left: Any = shown.getpixel((0, 0))
        assert min(right) > 250 and left[0] > 220 and left[1] < 40

    def test_in_a_palette_of_alphas(self) -> None:
        content = encoded(half_clear().quantize(4), "PNG")
        assert open_image({"bytes": content, "path": None}).getpixel((7, 0)) == (255, 255, 255)

    @pytest.mark.parametrize(
        ("depth", "kind", "rows", "key"),
        [
            (8, 0, [b"\x05\x80"], b"\0\x05"),
            (16, 0, [b"\x10\x01\x80\0"], b"\x10\x01"),
            (8, 2, [b"\1\2\3\x80\x80\x80"], b"\0\1\0\2\0\3"),
            (16, 2, [b"\x10\x10\x20\x20\x30\x30\x80\x80\x80\x80\x80\x80"], b"\x10\x10\x20\x20\x30\x30"),
            (4, 0, [b"\x38"], b"\0\3"),
            (2, 0, [b"\x60"], b"\0\1"),
            (1, 0, [b"\x40"], b"\0\0"),
        ],
        ids=["grey", "16-bit grey", "RGB", "16-bit RGB", "4-bit grey", "2-bit grey", "1-bit grey"],
    )
    def test_by_a_transparent_colour(self, depth: int, kind: int, rows: list[bytes], key: bytes) -> None:
        shown = open_image({"bytes": keyed_png(depth, kind, rows, key), "path": None}, background="#00ff00")
        assert shown.getpixel((0, 0)) == (0, 255, 0)
        assert shown.getpixel((1, 0)) != (0, 255, 0)


class TestOrientation:
    @pytest.mark.parametrize(
        ("odd", "kind"),
        [
            (odd, kind)
            for odd in ODD_ENTRIES
            for kind in ("JPEG", "PNG", "WEBP", "TIFF", "MPO")
            # In a TIFF the entries are part of the picture's own structure, which some break.
            if kind != "TIFF" or odd not in ("a place beyond the end", "a count beyond all")
        ],
    )
    def test_odd_entries_next_to_it_change_nothing(self, odd: str, kind: str) -> None:
        data = exif([(ORIENTATION, SHORT, 1, short(6)), ODD_ENTRIES[odd]])
        if kind == "TIFF":
            content = encoded(corners(), kind, tiffinfo={ORIENTATION: 6, 0x010F: "maker"})
            place = content.index(struct.pack("<HH", 0x010F, 2))
            tag, *rest = ODD_ENTRIES[odd]
            content = content[:place] + struct.pack("<HHI", tag, *rest[:2]) + rest[2] + content[place + 12 :]
        else:
            content = encoded(corners(), kind, exif=data)
        shown = open_image({"bytes": content, "path": None})
        assert shown.size == (20, 40)
        assert shown.getpixel((15, 5)) > (200, 200, 200) and shown.getpixel((5, 5)) < (50, 50, 50)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_all_eight(self, orientation: int) -> None:
        content = encoded(corners(), exif=exif([(ORIENTATION, SHORT, 1, short(orientation))]))
        with Image.open(io.BytesIO(content)) as picture:
            expected = ImageOps.exif_transpose(picture).convert("RGB")
        assert open_image({"bytes": content, "path": None}).tobytes() == expected.tobytes()

    @pytest.mark.parametrize(
        "value", [(SHORT, 1, short(0)), (SHORT, 1, short(77)), (2, 2, b"6\0\0\0"), (12, 1, bytes(4))]
    )
    def test_an_orientation_that_is_none(self, value: tuple[int, int, bytes]) -> None:
        content = encoded(corners(), exif=exif([(ORIENTATION, *value)]))
        assert open_image({"bytes": content, "path": None}).size == (40, 20)

    def test_a_picture_is_not_turned_twice(self) -> None:
        once = open_image({"bytes": encoded(corners(), exif=exif([(ORIENTATION, SHORT, 1, short(6))])), "path": None})
        assert visible_picture(once).tobytes() == once.tobytes() and visible_picture(once).size == (20, 40)

    @pytest.mark.parametrize("content", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"\xff" * 40])
    def test_exif_data_that_are_none(self, content: bytes) -> None:
        assert open_image({"bytes": encoded(corners(), "JPEG", exif=content), "path": None}).size == (40, 20)


def test_the_space_has_the_same_file() -> None:
    assert (ROOT / "spaces/space_pictures.py").read_bytes() == (ROOT / "processing/pictures_leccr.py").read_bytes()


def test_formats_that_run_programs_are_not_opened() -> None:
    assert not {"EPS", "WMF", "MPEG"} & set(picture_formats())
    assert not {".eps", ".ps", ".wmf", ".mpg", ".pdf"} & image_suffixes()


@pytest.mark.parametrize("size", [(1, 201), (20_100, 100)])
def test_a_long_strip_is_refused(size: tuple[int, int]) -> None:
    """Where its shorter side decides, a model would be given gigabytes."""
    with pytest.raises(ValueError, match="no picture but a strip"):
        visible_picture(Image.new("L", size))
    assert visible_picture(Image.new("L", (200, 1))).size == (200, 1)
    with pytest.raises(UserError, match="row 'row 1' is more than 200 times as long as wide; cut it into parts"):
        open_image(Image.new("L", size), "row 1")
