"""Pictures of any size, mode and kind straight through the processor, and through what builds on it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from processing.images import open_image
from tests.odd_pictures import ORIENTATION, SHORT, corners, encoded, exif, ramp, ramps, short
from tests.tiny_data import processor, row


@pytest.fixture
def resizing() -> Any:
    made = processor([row("a")])
    made.image_processor.do_resize, made.image_processor.size = True, {"height": 24, "width": 24}
    return made


def test_pictures_of_different_sizes(resizing: Any) -> None:
    sizes = [(30, 20), (20, 30), (900, 1200), (1, 7), (24, 24)]
    pixels = resizing(images=[Image.new("RGB", size, "red") for size in sizes])["pixel_values"]
    assert pixels.shape == (5, 3, 24, 24)
    assert (pixels - pixels[:1]).abs().max() < 1e-5


def test_every_mode_gives_the_pixels_of_what_is_seen(resizing: Any) -> None:
    shown = ramps()
    del shown["P"], shown["PA"]
    pixels = resizing(images=list(shown.values()))["pixel_values"]
    expected = resizing(images=ramp().convert("RGB"))["pixel_values"]
    assert (pixels - expected).abs().max() < 0.1


def test_as_when_it_was_opened_by_us(resizing: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(corners(), "JPEG", exif=exif([(ORIENTATION, SHORT, 1, short(6))])))
    with Image.open(path) as opened:
        found = [resizing(images=image)["pixel_values"] for image in (opened, open_image(path), str(path), path)]
    assert all(torch.equal(pixels, found[0]) for pixels in found)


def test_kinds_of_input(resizing: Any) -> None:
    picture = Image.new("RGB", (24, 24), "red")
    array = np.asarray(picture)
    batch = np.stack([array, array])
    tensor = torch.from_numpy(batch).permute(0, 3, 1, 2)
    expected = resizing(images=[picture, picture])["pixel_values"]
    lists = ([array, array], batch, tensor, list(tensor), [[picture], [picture]], (picture, picture))
    for images in (*lists, iter([picture, picture])):
        assert torch.equal(resizing(images=images)["pixel_values"], expected)
    for images in (picture, array, tensor[0]):
        assert torch.equal(resizing(images=images)["pixel_values"], expected[:1])


def test_frames_of_different_sizes(resizing: Any) -> None:
    videos = [[Image.new("RGB", (30, 20)), Image.new("L", (8, 9))], [Image.new("I;16", (5, 5))]]
    assert resizing(videos=videos)["pixel_values"].shape == (2, 2, 3, 24, 24)


def test_sizes_that_are_kept_cannot_share_a_batch() -> None:
    keeping = processor([row("a")])
    keeping.image_processor.do_resize = False
    with pytest.raises(ValueError, match="leaves pictures of different sizes, such as 24x16 and 16x24; give its size"):
        keeping(images=[Image.new("RGB", (24, 16)), Image.new("RGB", (16, 24))])
    with pytest.raises(ValueError, match="There is no picture in images"):
        keeping(images=[])


def test_the_background_is_saved(resizing: Any, tmp_path: Path) -> None:
    resizing.background = "black"
    resizing.save_pretrained(tmp_path)
    again = type(resizing).from_pretrained(tmp_path)
    assert again.background == "black"
    pixels = [each(images=Image.new("RGBA", (24, 24)))["pixel_values"] for each in (resizing, again)]
    assert torch.equal(*pixels)
    assert torch.equal(pixels[0], resizing(images=Image.new("RGB", (24, 24)))["pixel_values"])
