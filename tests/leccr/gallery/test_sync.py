"""Galleries that follow their folders, through Python and through the command line."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery.store.words import plain_words

from . import tiny_gallery
from .following import Counting, counts, ids, views_by_id


def test_nothing_has_changed(followed: tuple[Gallery, Path], counting: Counting) -> None:
    gallery, _ = followed
    before = gallery.state
    assert counts(gallery.sync()) == {"unchanged": 12}
    assert counting.encoded == 0
    assert gallery.state == before


def test_new_changed_and_deleted_files(followed: tuple[Gallery, Path], counting: Counting) -> None:
    gallery, folder = followed
    tiny_gallery.paint(folder / "new" / "orange.png", 77)
    tiny_gallery.paint(folder / "green1.png", 78)
    (folder / "blue2.png").unlink()
    assert counts(gallery.sync()) == {"added": 1, "replaced": 1, "removed": 1, "unchanged": 10}
    assert counting.encoded == 2
    assert "new/orange.png" in ids(gallery) and "blue2.png" not in ids(gallery)
    assert "blue2.png" not in tiny_gallery.names_of(gallery.search("en blue 1", 20))
    assert gallery.check().problems == []


def rename(folder: Path) -> None:
    (folder / "green1.png").rename(folder / "other.png")


def move(folder: Path) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "green1.png").rename(folder / "deep" / "er" / "green1.png")


def move_folder(folder: Path) -> None:
    (folder / "holiday").rename(folder / "summer")


def swap(folder: Path) -> None:
    (folder / "green1.png").rename(folder / "x.png")
    (folder / "blue2.png").rename(folder / "green1.png")
    (folder / "x.png").rename(folder / "blue2.png")


def shift(folder: Path) -> None:
    """One takes the place of another, which takes a new one."""
    (folder / "blue2.png").rename(folder / "new.png")
    (folder / "green1.png").rename(folder / "blue2.png")


def replace(folder: Path) -> None:
    """One takes the place of another, which is gone."""
    os.replace(folder / "green1.png", folder / "blue2.png")


def touch(folder: Path) -> None:
    os.utime(folder / "green1.png", (1, 1))


def rename_and_touch(folder: Path) -> None:
    rename(folder)
    os.utime(folder / "other.png", (1, 1))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (rename, {"moved": 1, "unchanged": 11}),
        (move, {"moved": 1, "unchanged": 11}),
        (move_folder, {"moved": 4, "unchanged": 8}),
        (swap, {"moved": 2, "unchanged": 10}),
        (shift, {"moved": 2, "unchanged": 10}),
        (replace, {"moved": 1, "removed": 1, "unchanged": 10}),
        (touch, {"unchanged": 12}),
        (rename_and_touch, {"moved": 1, "unchanged": 11}),
    ],
)
def test_moved_files_keep_their_views(
    followed: tuple[Gallery, Path], counting: Counting, change: Any, expected: dict[str, int]
) -> None:
    gallery, folder = followed
    (folder / "descriptions.jsonl").unlink()
    before = dict(zip(ids_by_content(folder).values(), ids_by_content(folder)))
    views = views_by_id(gallery)
    change(folder)
    assert counts(gallery.sync()) == expected
    assert counting.encoded == 0
    after = ids_by_content(folder)
    assert ids(gallery) == sorted(after.values())
    now = views_by_id(gallery)
    old = {content: name for name, content in before.items()}
    assert {name: now[name] for name in now} == {after[content]: views[old[content]] for content in after}
    assert gallery.check(files=True).problems == []
    assert counts(gallery.sync()) == {"unchanged": len(now)}
    assert all(plain_words(name) in text for name, text in words_by_id(gallery).items())


def words_by_id(gallery: Gallery) -> dict[str, str]:
    with gallery.catalogue.reading() as connection:
        return dict(connection.execute("SELECT id, text FROM items JOIN words ON words.rowid = number"))


def ids_by_content(folder: Path) -> dict[bytes, str]:
    return {path.read_bytes(): path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}


def test_a_copy_is_not_encoded(followed: tuple[Gallery, Path], counting: Counting) -> None:
    gallery, folder = followed
    (folder / "descriptions.jsonl").unlink()
    # One that never had a description.
    shutil.copy(folder / "holiday" / "red0.png", folder / "copy.png")
    tiny_gallery.paint(folder / "new1.png", 99)
    shutil.copy(folder / "new1.png", folder / "new2.png")
    assert counts(gallery.sync()) == {"added": 3, "unchanged": 12}
    assert counting.encoded == 1
    views = views_by_id(gallery)
    assert views["copy.png"] == views["holiday/red0.png"]
    assert views["new1.png"] == views["new2.png"]
    assert gallery.check(files=True).problems == []


def test_a_moved_folder_that_is_added_again_is_not_encoded(
    followed: tuple[Gallery, Path], counting: Counting, tmp_path: Path
) -> None:
    gallery, folder = followed
    folder.rename(tmp_path / "elsewhere")
    report = gallery.add(tmp_path / "elsewhere")
    assert (report.moved, report.added, report.unchanged, counting.encoded) == (12, 0, 0, 0)
    assert [location for _, location in gallery.sources.values()] == [str(tmp_path / "elsewhere")]
    assert counts(gallery.sync()) == {"unchanged": 12}


def test_files_move_between_two_folders(followed: tuple[Gallery, Path], counting: Counting, tmp_path: Path) -> None:
    gallery, folder = followed
    second = tmp_path / "second"
    tiny_gallery.paint(second / "first.png", 50)
    gallery.add(second)
    (folder / "green1.png").rename(second / "green1.png")
    assert counts(gallery.sync()) == {"moved": 1, "unchanged": 12}
    assert counting.encoded == 1
    assert gallery.search("en green 1", 20)[0].file is not None
    assert gallery.check(files=True).problems == []


def test_patterns_are_remembered_and_counted(followed: tuple[Gallery, Path], counting: Counting) -> None:
    gallery, folder = followed
    for name in ("@eaDir/a.png", "#recycle/b.png", ".Trash-1000/c.png", "$RECYCLE.BIN/d.png", ".hidden/e.png"):
        tiny_gallery.paint(folder / name, 80)
    (folder / ".leccrignore").write_text("blue*\n")
    report = gallery.sync(exclude=["green*"])
    assert report.ignored == {"system folder": 4, "hidden": 1, ".leccrignore": 1, "--exclude": 1}
    assert counts(report) == {"excluded": 2, "unchanged": 10}
    tiny_gallery.paint(folder / "green99.png", 81)
    assert counts(gallery.sync()) == {"unchanged": 10}
    assert counts(gallery.sync(exclude=["!green*"])) == {"added": 2, "unchanged": 10}
    assert any("Left out 4 files in folders that a NAS" in sentence for sentence in report.remarks)


def test_animations_stay_what_they_are(tmp_path: Path) -> None:
    encoder = tiny_gallery.encoder(num_frames=2)
    pictures = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    (tmp_path / "p").mkdir()
    pictures[0].save(tmp_path / "p" / "a.gif", save_all=True, append_images=pictures[1:])
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g", frames=True) as gallery:
        assert counts(gallery.sync()) == {"unchanged": 1}
        (tmp_path / "p" / "a.gif").rename(tmp_path / "p" / "b.gif")
        assert counts(gallery.sync()) == {"moved": 1}
        assert gallery.search("en red 1", where="kind=video")[0].id == "b.gif"


def test_a_new_description_is_encoded(followed: tuple[Gallery, Path], counting: Counting) -> None:
    gallery, folder = followed
    (folder / "holiday" / "red0.png").rename(folder / "red.png")
    tiny_gallery.describe(folder, ["red.png"])
    assert counts(gallery.sync()) == {"replaced": 1, "moved": 1, "unchanged": 10}
    assert counting.encoded == 1


def test_data_sets_only(followed: tuple[Gallery, Path]) -> None:
    gallery, _ = followed
    with gallery.catalogue.writing() as connection:
        connection.execute("UPDATE sources SET kind = 'data'")
    with pytest.raises(UserError, match="has no folders to follow"):
        gallery.sync()
