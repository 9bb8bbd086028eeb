import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from processing.shots import find_shots
from processing.storage import write_rows
from tests.leccr.gallery import films, tiny_gallery
from tests.leccr.gallery.films import LABELS, TIMES, colour, film
from tests.leccr.gallery.tiny_gallery import contents, names_of, paint, run
from tests.tiny_data import row
from tests.videos import write_video

QUERY = "en red 1"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two films, a short clip and three pictures, the `model`, and a `gallery` that the command made."""
    folder = tmp_path_factory.mktemp("moments")
    film(folder / "videos" / "clip.mp4")
    film(folder / "videos" / "more" / "other.mkv", ("green", "red"), (12, 12))
    write_video(folder / "videos" / "short.mp4")
    for number in range(3):
        paint(folder / "videos" / f"{number}.png", number)
    tiny_gallery.save_model(folder / "model", num_frames=2)
    result = run("index", folder / "videos", "--model", folder / "model", "--out", folder / "gallery")
    assert result.exit_code == 0, result.output
    assert "6 added, 0 replaced, 0 unchanged." in result.stdout
    assert "has 9 items" in result.stdout
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of the gallery, of the original videos."""
    return Path(shutil.copytree(original / "gallery", tmp_path / "gallery"))


@pytest.fixture
def own(original: Path, tmp_path: Path) -> Path:
    """A folder with videos that may be changed, and a `gallery` of them."""
    shutil.copytree(original / "videos", tmp_path / "own" / "videos")
    Gallery.build(tmp_path / "own" / "videos", films.model(), tmp_path / "own" / "gallery").close()
    return tmp_path / "own"


def opened(folder: Path) -> Gallery:
    return Gallery.open(folder, films.model())


def moments(gallery: Gallery, path: str = "clip.mp4") -> list[tuple[float | None, float | None]]:
    found = gallery.search(QUERY, 99, f"path={path}", all_moments=True)
    # The last frame is shown for as long as the container says.
    return sorted((each.start, each.end and math.ceil(each.end)) for each in found)  # type: ignore[type-var]


class TestAnswers:
    def test_one_of_each_video_unless_all_are_asked_for(self, folder: Path, original: Path) -> None:
        with opened(folder) as gallery:
            every = gallery.search(QUERY, 99, all_moments=True)
            assert len(every) == 9 and moments(gallery) == [*TIMES]
            found = gallery.search(QUERY, 99)
            assert sorted(result.path for result in found) == sorted(
                ["clip.mp4", "more/other.mkv", "short.mp4", "0.png", "1.png", "2.png"]
            )
            best = {path: next(result for result in every if result.path == path) for path in map(_path, found)}
            assert [result.number for result in found] == [best[result.path].number for result in found]
            assert [result.rank for result in found] == [1, 2, 3, 4, 5, 6]
            for k in (1, 3, 6):
                assert [result.number for result in gallery.search(QUERY, k)] == [each.number for each in found[:k]]
            several = gallery.search([QUERY, "de blue 1"], 3)
            assert [*map(names_of, several)] == [names_of(gallery.search(each, 3)) for each in (QUERY, "de blue 1")]

    def test_an_answer_names_its_time(self, folder: Path, original: Path) -> None:
        with opened(folder) as gallery:
            shots = {each.start: each for each in gallery.search(QUERY, 9, "path=clip.mp4", all_moments=True)}
            assert [shots[start].label for start, _ in TIMES] == [f"clip.mp4 at {label}" for label in LABELS]
            assert {each.file for each in shots.values()} == {original / "videos" / "clip.mp4"}
            small = [gallery.thumbnail(shots[start]) for start, _ in TIMES]
            assert [colour(picture) for picture in small if picture] == [*films.SCENES]
            [whole] = gallery.search(QUERY, 1, "path=short.mp4")
            assert (whole.start, whole.end, whole.label) == (None, None, "short.mp4")

    def test_a_shot_has_the_views_of_its_own_frames(self, folder: Path, original: Path) -> None:
        path, encoder = original / "videos" / "clip.mp4", films.model()
        rows = [{"id": "a", "image": None, "video": str(path), "span": span} for span in find_shots(path)]
        views = encoder.views([encoder.prepare(each) for each in rows], [None] * 3)
        query = encoder.texts([QUERY])[0]
        expected = [pytest.approx(float((own @ query).max()), abs=1e-6) for own in views]
        found = opened(folder).search(QUERY, 9, "path=clip.mp4", all_moments=True)
        assert [each.score for each in sorted(found, key=lambda each: each.start or 0)] == expected

    def test_on_the_command_line(self, folder: Path) -> None:
        table = run("search", folder, QUERY, "-k", 9)
        assert table.exit_code == 0, table.output
        assert len(table.stdout.splitlines()) == 7 and table.stdout.count("clip.mp4 at 0:") == 1
        assert "9 items were requested, but the gallery has 6" in table.stderr
        every = run("search", folder, QUERY, "-k", 9, "--all-moments")
        assert len(every.stdout.splitlines()) == 10
        assert [every.stdout.count(f"clip.mp4 at {label}") for label in LABELS] == [1, 1, 1]
        assert "requested" not in every.stderr
        lines = run("search", folder, "--all-moments", "--json", "--filter", "path=clip.mp4", input=QUERY).stdout
        results = {each["start"]: each for each in json.loads(lines)["results"]}
        assert [(start, results[start]["end"]) for start in sorted(results)] == [*TIMES]
        assert results[8]["label"] == "clip.mp4 at 0:08–0:17" and results[8]["path"] == "clip.mp4"

    def test_a_filter_by_time(self, folder: Path) -> None:
        with opened(folder) as gallery:
            found = gallery.search(QUERY, 9, "start>=8 and path=clip.mp4", all_moments=True)
            assert sorted(each.start or 0 for each in found) == [8, 17]
            assert [each.start for each in gallery.search(QUERY, 9, "path=clip.mp4 and end<0:10")] == [0]
            assert len(gallery.search(QUERY, 9, "start>=0")) == 2, "what is no shot has no start"
            for wrong in ("start=8", "start>soon", "end~1", "start>-1", "start>1:2:3:4"):
                with pytest.raises(UserError, match=r"in seconds or as 1:23"):
                    gallery.search(QUERY, 9, wrong)

    def test_a_film_of_many_shots_does_not_push_others_out(self, tmp_path: Path) -> None:
        film(tmp_path / "v" / "film.mp4", ["red", "blue"] * 12, [1, 1] * 12)
        paint(tmp_path / "v" / "a.png", 1)
        with Gallery.build(tmp_path / "v", films.model(), tmp_path / "g") as gallery:
            assert len(gallery) > 20
            for query in tiny_gallery.QUERIES[:2]:
                assert sorted(map(_path, gallery.search(query, 2))) == ["a.png", "film.mp4"]
                assert len(gallery.search(query, 3)) == 2

    def test_a_picture_as_the_query(self, folder: Path, original: Path) -> None:
        found = opened(folder).search_by_image(original / "videos" / "0.png", 9)
        assert len(found) == 6
        assert len(opened(folder).search_by_image(original / "videos" / "clip.mp4", 9, all_moments=True)) == 9


def _path(result: Any) -> str:
    return str(result.path)


class TestWaysToDivide:
    def test_a_grid(self, original: Path, tmp_path: Path) -> None:
        result = run(
            "index", original / "videos", "--model", original / "model", "--out", tmp_path / "g", "--shots", 10
        )
        assert result.exit_code == 0, result.output
        with opened(tmp_path / "g") as gallery:
            assert moments(gallery) == [(0, 10), (10, 20), (20, 27)]
            assert gallery.add(original / "videos").unchanged == 6
        info = run("gallery", "info", tmp_path / "g").stdout
        assert "shots    5 of 2 long videos, --shots 10\n" in info

    def test_none(self, original: Path, tmp_path: Path) -> None:
        with Gallery.build(original / "videos", films.model(), tmp_path / "g", shots="none") as gallery:
            assert moments(gallery) == [(None, None)]
            assert len(gallery) == 6

    def test_a_gallery_keeps_its_way(self, original: Path, folder: Path) -> None:
        again = ("index", original / "videos", "--model", original / "model", "--out", folder)
        assert "6 unchanged" in run(*again).stdout
        result = run(*again, "--shots", "none")
        assert result.exit_code == 2
        assert "was built with --shots auto, and not none: leave the option out, or index the videos into another" in (
            " ".join(result.stderr.split())
        )

    def test_no_way(self, original: Path, tmp_path: Path) -> None:
        result = run("index", original / "videos", "--model", original / "model", "--out", tmp_path, "--shots", "often")
        assert result.exit_code == 2 and "--shots is 'often', but has to be auto, none, or" in result.stderr

    def test_rows_of_a_data_set(self, original: Path, tmp_path: Path) -> None:
        path = str(original / "videos" / "clip.mp4")
        write_rows(tmp_path / "data", "test", [row("a", image=None, video=path), row("b")])
        with Gallery.build(tmp_path / "data", films.model(), tmp_path / "g") as gallery:
            assert len(gallery) == 4
            found = gallery.search(QUERY, 9, all_moments=True)
            assert sorted(names_of(found)) == ["a#t=0,8", "a#t=17,27", "a#t=8,17", "b"]
            assert gallery.add(tmp_path / "data").unchanged == 2
            assert [item.id for item in gallery.remove(["a#t=8,17"])] == ["a"]
            assert len(gallery) == 1

    def test_threads_and_processes_divide_alike(self, original: Path, tmp_path: Path, folder: Path) -> None:
        options = {"batch_size": 2, "workers": 2, "processes": True}
        with Gallery.build(original / "videos", films.model(), tmp_path / "p", **options) as gallery:
            ours = sorted(contents(gallery.folder)[:-3])
        assert [each[:5] for each in ours] == [each[:5] for each in sorted(contents(folder)[:-3])]


class TestOneFile:
    """Removal, addition and checks take a long video for one file."""

    @pytest.mark.parametrize("name", ["clip.mp4", "clip.mp4#t=8,17", "{original}/videos/clip.mp4"])
    def test_removal(self, folder: Path, original: Path, name: str) -> None:
        result = run("gallery", "remove", folder, name.format(original=original))
        assert result.exit_code == 0, result.output
        assert "1 removed; the gallery" in result.stdout and "has 6 items" in result.stdout
        with opened(folder) as gallery:
            assert moments(gallery) == []
            assert gallery.check(files=True).problems == []
            with gallery.catalogue.reading() as connection:
                assert connection.execute("SELECT count(*) FROM moments").fetchone() == (2,)

    def test_removal_by_a_filter(self, folder: Path) -> None:
        with opened(folder) as gallery:
            removed = gallery.remove(where="start>10")
            assert sorted(item.id for item in removed) == ["clip.mp4", "more/other.mkv"]
            assert len(gallery) == 4

    def test_removal_of_its_folder(self, folder: Path, original: Path) -> None:
        with opened(folder) as gallery:
            assert [item.id for item in gallery.remove(["more"])] == ["more/other.mkv"]
            assert len(gallery) == 7

    def test_a_changed_video_is_replaced_as_a_whole(self, own: Path) -> None:
        film(own / "videos" / "clip.mp4", ("green", "blue"), (11, 13))
        with opened(own / "gallery") as gallery:
            report = gallery.add(own / "videos")
            assert (report.added, report.replaced, report.unchanged) == (0, 1, 5)
            assert moments(gallery) == [(0, 11), (11, 24)]
            assert len(gallery) == 8 and gallery.check(files=True).problems == []
            write_video(own / "videos" / "clip.mp4", ["red"] * 30)
            assert gallery.add(own / "videos" / "clip.mp4").replaced == 1
            assert moments(gallery) == [(None, None)]
            assert len(gallery) == 7 and gallery.check(files=True).problems == []
            film(own / "videos" / "clip.mp4")
            assert gallery.add(own / "videos").replaced == 1
            assert moments(gallery) == [*TIMES]
            assert gallery.check(files=True).problems == []

    def test_nothing_is_decoded_twice(self, folder: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("leccr.gallery.incoming.find_shots", lambda path, shots: pytest.fail(f"{path} was opened"))
        assert opened(folder).add(original / "videos").unchanged == 6

    def test_a_missing_video_is_one_problem(self, own: Path) -> None:
        (own / "videos" / "clip.mp4").unlink()
        [problem] = opened(own / "gallery").check().problems
        assert problem.startswith("1 files are missing, such as clip.mp4; ")

    def test_damaged_shots_are_repaired(self, own: Path) -> None:
        folder = own / "gallery"
        before = sorted(map(str, contents(folder)[:-3]))
        with opened(folder) as gallery:
            found = gallery.search(QUERY, 9, "path=clip.mp4", all_moments=True)
            with gallery.catalogue.writing() as connection:
                numbers = [(each.number,) for each in found[:2]]
                connection.executemany("UPDATE items SET checksum = checksum + 1 WHERE number = ?", numbers)
                connection.execute("UPDATE thumbnails SET picture = X'00' WHERE number = ?", (found[2].number,))
            assert gallery.check(repair=True).problems == []
            assert moments(gallery) == [*TIMES] and len(gallery) == 9
        assert sorted(map(str, contents(folder)[:-3])) == before

    def test_a_broken_thumbnail_is_that_of_the_shot_again(self, own: Path) -> None:
        with opened(own / "gallery") as gallery:
            [blue] = gallery.search(QUERY, 9, "path=clip.mp4 and start>=8 and end<18")
            with gallery.catalogue.writing() as connection:
                connection.execute("UPDATE thumbnails SET picture = X'00' WHERE number = ?", (blue.number,))
            assert gallery.check(repair=True).problems == []
            again = gallery.thumbnail(blue)
            assert again is not None and colour(again) == "blue"


class TestBadInput:
    def test_one_broken_shot_leaves_the_whole_video_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from leccr.gallery import incoming

        real = incoming.open_frames

        def open_frames(path: Any, count: int, background: str, span: Any = None) -> Any:
            if span and span.start > 10:
                raise UserError(f"{path} cannot be decoded as a video; replace or remove it.")
            return real(path, count, background, span)

        monkeypatch.setattr(incoming, "open_frames", open_frames)
        film(tmp_path / "v" / "clip.mp4")
        paint(tmp_path / "v" / "a.png", 1)
        with Gallery.build(tmp_path / "v", films.model(), tmp_path / "g") as gallery:
            assert len(gallery) == 1 and gallery.report is not None
            [(name, reason)] = gallery.report.broken
            assert name == "clip.mp4" and "cannot be decoded as a video" in reason

    def test_one_undefined_shot_leaves_the_whole_video_out(self, tmp_path: Path) -> None:
        broken = tiny_gallery.encoder(num_frames=2)
        real = broken.views
        broken.views = lambda *arguments: [own * np.nan for own in real(*arguments)]  # type: ignore[method-assign]
        film(tmp_path / "v" / "clip.mp4")
        with pytest.raises(UserError, match="the first is clip.mp4: The model returns infinite or undefined numbers"):
            Gallery.build(tmp_path / "v", broken, tmp_path / "g")

    def test_a_model_of_pictures_says_so(self, tmp_path: Path) -> None:
        film(tmp_path / "v" / "clip.mp4")
        with pytest.raises(UserError, match="It is a video, but the gallery's model takes pictures only"):
            Gallery.build(tmp_path / "v", tiny_gallery.encoder(), tmp_path / "g")
