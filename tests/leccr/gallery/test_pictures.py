"""Odd, broken, large and moving pictures on their way into a gallery and out of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from leccr.models.model_encoder import ModelEncoder
from tests.leccr.gallery.tiny_gallery import encoder as make_encoder
from tests.leccr.gallery.tiny_gallery import paint, run, save_model, stored_views
from tests.odd_pictures import ODD_ENTRIES, ORIENTATION, SHORT, corners, encoded, exif, ramps, short


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("pictures") / "model")


@pytest.fixture(scope="module")
def resizing() -> Encoder:
    """A model of pictures of any size."""
    made = make_encoder()
    made.processor.image_processor.do_resize = True
    made.processor.image_processor.size = {"height": 32, "width": 32}
    return made


def spoil(gallery: Gallery, number: int = 1, content: bytes = b"no picture") -> None:
    with gallery.catalogue.writing() as connection:
        connection.execute("UPDATE thumbnails SET picture = ? WHERE number = ?", [content, number])


class TestOddFiles:
    def test_odd_ones_go_in_and_broken_ones_are_named(self, model: Path, tmp_path: Path) -> None:
        folder = tmp_path / "photos"
        folder.mkdir()
        for name, odd in ODD_ENTRIES.items():
            data = exif([(ORIENTATION, SHORT, 1, short(6)), odd])
            (folder / f"{name}.jpg").write_bytes(encoded(corners(), "JPEG", exif=data))
        (folder / "text.jpg").write_text("This is text.")
        (folder / "cut.png").write_bytes(encoded(corners())[:60])
        (folder / "program.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
        (folder / "notes.txt").write_text("notes")
        (folder / "raw.CR2").write_text("raw")
        for _ in range(2):
            result = run("index", folder, "--model", model, "--out", tmp_path / "gallery")
            assert result.exit_code == 0, result.output
            assert f"has {len(ODD_ENTRIES)} items" in result.output and "3 left out:" in result.output
            for name in ("text.jpg", "cut.png", "program.jpg"):
                assert f"{name} cannot be decoded as a picture; repair or remove it." in result.output
                assert f"  {name}: " not in result.output  # The reason names it already.
            assert "or skip broken ones" not in result.output
            assert "1 file by ending (1 .txt)" in result.output and "1 file by ending (1 .cr2)" in result.output

    def test_a_query_by_an_odd_photo(self, model: Path, tmp_path: Path) -> None:
        folder = tmp_path / "photos"
        folder.mkdir()
        data = exif([(ORIENTATION, SHORT, 1, short(6)), ODD_ENTRIES["resolution as text"]])
        (folder / "odd.jpg").write_bytes(encoded(corners(), "JPEG", exif=data))
        assert run("index", folder, "--model", model, "--out", tmp_path / "gallery").exit_code == 0
        result = run("search", tmp_path / "gallery", "--image", folder / "odd.jpg")
        assert result.exit_code == 0 and "odd.jpg" in result.stdout
        (folder / "text.jpg").write_text("This is text.")
        result = run("search", tmp_path / "gallery", "--image", folder / "text.jpg")
        said = f"Error: {folder}/text.jpg cannot be decoded as a picture; search with another picture or video.\n"
        assert (result.exit_code, result.stderr) == (2, said)

    def test_a_folder_with_nothing_to_open_says_what_is_in_it(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "a.CR2").write_text("raw")
        result = run("index", tmp_path / "photos", "--model", model, "--out", tmp_path / "gallery")
        assert result.exit_code == 2 and "1 .cr2" in result.stderr and "convert it to JPEG" in result.stderr
        result = run("index", tmp_path / "photos" / "a.CR2", "--model", model, "--out", tmp_path / "gallery")
        assert result.exit_code == 2 and "convert it to JPEG" in result.stderr

    def test_endings_in_any_case(self, encoder: Encoder, tmp_path: Path) -> None:
        pytest.importorskip("pillow_heif").register_heif_opener()
        folder = tmp_path / "photos"
        folder.mkdir()
        kinds = {"a.HEIC": "HEIF", "b.heif": "HEIF", "c.AVIF": "AVIF", "d.jfif": "JPEG", "e.Jp2": "JPEG2000"}
        kinds["f.QOI"] = "QOI"
        for name, kind in kinds.items():
            (folder / name).write_bytes(encoded(Image.new("RGB", (16, 16), "red"), kind))
        with Gallery.build(folder, encoder, tmp_path / "gallery") as gallery:
            assert {result.id for result in gallery.search("en red 1", 20)} == set(kinds)
            assert gallery.report is not None and not gallery.report.broken and not gallery.report.remarks


class TestModes:
    def test_features_and_thumbnails_show_the_same_in_every_mode(self, resizing: Encoder, tmp_path: Path) -> None:
        kinds = {"L": "png", "LA": "png", "RGBA": "png", "I;16": "png", "I;16B": "tif", "F up to one": "tif"}
        kinds |= {"CMYK": "tif", "LAB": "tif", "RGB": "bmp", "I of 16 bits": "tif"}
        (tmp_path / "photos").mkdir()
        for number, (name, kind) in enumerate(kinds.items()):
            ramps()[name].save(tmp_path / "photos" / f"{number}.{kind}")
        with Gallery.build(tmp_path / "photos", resizing, tmp_path / "gallery") as gallery:
            views = np.stack(stored_views(gallery))
            assert len(views) == len(kinds) and np.abs(views - views[:1]).max() < 0.03
            shown = [np.asarray(gallery.thumbnail(result)).astype(int) for result in gallery.search("en red 1", 20)]
        assert max(np.abs(picture - shown[0]).max() for picture in shown) < 12

    def test_another_background(self, tmp_path: Path) -> None:
        made = make_encoder()
        made.processor.background = "#0000ff"
        made = ModelEncoder(made.model, made.processor, "tiny")
        (tmp_path / "photos").mkdir()
        Image.new("RGBA", (16, 16)).save(tmp_path / "photos" / "clear.png")
        with Gallery.build(tmp_path / "photos", made, tmp_path / "gallery") as gallery:
            thumbnail: Any = gallery.thumbnail(gallery.search("en red 1", 1)[0])
        assert np.abs(np.asarray(thumbnail).astype(int) - [0, 0, 255]).max() < 5


class TestAnimations:
    @staticmethod
    def write(folder: Path) -> Path:
        folder.mkdir()
        pictures = [Image.open(paint(folder / f"{number}.png", number)) for number in range(2)]
        for name in ("moving.gif", "moving.webp"):
            pictures[0].save(folder / name, save_all=True, append_images=pictures[1:], duration=200)
        return folder

    def test_the_first_picture_counts_and_that_is_said(self, model: Path, tmp_path: Path) -> None:
        folder = self.write(tmp_path / "photos")
        result = run("index", folder, "--model", model, "--out", tmp_path / "gallery")
        assert "Only the first picture of 2 animations was taken.\n" in result.output
        result = run("index", folder, "--model", model, "--out", tmp_path / "gallery")
        assert "animations" not in result.output

    def test_frames_makes_videos_of_them(self, tmp_path: Path) -> None:
        folder, made = self.write(tmp_path / "photos"), make_encoder(num_frames=2)
        with Gallery.build(folder, made, tmp_path / "gallery") as gallery:
            still = np.stack(stored_views(gallery))
            report = gallery.add(folder, frames=True)
            assert (report.replaced, report.unchanged, report.animations) == (2, 2, 0)
            kinds = {result.id: result.kind for result in gallery.search("en red 1", 9)}
            assert kinds == {"0.png": "image", "1.png": "image", "moving.gif": "video", "moving.webp": "video"}
            assert np.abs(np.stack(stored_views(gallery))[-2:] - still[-2:]).max() > 1e-3

    def test_a_model_of_pictures_refuses(self, model: Path, tmp_path: Path) -> None:
        folder = self.write(tmp_path / "photos")
        result = run("index", folder, "--model", model, "--out", tmp_path / "gallery", "--frames")
        assert result.exit_code == 2 and "the model takes pictures only" in result.stderr


class TestBrokenThumbnails:
    @pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0" + bytes(50)])
    def test_are_found_and_made_again(self, encoder: Encoder, photos: Path, tmp_path: Path, content: bytes) -> None:
        with Gallery.build(photos, encoder, tmp_path / "gallery") as gallery:
            results = {result.number: result for result in gallery.search("en red 1", 20)}
            before = np.asarray(gallery.thumbnail(results[1]))
            spoil(gallery, 1, content)
            assert gallery.check().problems == []
            assert gallery.check(files=True).problems == [
                "The thumbnails of 1 items are broken; `--repair` repairs this."
            ]
            assert gallery.check(repair=True).repaired == ["The thumbnails of 1 items are broken."]
            assert gallery.check(files=True).problems == []
            assert np.array_equal(np.asarray(gallery.thumbnail(results[1])), before)

    def test_without_a_file_they_go(self, encoder: Encoder, tmp_path: Path) -> None:
        only = paint(tmp_path / "photos" / "a.png", 1)
        with Gallery.build(tmp_path / "photos", encoder, tmp_path / "gallery") as gallery:
            spoil(gallery)
            only.unlink()
            [repaired] = gallery.check(repair=True).repaired
            assert "1 of these items have no readable file and no longer a thumbnail" in repaired
            assert gallery.thumbnail(gallery.search("en red 1", 1)[0]) is None

    def test_sheets_and_pages_show_the_others(self, model: Path, photos: Path, tmp_path: Path) -> None:
        from leccr.demo.searcher import GallerySearcher

        with Gallery.build(photos, str(model), tmp_path / "gallery") as gallery:
            spoil(gallery)
        result = run("search", tmp_path / "gallery", "en red 1", "-k", 20, "--sheet", tmp_path / "sheet.png")
        assert result.exit_code == 0, result.output
        assert (tmp_path / "sheet.png").is_file()
        with Gallery.open(tmp_path / "gallery") as gallery:
            searcher = GallerySearcher(gallery)
            assert len(searcher.search("en red 1", 20)) == len(gallery)
            assert searcher.explain("1", "en red 1").slots


def test_photos_of_many_sizes_share_a_gallery(resizing: Encoder, tmp_path: Path) -> None:
    for number, size in enumerate([(30, 20), (20, 30), (1200, 900), (1, 7), (300, 301)]):
        paint(tmp_path / "photos" / f"{number}.{'jpg' if number % 2 else 'png'}", number, size)
    with Gallery.build(tmp_path / "photos", resizing, tmp_path / "gallery") as gallery:
        assert len(gallery) == 5
        best = gallery.search_by_image(tmp_path / "photos" / "2.png", 5)[0]
        assert best.id == "2.png" and best.score > 0.2
