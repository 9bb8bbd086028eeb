"""Galleries that follow their folders while these change."""

import errno
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery, watch
from leccr.models.encoder import Encoder

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
