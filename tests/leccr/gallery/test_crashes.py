"""Processes that are stopped before each step that reaches the disk, and processes that search while another adds."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from leccr.gallery import Gallery
from leccr.gallery.store.catalogue import FILE, read_state, write_state
from leccr.gallery.store.vectors import views_path
from leccr.gallery.store.words import verify_word_index
from tests.crashes import Child, Watchers, crashes, needs_forks, start, stopping
from tests.leccr.gallery import actions, tiny_gallery
from tests.leccr.gallery.tiny_gallery import contents

pytestmark = [pytest.mark.slow, needs_forks]
ITEMS = 9


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_gallery.photos(tmp_path_factory.mktemp("pictures") / "p", ITEMS)
    path = folder / "descriptions.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for number, record in enumerate(records):
        record["description"] += "".join(f"\nThis is {name} 1" for name in tiny_gallery.NAMES[: number % 4])
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return folder


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of all pictures."""
    folder = tmp_path_factory.mktemp("whole") / "g"
    assert actions.index(source=pictures, folder=folder) == ITEMS
    return folder


def is_sound(folder: Path, allowed: range) -> int:
    """Open a gallery as it was left, check it, search it, and return its number of items."""
    with Gallery.open(folder) as gallery:
        # Unfinished work is not damage.
        work = re.compile("Indexing .* was not finished|.* files (have changed|are missing)")
        assert [problem for problem in gallery.check().problems if not work.match(problem)] == []
        with gallery.catalogue.writing() as connection:
            verify_word_index(connection)
        assert len(gallery) in allowed
        return len(gallery)


def items(folder: Path) -> list[Any]:
    """Return what a gallery holds, whatever the order in which it was added."""
    return sorted(contents(folder)[:-3])


def test_index(pictures: Path, whole: Path, tmp_path: Path) -> None:
    expected = contents(whole)
    seen = set()
    for folder in crashes(None, tmp_path / "g", actions.index, source=pictures):
        # At first there is no gallery yet.
        if (folder / FILE).exists():
            seen.add(is_sound(folder, range(ITEMS + 1)))
        assert actions.index(source=pictures, folder=folder) == ITEMS
        assert contents(folder) == expected
        assert Gallery.open(folder).state.unfinished is None
    assert seen == {0, 3, 6, 9}, "batches are there as a whole or not at all"


def test_index_with_a_smaller_format(pictures: Path, tmp_path: Path) -> None:
    options = {"source": pictures, "store": "int8", "ann": "hnsw"}
    assert actions.index(folder=tmp_path / "expected", **options) == ITEMS
    expected = contents(tmp_path / "expected")
    for folder in crashes(None, tmp_path / "g", actions.index, **options):
        if (folder / FILE).exists():
            is_sound(folder, range(ITEMS + 1))
        assert actions.index(folder=folder, **options) == ITEMS
        assert contents(folder) == expected
        assert Gallery.open(folder).state.approximation is not None


def test_add(pictures: Path, tmp_path: Path) -> None:
    """The pictures added are partly new, and partly take the place of others."""
    tiny_gallery.photos(tmp_path / "p", 6, described=False)
    actions.index(source=tmp_path / "p", folder=tmp_path / "start")
    shutil.copytree(pictures, tmp_path / "p", dirs_exist_ok=True)
    for number, name in enumerate(("green1.png", "blue2.png")):
        tiny_gallery.paint(tmp_path / "p" / name, 200 + number)
    complete = Path(shutil.copytree(tmp_path / "start", tmp_path / "complete"))
    actions.add(folder=complete, source=tmp_path / "p")
    expected = items(complete)
    seen = set()
    for folder in crashes(tmp_path / "start", tmp_path / "g", actions.add, source=tmp_path / "p"):
        seen.add(is_sound(folder, range(6, ITEMS + 1)))
        actions.add(folder=folder, source=tmp_path / "p")
        assert is_sound(folder, range(ITEMS, ITEMS + 1))
        assert items(folder) == expected
    assert {6, ITEMS} < seen, "some stops were in the middle"


@pytest.mark.parametrize("names", [["green1.png"], ["holiday"]], ids=["one", "so many that the views are rewritten"])
def test_remove(whole: Path, tmp_path: Path, names: list[str]) -> None:
    complete = Path(shutil.copytree(whole, tmp_path / "complete"))
    actions.remove(folder=complete, names=names)
    expected = contents(complete)
    left = len(Gallery.open(complete))
    for folder in crashes(whole, tmp_path / "g", actions.remove, names=names):
        if is_sound(folder, range(left, ITEMS + 1)) == ITEMS:
            actions.remove(folder=folder, names=names)
        assert is_sound(folder, range(left, left + 1)) == left
        assert contents(folder) == expected


@pytest.mark.parametrize("change", [{"store": "int8", "ann": "ivfpq"}, {"ann": "none"}], ids=["smaller", "exact"])
def test_convert(whole: Path, tmp_path: Path, change: dict[str, str]) -> None:
    before = Path(shutil.copytree(whole, tmp_path / "before"))
    actions.convert(folder=before, ann="hnsw")
    complete = Path(shutil.copytree(before, tmp_path / "complete"))
    actions.convert(folder=complete, **change)
    expected = contents(complete)
    for folder in crashes(before, tmp_path / "g", actions.convert, **change):
        assert is_sound(folder, range(ITEMS, ITEMS + 1))
        actions.convert(folder=folder, **change)
        assert is_sound(folder, range(ITEMS, ITEMS + 1))
        assert contents(folder) == expected
        state = Gallery.open(folder).state
        assert (state.approximation and state.approximation.kind) == (None if change["ann"] == "none" else "ivfpq")


def test_repair(pictures: Path, whole: Path, tmp_path: Path) -> None:
    """Damaged views are computed again, except those of a picture that is gone; the index and the counts are wrong."""
    photos = Path(shutil.copytree(pictures, tmp_path / "p"))
    damaged = tmp_path / "damaged"
    actions.index(source=photos, folder=damaged, ann="hnsw")
    expected = [item for item in items(damaged) if item[0] != "green1.png"]
    (photos / "green1.png").unlink()
    with Gallery.open(damaged) as gallery, gallery.catalogue.writing() as connection:
        state = read_state(connection, "g")
        write_state(connection, dataclasses.replace(state, items=5))
    views = views_path(damaged, state)
    most = views.stat().st_size * 3 // 4
    views.write_bytes(bytes(most) + views.read_bytes()[most:])
    index = damaged / str(state.approximation and state.approximation.file)
    index.write_bytes(index.read_bytes()[:-1])
    assert len(Gallery.open(damaged).check().problems) == 4
    for folder in crashes(damaged, tmp_path / "g", actions.repair):
        assert actions.repair(folder=folder) == []
        assert is_sound(folder, range(ITEMS - 1, ITEMS))
        assert items(folder) == expected


def test_two_processes_search_while_a_third_adds(pictures: Path, whole: Path, tmp_path: Path) -> None:
    tiny_gallery.photos(tmp_path / "p", 3, described=False)
    folder = tmp_path / "g"
    actions.index(source=tmp_path / "p", folder=folder)
    complete = {item[0]: item for item in contents(whole)[:ITEMS]}
    searches = Watchers(2, actions.search, folder=folder)
    searches.changed()
    for step in range(4, ITEMS + 1, 2):
        for name in sorted(complete)[:step]:
            (tmp_path / "p" / name).parent.mkdir(exist_ok=True)
            shutil.copy(pictures / name, tmp_path / "p" / name)
        shutil.copy(pictures / "descriptions.jsonl", tmp_path / "p")
        actions.add(folder=folder, source=tmp_path / "p")
        searches.changed()
        actions.remove(folder=folder, names=[sorted(complete)[step - 1]])
        searches.changed()
    searches.changed(again=False)
    final = None
    for answers in searches.results():
        assert len(answers) >= 7, "the searches saw each change"
        for answer in answers:
            assert len({name for name, _ in answer}) == len(answer)
            assert [score for _, score in answer] == sorted((score for _, score in answer), reverse=True)
        assert final is None or answers[-1] == final
        final = answers[-1]
    assert final is not None and len(final) == len(Gallery.open(folder))
    assert Gallery.open(folder).check().problems == []


class Changing:
    """A folder that goes to and fro between two states, with moved, deleted, changed and new files each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.there = False
        tiny_gallery.photos(folder, 7, described=False)
        self.turn(), self.turn()

    def turn(self) -> dict[str, int]:
        """Go to the other state, and return what a gallery has to do."""
        self.there = not self.there
        seed = 400 if self.there else 500
        names = ("holiday", "summer") if self.there else ("summer", "holiday")
        if (self.folder / names[0]).exists():
            (self.folder / names[0]).rename(self.folder / names[1])
        for name in ("green1.png", "new1.png", "new2.png", "new3.png", "new4.png"):
            (self.folder / name).unlink(missing_ok=True)
        added = ("new1.png", "new2.png") if self.there else ("green1.png", "new3.png", "new4.png")
        for number, name in enumerate(("blue2.png", *added)):
            tiny_gallery.paint(self.folder / name, seed + number)
        removed = 3 if self.there else 2
        return {"added": len(added), "moved": 3, "removed": removed}


def test_sync_while_three_processes_search(tmp_path: Path) -> None:
    """Each process that follows a folder is stopped, each one a step later than the one before."""
    photos, folder = Changing(tmp_path / "p"), tmp_path / "g"
    actions.index(source=photos.folder, folder=folder)
    searches = Watchers(3, actions.search, folder=folder)
    stopped, step, left = True, 0, []
    while stopped:
        step += 1
        expected = photos.turn()
        child = Child(actions.sync, {"folder": folder}, stopping(step))
        stopped = child.stopped()
        if stopped:
            left.append(is_sound(folder, range(5, 11)))
            actions.sync(folder)
        else:
            assert child.result() == expected
        names = sorted(path.relative_to(photos.folder).as_posix() for path in photos.folder.rglob("*.png"))
        assert sorted(item[0] for item in items(folder)) == names
        assert actions.sync(folder) == {"added": 0, "moved": 0, "removed": 0}
        # Always from the same state, so that each of its steps has its turn.
        photos.turn(), actions.sync(folder)
    searches.changed(again=False)
    assert step > 5 and len(set(left)) > 2, "some stops were in the middle"
    moved = {path.name for path in photos.folder.rglob("*/*.png")}
    for answers in searches.results():
        assert len(answers) > 2, "the searches saw changes"
        for answer in answers:
            found = [name for name, _ in answer]
            assert len(set(found)) == len(found)
            folders = {name.split("/")[0] for name in found if "/" in name}
            assert len(folders) == 1 and {name.split("/")[1] for name in found if "/" in name} == moved
    with Gallery.open(folder) as gallery:
        assert gallery.check(files=True).problems == []


def test_two_processes_that_add_the_same_add_it_once(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "g"
    first = tiny_gallery.paint(tmp_path / "p" / "first.png", 300)
    actions.index(source=first.parent, folder=folder)
    both = [start(actions.add, folder=folder, source=pictures) for _ in range(2)]
    assert sum(child.result() for child in both) == ITEMS
    assert len(Gallery.open(folder)) == ITEMS + 1
    assert Gallery.open(folder).check().problems == []
    assert not (folder / "views-2.fp32").exists()
