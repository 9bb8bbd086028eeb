import json
from pathlib import Path
from typing import Any

import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery.manage import size_of
from processing.shots import find_shots
from processing.storage import write_rows
from processing.video import open_frames
from tests.leccr.gallery import films, tiny_gallery
from tests.leccr.gallery.films import LABELS, TIMES, colour, film, moments, opened
from tests.leccr.gallery.tiny_gallery import contents, names_of, paint, run
from tests.tiny_data import row

QUERY = "en red 1"


class TestAnswers:
    def test_one_of_each_video_unless_all_are_asked_for(self, film_gallery: Path, filmed: Path) -> None:
        with opened(film_gallery) as gallery:
            every = gallery.search(QUERY, 99, all_moments=True)
            assert len(every) == 9 and moments(gallery) == [*TIMES]
            assert size_of(gallery) == "9 items, 5 of them shots of 2 long videos"
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

    def test_an_answer_names_its_time(self, film_gallery: Path, filmed: Path) -> None:
        with opened(film_gallery) as gallery:
            shots = {each.start: each for each in gallery.search(QUERY, 9, "path=clip.mp4", all_moments=True)}
            assert [shots[start].label for start, _ in TIMES] == [f"clip.mp4 at {label}" for label in LABELS]
            assert {each.file for each in shots.values()} == {filmed / "videos" / "clip.mp4"}
            small = [gallery.thumbnail(shots[start]) for start, _ in TIMES]
            assert [colour(picture) for picture in small if picture] == [*films.SCENES]
            [whole] = gallery.search(QUERY, 1, "path=short.mp4")
            assert (whole.start, whole.end, whole.label) == (None, None, "short.mp4")

    def test_a_shot_has_the_views_of_its_own_frames(self, film_gallery: Path, filmed: Path) -> None:
        path, encoder = filmed / "videos" / "clip.mp4", films.model()
        rows = [{"id": "a", "image": None, "video": str(path), "span": span} for span in find_shots(path)]
        views = encoder.views([encoder.prepare(each) for each in rows], [None] * 3)
        query = encoder.texts([QUERY])[0]
        expected = [pytest.approx(float((own @ query).max()), abs=1e-6) for own in views]
        found = opened(film_gallery).search(QUERY, 9, "path=clip.mp4", all_moments=True)
        assert [each.score for each in sorted(found, key=lambda each: each.start or 0)] == expected

    def test_on_the_command_line(self, film_gallery: Path) -> None:
        table = run("search", film_gallery, QUERY, "-k", 9, "--all")
        assert table.exit_code == 0, table.output
        assert len(table.stdout.splitlines()) == 7 and table.stdout.count("clip.mp4 at 0:") == 1
        assert "9 items were requested, but the gallery has 6" in table.stderr
        every = run("search", film_gallery, QUERY, "-k", 9, "--all-moments")
        assert len(every.stdout.splitlines()) == 10
        assert [every.stdout.count(f"clip.mp4 at {label}") for label in LABELS] == [1, 1, 1]
        assert "requested" not in every.stderr
        lines = run("search", film_gallery, "--all-moments", "--json", "--filter", "path=clip.mp4", input=QUERY).stdout
        results = {each["start"]: each for each in json.loads(lines)["results"]}
        assert [(start, results[start]["end"]) for start in sorted(results)] == [*TIMES]
        assert results[8]["label"] == "clip.mp4 at 0:08–0:17" and results[8]["path"] == "clip.mp4"

    def test_a_filter_by_time(self, film_gallery: Path) -> None:
        with opened(film_gallery) as gallery:
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

    def test_a_picture_as_the_query(self, film_gallery: Path, filmed: Path) -> None:
        found = opened(film_gallery).search_by_image(filmed / "videos" / "0.png", 9)
        assert len(found) == 6
        assert len(opened(film_gallery).search_by_image(filmed / "videos" / "clip.mp4", 9, all_moments=True)) == 9


def _path(result: Any) -> str:
    return str(result.path)


class TestWaysToDivide:
    def test_a_grid(self, filmed: Path, tmp_path: Path) -> None:
        result = run("index", filmed / "videos", "--model", filmed / "model", "--out", tmp_path / "g", "--shots", 10)
        assert result.exit_code == 0, result.output
        with opened(tmp_path / "g") as gallery:
            assert moments(gallery) == [(0, 10), (10, 20), (20, 27)]
            assert gallery.add(filmed / "videos").unchanged == 6
        info = run("gallery", "info", tmp_path / "g").stdout
        assert "shots    5 of 2 long videos, --shots 10\n" in info

    def test_none(self, filmed: Path, tmp_path: Path) -> None:
        with Gallery.build(filmed / "videos", films.model(), tmp_path / "g", shots="none") as gallery:
            assert moments(gallery) == [(None, None)]
            assert len(gallery) == 6

    def test_a_gallery_keeps_its_way(self, filmed: Path, film_gallery: Path) -> None:
        again = ("index", filmed / "videos", "--model", filmed / "model", "--out", film_gallery)
        assert "6 unchanged" in run(*again).stdout
        result = run(*again, "--shots", "none")
        assert result.exit_code == 2
        assert "was built with --shots auto, and not none: leave the option out, or index the videos into another" in (
            " ".join(result.stderr.split())
        )

    def test_no_way(self, filmed: Path, tmp_path: Path) -> None:
        result = run("index", filmed / "videos", "--model", filmed / "model", "--out", tmp_path, "--shots", "often")
        assert result.exit_code == 2 and "--shots is 'often', but has to be auto, none, or" in result.stderr

    def test_a_model_of_pictures_sees_the_middle_of_each_shot(self, filmed: Path, tmp_path: Path) -> None:
        encoder = tiny_gallery.encoder()
        with Gallery.build(filmed / "videos", encoder, tmp_path / "g") as gallery:
            assert moments(gallery) == [*TIMES]
            found = gallery.search(QUERY, 9, "path=clip.mp4", all_moments=True)
            path = filmed / "videos" / "clip.mp4"
            frames = {span.start: open_frames(path, 1, span=span)[0] for span in find_shots(path)}
            rows = {start: {"id": "a", "image": frame, "video": None} for start, frame in frames.items()}
            for each in found:
                own = encoder.views([encoder.prepare(rows[each.start or 0.0])], [None])[0]
                assert each.score == pytest.approx(float((own @ encoder.texts([QUERY])[0]).max()), abs=1e-6)
            assert len(gallery.search_by_image(filmed / "videos" / "clip.mp4", 3)) == 3

    def test_rows_of_a_data_set(self, filmed: Path, tmp_path: Path) -> None:
        path = str(filmed / "videos" / "clip.mp4")
        write_rows(tmp_path / "data", "test", [row("a", image=None, video=path), row("b")])
        with Gallery.build(tmp_path / "data", films.model(), tmp_path / "g") as gallery:
            assert len(gallery) == 4
            found = gallery.search(QUERY, 9, all_moments=True)
            assert sorted(names_of(found)) == ["a#t=0,8", "a#t=17,27", "a#t=8,17", "b"]
            assert gallery.add(tmp_path / "data").unchanged == 2
            assert [item.id for item in gallery.remove(["a#t=8,17"])] == ["a"]
            assert len(gallery) == 1

    def test_threads_and_processes_divide_alike(self, filmed: Path, tmp_path: Path, film_gallery: Path) -> None:
        options = {"batch_size": 2, "workers": 2, "processes": True}
        with Gallery.build(filmed / "videos", films.model(), tmp_path / "p", **options) as gallery:
            ours = sorted(contents(gallery.folder)[:-3])
        assert [each[:5] for each in ours] == [each[:5] for each in sorted(contents(film_gallery)[:-3])]
