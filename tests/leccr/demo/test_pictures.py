import io
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from leccr.demo.pictures import GalleryPictures, condition
from leccr.demo.space import space
from leccr.gallery import Gallery
from tests.leccr.gallery.tiny_gallery import paint

Filters = space("filters").Filters


@pytest.fixture(scope="module")
def pictures(folder: Path) -> GalleryPictures:
    return GalleryPictures(Gallery.open(folder / "gallery"), "white")


def test_all_items_are_shown_and_filtered(pictures: GalleryPictures) -> None:
    everything = pictures.browse(99)
    assert len(everything) == len(pictures) == 6 and len(pictures.browse(2)) == 2
    assert [hit.rank for hit in everything] == [1, 2, 3, 4, 5, 6] and all(hit.shared for hit in everything)
    holiday = [hit.name for hit in pictures.browse(99, Filters(folder="holiday"))]
    assert sorted(holiday) == sorted(hit.name for hit in everything if hit.name.startswith("holiday/"))
    assert pictures.browse(99, Filters(kind="video")) == []
    assert pictures.facets().folders == ("holiday",) and pictures.facets().kinds == ("image",)
    assert pictures.facets().years == ()


def test_chosen_items_come_in_the_order_of_their_ids(pictures: GalleryPictures) -> None:
    ids = [hit.id for hit in pictures.browse(99)]
    assert [hit.id for hit in pictures.choose([ids[3], "nosuch", "999", ids[1], ids[3]])] == [ids[3], ids[1]]


@pytest.mark.parametrize("name", ["it's", 'say "so"', "a and b", "日本"])
def test_a_folder_of_any_name_is_a_filter(name: str, pictures: GalleryPictures) -> None:
    where = condition(Filters(folder=name))
    assert where is not None and pictures.gallery.catalogue
    assert pictures.browse(9, Filters(folder=name)) == []


def test_pictures_are_shown_large_and_small_and_their_files_given(pictures: GalleryPictures, folder: Path) -> None:
    [hit] = pictures.browse(1)
    for content in (pictures.small(hit.id), pictures.large(hit.id)):
        with PillowImage.open(io.BytesIO(content)) as picture:
            assert picture.format == "JPEG"
    original = pictures.original(hit.id)
    assert original.source.read_bytes() == (folder / "photos" / hit.name).read_bytes()
    assert original.name == hit.name.rsplit("/", 1)[-1]
    assert "Size" in dict(pictures.facts(hit.id))


def test_an_item_whose_file_is_gone_is_shown_by_its_thumbnail(folder: Path, tmp_path: Path) -> None:
    only = paint(tmp_path / "photos" / "a.png", 1, (60, 30))
    Gallery.build(tmp_path / "photos", str(folder / "model"), tmp_path / "gallery").close()
    shown = GalleryPictures(Gallery.open(tmp_path / "gallery"), "white")
    [hit] = shown.browse(1)
    assert hit.ratio == 2
    only.unlink()
    with PillowImage.open(io.BytesIO(shown.large(hit.id))) as picture:
        assert picture.size == (60, 30)
    assert shown.original(hit.id) is None and shown.facts(hit.id) == []


def test_facets_follow_the_gallery(folder: Path, tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "a.png", 1)
    gallery = Gallery.build(tmp_path / "photos", str(folder / "model"), tmp_path / "gallery")
    shown = GalleryPictures(gallery, "white")
    assert shown.facets().folders == ()
    paint(tmp_path / "photos" / "new" / "b.png", 2)
    gallery.add(tmp_path / "photos")
    assert shown.facets().folders == ("new",)


def test_photos_are_shown_by_when_they_were_taken(folder: Path, tmp_path: Path) -> None:
    for number, year in enumerate((2019, 2024, 2021)):
        file = paint(tmp_path / "photos" / f"{year}.jpg", number)
        exif = PillowImage.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"{year}:06:01 12:30:00"
        with PillowImage.open(file) as picture:
            picture.copy().save(file, exif=exif)
    shown = GalleryPictures(Gallery.build(tmp_path / "photos", str(folder / "model"), tmp_path / "gallery"), "white")
    assert shown.facets().years == (2024, 2021, 2019)
    for filters, expected in (
        (None, ["2024.jpg", "2021.jpg", "2019.jpg"]),
        (Filters(since=2021), ["2024.jpg", "2021.jpg"]),
        (Filters(since=2020, until=2021), ["2021.jpg"]),
    ):
        assert [hit.name for hit in shown.browse(9, filters)] == expected
    assert dict(shown.facts(shown.browse(1)[0].id))["Taken"] == "2024-06-01 12:30"
