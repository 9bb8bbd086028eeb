import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery.store.catalogue import read_state, write_state
from leccr.gallery.store.vectors import views_path
from leccr.gallery.store.view_map import map_path
from leccr.models.encoder import Encoder
from processing.storage import write_rows
from tests.leccr.gallery.tiny_gallery import NAMES, contents, paint
from tests.tiny_data import row


@pytest.fixture
def own(photos: Path, tmp_path: Path) -> Path:
    """Pictures that a test may change."""
    return Path(shutil.copytree(photos, tmp_path / "photos"))


@pytest.fixture
def mine(own: Path, encoder: Encoder, tmp_path: Path) -> Gallery:
    """A gallery of `own`."""
    return Gallery.build(own, encoder, tmp_path / "mine")


def overwrite(gallery: Gallery, position: int) -> None:
    """Damage the views at a position."""
    state = gallery.state
    with views_path(gallery.folder, state).open("r+b") as file:
        file.seek(position * state.view_count * state.width * 4 + 5)
        file.write(b"\xff")


def test_a_good_gallery_has_no_problems(gallery: Gallery) -> None:
    for options in ({}, {"files": True}, {"repair": True}):
        report = gallery.check(**options)
        assert (report.items, report.problems, report.repaired, report.removed) == (12, [], [], [])


def test_damaged_views_are_computed_again(mine: Gallery) -> None:
    before = contents(mine.folder)
    overwrite(mine, 3)
    overwrite(mine, 7)
    assert mine.check().problems == ["The views of 2 items are damaged; `--repair` repairs this."]
    report = mine.check(repair=True)
    assert (report.problems, report.repaired) == ([], ["The views of 2 items are damaged."])
    assert mine.check().problems == []
    assert sorted(contents(mine.folder)[:12]) == sorted(before[:12])


def test_a_file_of_views_that_was_cut_off_is_made_whole(mine: Gallery) -> None:
    expected = {result.id: result.score for result in mine.search("en red 1", 20)}
    path = views_path(mine.folder, mine.state)
    os.truncate(path, path.stat().st_size * 3 // 4 + 1)
    with pytest.raises(UserError, match="--repair"):
        Gallery.open(mine.folder, mine.encoder).search("en red 1")
    assert Gallery.open(mine.folder).check().problems == ["The views of 3 items are damaged; `--repair` repairs this."]
    again = Gallery.open(mine.folder, mine.encoder)
    assert again.check(repair=True).problems == []
    assert {result.id: result.score for result in again.search("en red 1", 20)} == pytest.approx(expected, abs=1e-6)


def test_missing_views_are_computed_again(mine: Gallery) -> None:
    views_path(mine.folder, mine.state).unlink()
    again = Gallery.open(mine.folder, mine.encoder)
    assert again.check(repair=True).problems == []
    assert len(again.search("en red 1", 20)) == 12


def test_items_without_a_file_are_removed(tmp_path: Path, encoder: Encoder) -> None:
    write_rows(tmp_path / "data", "test", [row(name) for name in NAMES])
    with Gallery.build(tmp_path / "data", encoder, tmp_path / "g") as gallery:
        overwrite(gallery, 3)
        report = gallery.check(repair=True)
        assert report.problems == []
        assert "1 of these have no readable file, such as white; they were removed" in report.repaired[1]
        assert len(gallery) == 11
        assert gallery.check().problems == []
        assert gallery.add(tmp_path / "data").added == 1


def test_a_damaged_or_missing_index_is_built_again(mine: Gallery) -> None:
    approximation = mine.convert(ann="hnsw").approximation
    path = mine.folder / str(approximation and approximation.file)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert mine.check().problems == [
        f"The approximate index is missing or broken: {path.name} has changed since it was written; `--repair` repairs "
        "this."
    ]
    path.unlink()
    [problem] = mine.check().problems
    assert "cannot be read: No such file" in problem
    assert mine.check(repair=True).problems == []
    assert path.read_bytes() == whole


def test_counts_that_disagree_are_repaired(mine: Gallery) -> None:
    with mine.catalogue.writing() as connection:
        state = read_state(connection, "g")
        write_state(connection, dataclasses.replace(state, items=5))
        connection.execute("DELETE FROM items WHERE position IN (2, 3)")
    problem, words = mine.check().problems
    assert words == "The index of words does not agree with the items; `--repair` repairs this."
    assert "there are 10 items and not 5" in problem
    assert "10 items and 0 removed ones do not fill 12 positions" in problem
    assert mine.check(repair=True).problems == []
    assert (len(mine), mine.check().problems) == (10, [])
    assert len(mine.search("en red 1", 20)) == 10


@pytest.mark.parametrize("change", ["missing", "short", "other numbers", "catalogue"])
def test_a_map_of_views_that_disagrees_is_written_again(mine: Gallery, change: str) -> None:
    before, path = contents(mine.folder), map_path(mine.folder, mine.state)
    if change == "missing":
        path.unlink()
    elif change == "short":
        os.truncate(path, 30)
    elif change == "other numbers":
        path.write_bytes(np.array([1, *np.arange(4, 25, 2), 24], dtype=np.int64)[:12].tobytes())
    else:
        with mine.catalogue.writing() as connection:
            connection.execute("UPDATE items SET views = 1 WHERE position = 11")
    assert mine.check().problems == ["The map of views does not agree with the catalogue; `--repair` repairs this."]
    assert mine.check(repair=True).problems == []
    assert mine.check().problems == []
    assert sorted(contents(mine.folder)[:12]) == sorted(before[:12])


def test_leftovers_are_removed(mine: Gallery) -> None:
    for name in (
        "views-9.fp32",
        "views-1.int8",
        "hnsw-1-3",
        ".ivfpq-1-3.part",
        ".gallery.part.sqlite",
        ".gallery.part.sqlite.mode",
    ):
        (mine.folder / name).write_bytes(b"x")
    (mine.folder / "notes.txt").write_text("mine")
    report = mine.check()
    assert len(report.removed) == 6
    assert report.problems == []
    kept = ["gallery.sqlite", "notes.txt", "views-1.fp32", "views-1.map"]
    assert sorted(path.name for path in mine.folder.iterdir()) == kept


def test_changed_and_missing_files_are_reported_with_what_to_do(mine: Gallery, own: Path) -> None:
    paint(own / "green1.png", 99, (64, 64))
    (own / "blue2.png").unlink()
    gone, changed = mine.check().problems
    assert gone.startswith("1 files are missing, such as blue2.png; `leccr gallery sync")
    assert changed.startswith("1 files have changed, such as green1.png; `leccr gallery sync")
    mine.remove(["blue2.png"])
    mine.add(own)
    assert mine.check().problems == []


def test_many_files_are_checked_in_several_reads(mine: Gallery, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leccr.gallery.check.ITEMS_PER_BLOCK", 5)
    shutil.rmtree(own)
    [problem] = mine.check().problems
    assert problem.startswith("12 files are missing")


def test_content_is_compared_where_the_time_is_new_or_on_demand(mine: Gallery, own: Path) -> None:
    path = own / "green1.png"
    content, status = path.read_bytes(), path.stat()
    os.utime(path, ns=(1, 10**18))
    assert mine.check().problems == []
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    os.utime(path, ns=(1, 10**18))
    assert len(mine.check().problems) == 1
    os.utime(path, ns=(1, status.st_mtime_ns))
    assert mine.check().problems == [], "size and time are those of before"
    assert len(mine.check(files=True).problems) == 1


def test_files_outside_of_the_folder_are_not_touched(
    mine: Gallery, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An untrusted gallery may name any path, and its pictures may be links to anywhere."""
    secret = paint(tmp_path / "secret.png", 1)
    (own / "blue2.png").unlink()
    (own / "blue2.png").symlink_to(secret)
    with mine.catalogue.writing() as connection:
        connection.execute("UPDATE items SET path = '../secret.png', size = 1 WHERE id = 'green1.png'")
        connection.execute("UPDATE items SET path = ?, size = 1 WHERE id = 'gray5.png'", (str(secret),))
    monkeypatch.setattr("leccr.gallery.check.hash_file", lambda path: pytest.fail(f"{path} was read"))
    [problem] = mine.check().problems
    assert problem.startswith("3 files are outside their folder, such as blue2.png, gray5.png, green1.png; remove")


def test_repairing_reads_nothing_outside_of_the_folder(mine: Gallery, own: Path, tmp_path: Path) -> None:
    secret = paint(tmp_path / "secret.png", 1)
    (own / "blue2.png").unlink()
    (own / "blue2.png").symlink_to(secret)
    with mine.catalogue.writing() as connection:
        connection.execute("UPDATE items SET path = '../secret.png' WHERE id = 'green1.png'")
        connection.execute("UPDATE items SET checksum = 0 WHERE id IN ('green1.png', 'blue2.png')")
    report = mine.check(repair=True)
    assert "2 of these have no readable file" in report.repaired[1]
    assert len(mine) == 10


def test_indexing_that_was_not_finished_is_reported(mine: Gallery) -> None:
    with mine.catalogue.writing() as connection:
        write_state(connection, dataclasses.replace(read_state(connection, "g"), unfinished="/photos"))
    [problem] = mine.check().problems
    assert problem == f"Indexing /photos was not finished; `leccr gallery add {mine.folder} /photos` resumes it."
