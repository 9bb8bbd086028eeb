import io
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageOps

import processing.images
from processing.errors import BrokenFileError, UserError
from processing.images import RandomCrop, cropped_side, is_animated_file, needed_side, open_image
from tests.tiny_data import picture

UPSIDE_DOWN, QUARTER_TURN, ORIENTATION = 3, 6, 0x0112


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def half_and_half() -> Image.Image:
    """Return a picture that is black on the left and white on the right, 8 wide and 4 high."""
    image = Image.new("RGB", (8, 4), "black")
    image.paste("white", (4, 0, 8, 4))
    return image


def rotated(orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return {"bytes": encoded(half_and_half(), exif=exif), "path": None}


class TestOpenImage:
    @pytest.mark.parametrize("kind", ["picture", "path", "text path", "bytes", "path in a mapping"])
    def test_every_way_to_hold_a_picture(self, tmp_path: Path, kind: str) -> None:
        image = half_and_half()
        path = tmp_path / "a.png"
        image.save(path)
        value: Any = {
            "picture": image,
            "path": path,
            "text path": str(path),
            "bytes": {"bytes": path.read_bytes(), "path": "gone.png"},
            "path in a mapping": {"bytes": None, "path": str(path)},
        }[kind]
        opened = open_image(value)
        assert opened.mode == "RGB"
        assert ImageChops.difference(opened, image).getbbox() is None

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
    def test_pictures_of_every_mode_become_rgb(self, mode: str) -> None:
        colourless = ImageOps.grayscale(half_and_half()).convert("RGB").convert(mode)
        kind = "TIFF" if mode == "CMYK" else "PNG"
        for value in (colourless, {"bytes": encoded(colourless, kind), "path": None}):
            opened = open_image(value)
            assert (opened.mode, opened.size) == ("RGB", (8, 4))
            assert (opened.getpixel((0, 0)), opened.getpixel((7, 0))) == ((0, 0, 0), (255, 255, 255))

    def test_pictures_are_turned_upright(self) -> None:
        turned = open_image(rotated(UPSIDE_DOWN))
        assert (turned.getpixel((0, 0)), turned.getpixel((7, 0))) == ((255, 255, 255), (0, 0, 0))
        assert open_image(rotated(QUARTER_TURN)).size == (4, 8)

    def test_so_are_opened_ones(self) -> None:
        with Image.open(io.BytesIO(rotated(QUARTER_TURN)["bytes"])) as image:
            assert open_image(image).size == (4, 8)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"This is text.",
            encoded(picture())[:60],
            encoded(Image.effect_noise((64, 64), 50), "JPEG")[:-200],
            b"P6 3x 30 255 " + bytes(99),  # Pillow raises a bare ValueError
        ],
        ids=["empty", "text", "cut header", "cut data", "damaged header"],
    )
    def test_a_broken_file_is_named(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "broken.jpg"
        path.write_bytes(content)
        for value in (path, {"bytes": content, "path": "broken.jpg"}):
            with pytest.raises(ValueError, match="broken.jpg cannot be decoded as a picture; repair or remove it"):
                open_image(value, "row")

    def test_a_broken_picture_without_file_names_its_row(self) -> None:
        with pytest.raises(ValueError, match="The picture of row 'seven' cannot be decoded"):
            open_image({"bytes": b"text", "path": None}, "seven")

    def test_an_opened_broken_picture_names_its_row(self) -> None:
        image = Image.open(io.BytesIO(encoded(Image.effect_noise((64, 64), 50), "JPEG")[:-200]))
        with pytest.raises(ValueError, match="The picture of row 'seven' cannot be decoded"):
            open_image(image, "seven")

    @pytest.mark.parametrize("value", [None, {"bytes": None, "path": None}])
    def test_no_picture_names_its_row(self, value: Any) -> None:
        with pytest.raises(ValueError, match="Row 'seven' has no picture; give one, or visual features."):
            open_image(value, "seven")

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="absent.png does not exist"):
            open_image(tmp_path / "absent.png")

    def test_too_many_pixels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processing.images, "MAX_PIXELS", 31)
        with pytest.raises(ValueError, match="huge.png has more than 0 million pixels; make it smaller."):
            open_image({"bytes": encoded(half_and_half()), "path": "huge.png"})
        monkeypatch.setattr(processing.images, "MAX_PIXELS", 32)
        assert open_image(half_and_half()).size == (8, 4)

    def test_more_pixels_than_pillow_opens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        with pytest.raises(ValueError, match="huge.png has more than 100 million pixels"):
            open_image({"bytes": encoded(half_and_half()), "path": "huge.png"})

    @pytest.mark.parametrize("error", [TypeError, IndexError, RecursionError, MemoryError, KeyError])
    def test_whatever_a_decoder_raises(self, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
        def fail(*arguments: Any) -> None:
            raise error("bad")

        monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_end", fail)
        with pytest.raises(UserError, match="odd.png cannot be decoded as a picture; repair or remove it"):
            open_image({"bytes": encoded(half_and_half()), "path": "odd.png"})

    def test_where_it_was_skipped_nobody_is_told_to_skip_it(self) -> None:
        with pytest.raises(BrokenFileError, match="or skip broken ones") as caught:
            open_image({"bytes": b"text", "path": "odd.png"})
        assert caught.value.reason == "odd.png cannot be decoded as a picture; repair or remove it."

    def test_programs_are_not_run(self) -> None:
        postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
        with pytest.raises(UserError, match="photo.jpg cannot be decoded"):
            open_image({"bytes": postscript, "path": "photo.jpg"})

    @pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "HEIF", "QOI", "TGA", "ICO"])
    def test_other_formats(self, kind: str) -> None:
        if kind == "HEIF":
            pytest.importorskip("pillow_heif").register_heif_opener()
        content = encoded(Image.new("RGB", (32, 32), "red"), kind)
        red: Any = open_image({"bytes": content, "path": None}).getpixel((16, 16))
        assert red[0] > 240 and max(red[1:]) < 15

    @pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
    def test_the_first_picture_of_an_animation(self, kind: str) -> None:
        moving = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
        for pictures in (moving, moving[:1]):
            content = encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=100)
            shown = open_image({"bytes": content, "path": None})
            red: Any = shown.getpixel((16, 16))
            assert red[0] > 240 and max(red[1:]) < 15
            assert shown.info.get("animation", False) is (len(pictures) > 1)

    def test_pages_are_no_animation(self, tmp_path: Path) -> None:
        pages = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
        assert open_image(tmp_path / "a.tif").info == {}
        assert not is_animated_file(tmp_path / "a.tif") and not is_animated_file(tmp_path / "absent.gif")

    def test_files_are_closed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        picture().save(path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            open_image(path)
        assert not caught


class TestReducedScale:
    SIZE = (1600, 1200)

    @classmethod
    def photo(cls) -> bytes:
        """Return a JPEG with detail of all sizes, as a photo has."""
        width, height = cls.SIZE
        noise = [Image.effect_noise((width >> step, height >> step), 60) for step in (1, 3, 6)]
        layers = [layer.resize(cls.SIZE) for layer in noise]
        return encoded(Image.merge("RGB", layers), "JPEG", quality=92)

    def test_as_good_as_the_whole_picture(self) -> None:
        value = {"bytes": self.photo(), "path": None}
        for side in (64, 112, 224):
            small = open_image(value, side=side)
            assert 2 * side <= min(small.size) < min(self.SIZE)
            scaled = [
                np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
                for picture in (small, open_image(value))
            ]
            difference = np.abs(scaled[0] - scaled[1])
            # In levels of 255: less than JPEG itself loses.
            assert difference.mean() < 1.0 and difference.max() < 12

    def test_sides_that_need_it_all(self) -> None:
        assert open_image({"bytes": self.photo(), "path": None}, side=700).size == self.SIZE
        assert open_image({"bytes": encoded(half_and_half()), "path": None}, side=1).size == (8, 4)

    def test_a_picture_that_is_open_stays_as_it_is(self) -> None:
        with Image.open(io.BytesIO(self.photo())) as opened:
            open_image(opened, side=64)
            assert opened.size == self.SIZE

    @pytest.mark.parametrize(
        ("settings", "side"),
        [
            ({"size": {"height": 64, "width": 48}}, 64),
            ({"size": {"shortest_edge": 224}}, 224),
            ({"size": {"shortest_edge": 224, "longest_edge": 900}}, None),
            ({"size": {"height": 64, "width": 48}, "do_resize": False}, None),
        ],
    )
    def test_what_an_image_processor_needs(self, settings: dict[str, Any], side: int | None) -> None:
        assert needed_side(SimpleNamespace(**{"do_resize": True, **settings})) == side

    def test_what_a_crop_needs(self) -> None:
        assert cropped_side(100, RandomCrop(scale=(0.25, 1.0))) == 200
        assert cropped_side(100, None) == 100
        assert cropped_side(None, RandomCrop()) is None
        assert cropped_side(100, lambda picture: picture) is None


class TestRandomCrop:
    @staticmethod
    def gradient(width: int = 60, height: int = 40) -> Image.Image:
        """Return a picture whose red channel tells the column and whose green channel tells the row."""
        columns = Image.linear_gradient("L").rotate(90).resize((width, height))
        rows = Image.linear_gradient("L").resize((width, height))
        return Image.merge("RGB", (columns, rows, Image.new("L", (width, height))))

    def crops(self, count: int = 200, **settings: Any) -> list[Image.Image]:
        torch.manual_seed(0)
        crop, image = RandomCrop(**settings), self.gradient()
        return [crop(image) for _ in range(count)]

    def test_size_stays_and_pictures_vary(self) -> None:
        crops = self.crops(20)
        assert {crop.size for crop in crops} == {(60, 40)}
        assert len({crop.tobytes() for crop in crops}) == 20

    def test_the_share_of_the_area_is_as_stated(self) -> None:
        shares = []
        for crop in self.crops():
            (left, right), (top, bottom), _ = crop.getextrema()
            shares.append((right - left) * (bottom - top) / 255**2)
        assert 0.4 < min(shares) < 0.6
        assert 0.9 < max(shares) <= 1.0
        assert 0.68 < sum(shares) / len(shares) < 0.8

    def test_every_part_of_the_picture_comes_up(self) -> None:
        reds = [crop.getextrema()[0] for crop in self.crops()]
        assert min(low for low, _ in reds) < 5 and max(high for _, high in reds) > 250
        assert max(low for low, _ in reds) > 60 and min(high for _, high in reds) < 195

    @staticmethod
    def is_mirrored(crop: Image.Image) -> bool:
        left, right = crop.getpixel((0, 20)), crop.getpixel((59, 20))
        assert isinstance(left, tuple) and isinstance(right, tuple)
        upright_rises = TestRandomCrop.gradient().getpixel((0, 20)) < TestRandomCrop.gradient().getpixel((59, 20))
        return (left[0] < right[0]) != upright_rises

    def test_no_picture_is_mirrored_unless_wanted(self) -> None:
        assert not any(self.is_mirrored(crop) for crop in self.crops())
        assert 70 < sum(self.is_mirrored(crop) for crop in self.crops(flip=True)) < 130

    def test_the_whole_picture_can_be_kept(self) -> None:
        torch.manual_seed(0)
        image = Image.new("RGB", (9, 7), "red")
        assert RandomCrop(scale=(1.0, 1.0))(image).tobytes() == image.tobytes()

    def test_equal_seeds_give_equal_pictures(self) -> None:
        first, second = self.crops(3), self.crops(3)
        assert [crop.tobytes() for crop in first] == [crop.tobytes() for crop in second]

    @pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
    def test_tiny_pictures(self, size: tuple[int, int]) -> None:
        assert {RandomCrop(scale=(0.01, 1.0))(picture(size=size)).size for _ in range(50)} == {size}
