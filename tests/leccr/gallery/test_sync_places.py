"""Folders that are away, cannot be read, or are found by another name, while a gallery follows them."""

import os
from pathlib import Path
from typing import Any

import pytest

from leccr.gallery import Gallery

from . import tiny_gallery
from .following import Counting, counts, ids


def test_missing_files_are_kept_and_marked(followed: tuple[Gallery, Path], counting: Counting, tmp_path: Path) -> None:
    gallery, folder = followed
    (folder / "green1.png").rename(tmp_path / "away.png")
    assert counts(gallery.sync(keep_missing=True)) == {"missing": 1, "unchanged": 11}
    marked = [result.id for result in gallery.search("en green 1", 20) if result.missing]
    assert marked == ["green1.png"]
    assert gallery.check().problems == []
    (tmp_path / "away.png").rename(folder / "back.png")
    assert counts(gallery.sync(keep_missing=True)) == {"moved": 1, "unchanged": 11}
    assert not any(result.missing for result in gallery.search("en green 1", 20))
    (folder / "back.png").unlink()
    gallery.sync(keep_missing=True)
    assert counts(gallery.sync()) == {"removed": 1, "unchanged": 11}
    assert counting.encoded == 0


@pytest.mark.parametrize("empty", [False, True])
def test_a_drive_that_is_not_there_costs_nothing(followed: tuple[Gallery, Path], tmp_path: Path, empty: bool) -> None:
    gallery, folder = followed
    folder.rename(tmp_path / "unplugged")
    if empty:
        folder.mkdir()
    report = gallery.sync()
    [(reason, count)] = report.unavailable.items()
    assert count == len(gallery) == 12 and str(folder) in reason
    assert counts(report) == {}


@pytest.mark.parametrize("left", [".DS_Store", ".Trashes", "lost+found"])
def test_a_drive_that_is_not_there_may_have_left_something(
    followed: tuple[Gallery, Path], tmp_path: Path, left: str
) -> None:
    gallery, folder = followed
    folder.rename(tmp_path / "unplugged")
    (folder / left).mkdir(parents=True)
    report = gallery.sync()
    assert report.unavailable.total() == len(gallery) == 12 and counts(report) == {}


def test_a_folder_in_the_place_of_a_file(followed: tuple[Gallery, Path]) -> None:
    gallery, folder = followed
    (folder / "green1.png").unlink()
    tiny_gallery.paint(folder / "green1.png" / "in.png", 90)
    assert counts(gallery.sync()) == {"added": 1, "removed": 1, "unchanged": 11}
    assert "green1.png" not in ids(gallery)


def test_a_file_has_one_item_whichever_link_leads_to_it(followed: tuple[Gallery, Path], counting: Counting) -> None:
    gallery, folder = followed
    (folder / "descriptions.jsonl").unlink()
    (folder / "again").symlink_to("holiday")
    gallery.sync()
    assert len(gallery) == 12 and counting.encoded == 0
    (folder / "again").unlink()
    gallery.sync()
    assert len(gallery) == 12 and counting.encoded == 0
    assert sum(name.startswith("holiday/") for name in ids(gallery)) == 4


def test_only_the_case_of_letters_has_changed(
    followed: tuple[Gallery, Path], counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that does not mind the case, the name of before leads to the file, too."""
    gallery, folder = followed

    def as_there(path: Any) -> Any:
        name, parent = os.path.basename(path), os.path.dirname(path)
        if str(path).startswith(str(folder)) and os.path.isdir(parent):
            return os.path.join(parent, {each.lower(): each for each in os.listdir(parent)}.get(name.lower(), name))
        return path

    numbers = {result.id: result.number for result in gallery.search("en red 1", 20)}
    (folder / "green1.png").rename(folder / "Green1.PNG")
    for call in ("stat", "lstat"):
        real = getattr(os, call)
        monkeypatch.setattr(os, call, lambda path, *args, real=real, **options: real(as_there(path), *args, **options))
    assert counts(gallery.sync()) == {"moved": 1, "unchanged": 11}
    assert counting.encoded == 0
    now = {result.id: result.number for result in gallery.search("en red 1", 20)}
    assert now.pop("Green1.PNG") == numbers.pop("green1.png") and now == numbers


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_costs_nothing(followed: tuple[Gallery, Path]) -> None:
    gallery, folder = followed
    (folder / "holiday").chmod(0)
    try:
        report = gallery.sync()
    finally:
        (folder / "holiday").chmod(0o755)
    assert counts(report) == {"unchanged": 8} and report.unavailable.total() == 4


def test_single_files_are_followed_without_their_folder(
    followed: tuple[Gallery, Path], counting: Counting, tmp_path: Path
) -> None:
    gallery, _ = followed
    single = tiny_gallery.paint(tmp_path / "else" / "single.png", 60)
    tiny_gallery.paint(tmp_path / "else" / "beside.png", 61)
    gallery.add(single)
    assert counts(gallery.sync()) == {"unchanged": 13}
    tiny_gallery.paint(single, 62)
    assert counts(gallery.sync()) == {"replaced": 1, "unchanged": 12}
    single.unlink()
    assert counts(gallery.sync()) == {"removed": 1, "unchanged": 12}
