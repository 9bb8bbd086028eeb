"""Addition, removal and checks take a long video for one file; and videos that are broken."""

import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from processing.video import Span
from tests.leccr.gallery import films, tiny_gallery
from tests.leccr.gallery.films import TIMES, colour, film, moments, opened
from tests.leccr.gallery.tiny_gallery import contents, paint, run
from tests.videos import write_video

QUERY = "en red 1"


@pytest.fixture
def own(filmed: Path, tmp_path: Path) -> Path:
    """A folder with videos that may be changed, and a `gallery` of them."""
    shutil.copytree(filmed / "videos", tmp_path / "own" / "videos")
    Gallery.build(tmp_path / "own" / "videos", films.model(), tmp_path / "own" / "gallery").close()
    return tmp_path / "own"


class TestOneFile:
    """Removal, addition and checks take a long video for one file."""

    @pytest.mark.parametrize("name", ["clip.mp4", "clip.mp4#t=8,17", "{filmed}/videos/clip.mp4"])
    def test_removal(self, film_gallery: Path, filmed: Path, name: str) -> None:
        result = run("gallery", "remove", film_gallery, name.format(filmed=filmed))
        assert result.exit_code == 0, result.output
        assert "1 removed; the gallery" in result.stdout and "has 6 items" in result.stdout
        with opened(film_gallery) as gallery:
            assert moments(gallery) == []
            assert gallery.check(files=True).problems == []
            with gallery.catalogue.reading() as connection:
                assert connection.execute("SELECT count(*) FROM moments").fetchone() == (2,)

    def test_removal_by_a_filter(self, film_gallery: Path) -> None:
        with opened(film_gallery) as gallery:
            removed = gallery.remove(where="start>10")
            assert sorted(item.id for item in removed) == ["clip.mp4", "more/other.mkv"]
            assert len(gallery) == 4

    def test_removal_of_its_folder(self, film_gallery: Path, filmed: Path) -> None:
        with opened(film_gallery) as gallery:
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

    def test_nothing_is_decoded_twice(self, film_gallery: Path, filmed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("leccr.gallery.incoming.find_shots", lambda path, shots: pytest.fail(f"{path} was opened"))
        assert opened(film_gallery).add(filmed / "videos").unchanged == 6

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

    def test_a_video_of_impossible_length_is_left_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It would make all answers with it an error."""
        monkeypatch.setattr("leccr.gallery.incoming.find_shots", lambda path, shots: [Span(0, 9e7), Span(9e7, 2e8)])
        paint(tmp_path / "v" / "a.png", 1)
        write_video(tmp_path / "v" / "long.mkv", ["red"] * 4)
        with Gallery.build(tmp_path / "v", films.model(), tmp_path / "g") as gallery:
            assert gallery.report is not None
            [(name, reason)] = gallery.report.broken
            assert name == "long.mkv" and "claims to last for more than three years" in reason
            assert [each.path for each in gallery.search(QUERY)] == ["a.png"]

    def test_a_video_without_a_duration(self, filmed: Path, tmp_path: Path) -> None:
        """A raw stream has no times at all; a recording that was not closed only lacks them in its header."""
        (tmp_path / "v").mkdir()
        with av.open(str(filmed / "videos" / "clip.mp4")) as container:
            bits = av.BitStreamFilterContext("h264_mp4toannexb", container.streams.video[0])
            raw = b"".join(bytes(part) for packet in container.demux(video=0) for part in bits.filter(packet))
        (tmp_path / "v" / "raw.mp4").write_bytes(raw)
        scenes = ["red"] * 100 + ["blue"] * 120
        write_video(tmp_path / "v" / "live.mkv", scenes, live="1")
        arguments = ("index", tmp_path / "v", "--model", filmed / "model", "--out", tmp_path / "g")
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        assert "1 left out:\n  raw.mp4 has no frames with a time" in result.stdout
        with opened(tmp_path / "g") as gallery:
            assert moments(gallery, "live.mkv") == [(0, 10), (10, 22)]
