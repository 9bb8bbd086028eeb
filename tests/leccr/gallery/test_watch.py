"""Galleries that follow their folders while these change."""

import contextlib
import errno
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from leccr.__main__ import main
from leccr.errors import UserError
from leccr.gallery import Gallery, watch
from leccr.models.encoder import Encoder
from tests import crashes

from . import tiny_gallery


def test_changes_are_followed(
    folder: Path, photos: Path, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "TICK", 50)
    own = Path(shutil.copytree(photos, tmp_path / "photos"))
    stop = threading.Event()
    with Gallery.open(folder, encoder) as gallery:
        gallery.relocate(photos, own)
        reports = gallery.watch(stop)
        assert next(reports).unchanged == 12
        (own / "green1.png").rename(own / "moved.png")
        # Several events may come one by one.
        assert any(report.moved == 1 for report in reports)
        (own / ".leccrignore").write_text("[z-a]")
        assert any("is none" in reason for report in reports for _, reason in report.broken)
        (own / ".leccrignore").unlink()
        (own / "blue2.png").unlink()
        assert any(report.removed == 1 for report in reports)
        stop.set()
        assert list(reports) == []
        assert len(gallery) == 11


def test_the_gallery_s_own_files_are_no_change(encoder: Encoder, tmp_path: Path) -> None:
    pictures = tiny_gallery.photos(tmp_path / "p", 3, described=False)
    stop = threading.Event()
    with Gallery.build(pictures, encoder, pictures / "gallery") as gallery:
        reports = gallery.watch(stop)
        assert next(reports).unchanged == 3
        tiny_gallery.paint(pictures / "new.png", 8)
        assert any(report.added == 1 for report in reports)
        timer = threading.Timer(2.5, stop.set)
        timer.start()
        assert list(reports) == []


def test_nothing_to_watch(folder: Path, encoder: Encoder) -> None:
    with Gallery.open(folder, encoder) as gallery:
        with gallery.catalogue.writing() as connection:
            connection.execute("DELETE FROM followed")
        with pytest.raises(UserError, match="no folder that can be watched"):
            next(gallery.watch())


def test_a_disk_that_is_full_does_not_end_it(
    folder: Path, photos: Path, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, stop = Path(shutil.copytree(photos, tmp_path / "photos")), threading.Event()
    with Gallery.open(folder, encoder) as gallery:
        gallery.relocate(photos, own)
        tiny_gallery.paint(own / "new.png", 8)

        def fail(*arguments: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        reports = gallery.watch(stop)
        with monkeypatch.context() as patch:
            patch.setattr("leccr.gallery.store.storage.FileStorage.append", fail)
            assert "the disk is full" in next(reports).broken[0][1].lower()
        (own / "other.txt").touch()
        assert any(report.added == 1 for report in reports)
        stop.set()


def watch_from_the_command_line(gallery: Path, folder: Path) -> None:
    """Run `leccr gallery sync --watch`, which writes to the files `said` and `errors`."""
    sys.argv = ["leccr", "gallery", "sync", str(gallery), "--watch"]
    with (
        (folder / "said").open("w") as said,
        (folder / "errors").open("w") as errors,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(errors),
    ):
        main()


@crashes.needs_forks
def test_the_command_line(own: Path, tmp_path: Path) -> None:
    photos, said = own / "photos", tmp_path / "said"
    with Gallery.open(own / "gallery") as gallery:
        gallery.relocate(gallery.sources[1][1], photos)
    child = crashes.start(watch_from_the_command_line, gallery=own / "gallery", folder=tmp_path)

    def is_said(text: str) -> bool:
        while child.process.is_alive() and not (said.exists() and text in said.read_text()):
            time.sleep(0.05)
        return text in said.read_text()

    assert is_said("Watching the folders; Ctrl-C ends.\n"), said.read_text()
    assert "0 added, 0 replaced, 12 unchanged." in said.read_text()
    (photos / "green1.png").rename(photos / "moved.png")
    assert is_said("1 moved"), said.read_text()
    assert child.process.pid is not None
    os.kill(child.process.pid, signal.SIGINT)
    child.process.join(crashes.SECONDS)
    assert child.process.exitcode == 130 and (tmp_path / "errors").read_text().endswith("Interrupted.\n")
    assert len(Gallery.open(own / "gallery")) == 12
