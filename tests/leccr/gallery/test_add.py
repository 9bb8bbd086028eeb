import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PillowImage

from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from processing.notes import QUIET_VARIABLE
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.tiny_gallery import (
    contents,
    describe,
    paint,
)


def test_the_same_twice_changes_nothing(gallery: Gallery, photos: Path) -> None:
    before = contents(gallery.folder)
    report = gallery.add(photos)
    assert (report.added, report.replaced, report.unchanged) == (0, 0, 12)
    report = gallery.add(photos / "green1.png")
    assert (report.added, report.replaced, report.unchanged) == (0, 0, 1)
    assert contents(gallery.folder) == before


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_shows_no_progress_bar(
    gallery: Gallery, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    monkeypatch.setenv(QUIET_VARIABLE, str(int(quiet)))
    gallery.add(photos)
    assert not gallery.check(files=True).problems
    said = capsys.readouterr().err
    assert [bar in said for bar in ("Indexing", "Checking files")] == [not quiet] * 2


def test_processes_decode_what_threads_do(photos: Path, encoder: Encoder, tmp_path: Path) -> None:
    own_photos = Path(shutil.copytree(photos, tmp_path / "photos"))
    (own_photos / "broken.png").write_bytes(b"text")
    options: list[dict[str, Any]] = [{}, {"workers": 2, "processes": True}]
    threads, processes = (
        Gallery.build(own_photos, encoder, tmp_path / str(len(own)), batch_size=5, **own) for own in options
    )
    assert contents(processes.folder) == contents(threads.folder)
    assert threads.report and processes.report and processes.report.broken == threads.report.broken
    assert [name for name, _ in processes.report.broken] == ["broken.png"]


def test_how_busy_the_model_was_is_said_if_it_took_long(
    photos: Path, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(name: str) -> str:
        report = Gallery.build(photos, encoder, tmp_path / name).report
        assert report is not None
        return report.busy

    assert busy("short") == ""
    monkeypatch.setattr("leccr.models.encoder.WORTH_SAYING", 0.0)
    for enough, said in ((0.0, "of the time."), (2.0, "more --workers may help")):
        monkeypatch.setattr("leccr.models.encoder.ENOUGH", enough)
        assert said in busy(str(enough))


def test_unchanged_files_are_not_read_again(gallery: Gallery, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leccr.gallery.candidates.hash_file", lambda path: pytest.fail(f"{path} was read"))
    assert gallery.add(photos).unchanged == 12


def test_a_new_time_alone_changes_nothing(tmp_path: Path, encoder: Encoder) -> None:
    path = paint(tmp_path / "p" / "a.png", 1)
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
        before = contents(gallery.folder)
        os.utime(path, ns=(1, 10**18))
        report = gallery.add(tmp_path / "p")
        assert (report.replaced, report.unchanged) == (0, 1)
        assert contents(gallery.folder) == before
        assert gallery.search("red", 1)[0].time == 10**18, "so that it is not read the next time"


def test_a_time_beyond_64_bits_is_stored_as_the_last_one(tmp_path: Path, encoder: Encoder) -> None:
    path = paint(tmp_path / "p" / "a.png", 1)
    os.utime(path, ns=(0, 2**63 + 10**10))
    if path.stat().st_mtime_ns < 2**63:
        pytest.skip("this file system stores no such times")
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
        assert gallery.search("red", 1)[0].time == 2**63 - 1
        assert gallery.add(tmp_path / "p").unchanged == 1
        assert gallery.check().problems == []


def test_changed_files_and_descriptions_are_replaced(tmp_path: Path, encoder: Encoder, photos: Path) -> None:
    own = Path(shutil.copytree(photos, tmp_path / "photos"))
    with Gallery.build(own, encoder, tmp_path / "g") as gallery:
        paint(own / "green1.png", 99)
        describe(own, ["blue2.png", "holiday/red0.png"])
        report = gallery.add(own)
        assert (report.added, report.replaced, report.unchanged) == (0, 2, 10)
        assert len(gallery) == 12
        assert gallery.state.positions == 14
        assert len(gallery.search("en red 1", 100)) == 12
    fresh = Gallery.build(own, encoder, tmp_path / "fresh")
    described = {item[0]: item[5] for item in contents(fresh.folder)[:12]}
    changed = {item[0]: item for item in contents(gallery.folder)[:12]}
    assert changed["holiday/red0.png"][5] == described["holiday/red0.png"]
    assert changed["gray5.png"][5] is not None, "a description is not lost because it is not given again"


def test_many_holes_are_closed(tmp_path: Path, encoder: Encoder, photos: Path) -> None:
    own = Path(shutil.copytree(photos, tmp_path / "photos"))
    with Gallery.build(own, encoder, tmp_path / "g") as gallery:
        for index in range(4):
            paint(own / f"{('green1', 'blue2', 'black4', 'gray5')[index]}.png", 100 + index)
        gallery.add(own)
        assert (gallery.state.positions, gallery.state.generation) == (12, 2)
        assert sorted(path.name for path in gallery.folder.iterdir()) == [
            "gallery.sqlite",
            "views-2.fp32",
            "views-2.map",
        ]
        fresh = Gallery.build(own, encoder, tmp_path / "fresh")
        assert sorted(contents(gallery.folder)[:12]) == sorted(contents(fresh.folder)[:12])


def test_broken_files_are_listed_and_the_others_added(tmp_path: Path, encoder: Encoder, photos: Path) -> None:
    own = Path(shutil.copytree(photos, tmp_path / "photos"))
    (own / "text.jpg").write_text("a text, not a photo")
    (own / "empty.png").touch()
    (own / "cut.png").write_bytes((own / "green1.png").read_bytes()[:100])
    PillowImage.new("1", (10001, 10000)).save(own / "large.png")
    (own / "clip.mp4").touch()
    with Gallery.build(own, encoder, tmp_path / "g") as gallery:
        assert len(gallery) == 12
        assert gallery.report is not None
        reasons = dict(gallery.report.broken)
    assert sorted(reasons) == ["clip.mp4", "cut.png", "empty.png", "large.png", "text.jpg"]
    assert "text.jpg cannot be decoded as a picture" in reasons["text.jpg"]
    assert "large.png has more than 100 million pixels" in reasons["large.png"]
    assert "clip.mp4 cannot be decoded as a video" in reasons["clip.mp4"]


def test_a_decompression_bomb_is_left_out(tmp_path: Path, encoder: Encoder) -> None:
    paint(tmp_path / "p" / "good.png", 0)
    # 400 million pixels in a file of less than 1 MB, which would take 1.2 GB as RGB.
    PillowImage.new("1", (20000, 20000)).save(tmp_path / "p" / "bomb.png", compress_level=1)
    assert (tmp_path / "p" / "bomb.png").stat().st_size < 10**6
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
        assert gallery.report is not None
        assert [name for name, _ in gallery.report.broken] == ["bomb.png"]


def test_views_that_are_not_finite_are_left_out(tmp_path: Path, photos: Path) -> None:
    broken = tiny_gallery.encoder()
    real = broken.model.get_image_views

    def views(**inputs: Any) -> torch.Tensor:
        found = real(**inputs)
        found[0, 1, 2] = float("nan")
        return found

    broken.model.get_image_views = views
    with Gallery.build(photos, broken, tmp_path / "g", batch_size=6) as gallery:
        assert len(gallery) == 10
        assert gallery.report is not None
        assert {reason for _, reason in gallery.report.broken} == {
            "The model returns infinite or undefined numbers for it."
        }
