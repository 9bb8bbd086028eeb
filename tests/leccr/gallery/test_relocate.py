"""Folders that are at another path now."""

import shutil
from pathlib import Path

import pytest

from leccr.gallery import Gallery
from leccr.models.encoder import Encoder

from . import tiny_gallery


@pytest.fixture
def own(folder: Path, photos: Path, encoder: Encoder, tmp_path: Path) -> Path:
    """A folder of twelve pictures, of which `folder` is a gallery."""
    copy = Path(shutil.copytree(photos, tmp_path / "photos"))
    with Gallery.open(folder) as gallery:
        gallery.relocate(photos, copy)
    return copy


def is_settled(gallery: Gallery) -> bool:
    report = gallery.sync()
    return report.unchanged == len(gallery) and not report.has_changes and gallery.check(files=True).problems == []


def test_a_whole_folder(own: Path, gallery: Gallery, tmp_path: Path) -> None:
    own.rename(tmp_path / "new")
    assert gallery.relocate(own, tmp_path / "new") == 12
    assert [location for _, location in gallery.sources.values()] == [str(tmp_path / "new")]
    assert is_settled(gallery) and len(gallery) == 12


def test_the_folder_above(own: Path, gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    own.rename(tmp_path / "drive" / "photos")
    assert gallery.relocate(tmp_path, tmp_path / "drive") == 12
    assert is_settled(gallery) and len(gallery) == 12


def test_a_part_within_its_folder(own: Path, gallery: Gallery) -> None:
    (own / "holiday").rename(own / "summer")
    assert gallery.relocate(own / "holiday", own / "summer") == 4
    assert is_settled(gallery) and len(gallery) == 12


def test_a_part_that_leaves_its_folder_is_followed(own: Path, gallery: Gallery, tmp_path: Path) -> None:
    (own / "holiday").rename(tmp_path / "summer")
    assert gallery.relocate(own / "holiday", tmp_path / "summer") == 4
    assert is_settled(gallery) and len(gallery) == 12
    tiny_gallery.paint(tmp_path / "summer" / "new.png", 90)
    assert gallery.sync().added == 1


def test_a_folder_into_one_of_its_own_name(own: Path, gallery: Gallery, tmp_path: Path) -> None:
    """Each path that is left may be one that another item takes."""
    own.rename(tmp_path / "x")
    own.mkdir()
    (tmp_path / "x").rename(own / "holiday")
    assert gallery.relocate(own, own / "holiday") == 12
    assert is_settled(gallery) and len(gallery) == 12


def test_a_folder_that_was_added_there_already(own: Path, gallery: Gallery, tmp_path: Path) -> None:
    shutil.copytree(own, tmp_path / "new")
    gallery.add(tmp_path / "new")
    assert len(gallery) == 24
    shutil.rmtree(own)
    assert gallery.relocate(own, tmp_path / "new") == 12
    assert is_settled(gallery) and len(gallery) == 12


def test_a_path_of_another_system(own: Path, gallery: Gallery) -> None:
    with gallery.catalogue.writing() as connection:
        connection.execute(r"UPDATE sources SET location = 'C:\Users\jane\photos'")
        connection.execute(r"UPDATE followed SET location = 'C:\Users\jane\photos'")
    assert gallery.relocate("C:\\Users\\jane\\", own.parent) == 12
    assert is_settled(gallery) and len(gallery) == 12


def test_an_unfinished_folder_keeps_its_mark(own: Path, gallery: Gallery, tmp_path: Path) -> None:
    with gallery.catalogue.writing() as connection:
        connection.execute("UPDATE state SET value = json_set(value, '$.unfinished', ?)", [str(own)])
    own.rename(tmp_path / "new")
    gallery.relocate(own, tmp_path / "new")
    assert gallery.state.unfinished == str(tmp_path / "new")
