import io
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops, ImageOps

import processing.images
from processing.images import RandomCrop, open_image
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

    def test_files_are_closed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        picture().save(path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            open_image(path)
        assert not caught


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
