"""A gallery follows its folders: long videos that are moved, copied, changed and deleted."""

import shutil
from pathlib import Path

import pytest

from leccr.gallery import Gallery
from tests.leccr.gallery import films
from tests.leccr.gallery.films import TIMES, film, moments, opened
from tests.leccr.gallery.tiny_gallery import contents, run


@pytest.fixture
def own(filmed: Path, tmp_path: Path) -> Path:
    """A folder with videos that may be changed, and a `gallery` of them."""
    shutil.copytree(filmed / "videos", tmp_path / "own" / "videos")
    Gallery.build(tmp_path / "own" / "videos", films.model(), tmp_path / "own" / "gallery").close()
    return tmp_path / "own"


@pytest.fixture
def nothing_is_encoded(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films.model(), "views", lambda *arguments: pytest.fail("something was encoded"))


@pytest.mark.usefixtures("nothing_is_encoded")
def test_a_moved_film_keeps_its_shots(own: Path) -> None:
    (own / "videos" / "clip.mp4").rename(own / "videos" / "more" / "new.mp4")
    with opened(own / "gallery") as gallery:
        before = {each.number: each.start for each in gallery.search("en red 1", 9, "path=clip.mp4", all_moments=True)}
        report = gallery.sync()
        assert (report.added, report.replaced, report.moved, report.removed) == (0, 0, 1, 0)
        found = gallery.search("en red 1", 9, "path=more/new.mp4", all_moments=True)
        assert {each.number: each.start for each in found} == before
        assert moments(gallery, "more/new.mp4") == [*TIMES] and moments(gallery) == []
        assert len(gallery.search("en red 1", 99)) == 6, "it is one video still"
        assert gallery.check(files=True).problems == []


@pytest.mark.usefixtures("nothing_is_encoded")
def test_a_copy_of_a_film_has_the_same_shots(own: Path) -> None:
    shutil.copy(own / "videos" / "clip.mp4", own / "videos" / "copy.mp4")
    with opened(own / "gallery") as gallery:
        assert gallery.sync().added == 1
        assert moments(gallery, "copy.mp4") == moments(gallery) == [*TIMES]
        scores = [
            sorted(each.score for each in gallery.search("en red 1", 9, f"path={name}", all_moments=True))
            for name in ("clip.mp4", "copy.mp4")
        ]
        assert scores[0] == scores[1]


@pytest.mark.usefixtures("nothing_is_encoded")
def test_a_folder_of_films_is_relocated(own: Path) -> None:
    before = [item[0] for item in contents(own / "gallery")[:-3]]
    (own / "videos").rename(own / "elsewhere")
    result = run("gallery", "relocate", own / "gallery", own / "videos", own / "elsewhere")
    assert result.exit_code == 0, result.output
    assert [item[0] for item in contents(own / "gallery")[:-3]] == before
    with opened(own / "gallery") as gallery:
        assert moments(gallery) == [*TIMES] and gallery.check(files=True).problems == []


def test_a_changed_and_a_deleted_film(own: Path) -> None:
    film(own / "videos" / "clip.mp4", ("blue", "red"), (12, 12))
    (own / "videos" / "more" / "other.mkv").unlink()
    with opened(own / "gallery") as gallery:
        report = gallery.sync()
        assert (report.replaced, report.removed) == (1, 1)
        assert moments(gallery) == [(0, 12), (12, 24)] and moments(gallery, "more/other.mkv") == []
        assert gallery.check(files=True).problems == []
        (own / "videos" / "clip.mp4").unlink()
        report = gallery.sync(keep_missing=True)
        assert report.missing == 1 and moments(gallery) == [(0, 12), (12, 24)], "a video counts once"
