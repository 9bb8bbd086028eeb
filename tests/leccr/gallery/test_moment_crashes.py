"""Processes that are stopped while shots of long videos go in and out, and three that search meanwhile."""

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from leccr.gallery import Gallery
from leccr.gallery.store.catalogue import FILE
from leccr.gallery.store.moments import video_id
from tests.crashes import Child, Watchers, crashes, needs_forks, stopping
from tests.leccr.gallery import film_actions, tiny_gallery
from tests.leccr.gallery.films import film
from tests.leccr.gallery.tiny_gallery import contents

pytestmark = [pytest.mark.slow, needs_forks]
FIRST, SECOND = "a.mp4", "b.mp4"
OTHER = "d.mp4"
LENGTHS = {FIRST: 3, SECOND: 2, "c.png": 1, OTHER: 2}
ITEMS = 3 + 2 + 1


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of three shots, one of two, and a picture."""
    folder = tmp_path_factory.mktemp("films") / "p"
    film(folder / FIRST)
    film(folder / SECOND, ("green", "red"), (12, 12))
    tiny_gallery.paint(folder / "c.png", 1)
    return folder


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of all."""
    folder = tmp_path_factory.mktemp("whole") / "g"
    assert film_actions.index(source=source, folder=folder) == ITEMS
    return folder


def shots(folder: Path) -> dict[str, int]:
    """Check a gallery as it was left, and return how many items each file has."""
    with Gallery.open(folder) as gallery:
        work = re.compile("Indexing .* was not finished|.* files (have changed|are missing)")
        assert [problem for problem in gallery.check().problems if not work.match(problem)] == []
        with gallery.catalogue.reading() as connection:
            paths = [row[0] for row in connection.execute("SELECT path FROM items")]
            orphans = "SELECT count(*) FROM moments WHERE number NOT IN (SELECT number FROM items)"
            assert connection.execute(orphans).fetchone() == (0,)
    return Counter(paths)


def items(folder: Path) -> list[Any]:
    return sorted(contents(folder)[:-3])


def test_index(source: Path, whole: Path, tmp_path: Path) -> None:
    expected, seen = items(whole), []
    for folder in crashes(None, tmp_path / "g", film_actions.index, source=source):
        if (folder / FILE).exists():
            seen.append(shots(folder))
            assert seen[-1].get(FIRST, 3) == 3 and seen[-1].get(SECOND, 2) == 2, "a video is there as a whole or not"
        assert film_actions.index(source=source, folder=folder) == ITEMS
        assert items(folder) == expected
        assert Gallery.open(folder).state.unfinished is None
    assert {sum(each.values()) for each in seen} == {0, 5, 6}


def test_a_film_is_cut_anew(source: Path, whole: Path, tmp_path: Path) -> None:
    """The film of three shots becomes one of two, and that of two a short one."""
    changed = Path(shutil.copytree(source, tmp_path / "p"))
    film_actions.index(source=changed, folder=tmp_path / "start")
    film(changed / FIRST, ("blue", "green"), (11, 13))
    film(changed / SECOND, ("green",), (6,))
    complete = Path(shutil.copytree(tmp_path / "start", tmp_path / "complete"))
    assert film_actions.add(folder=complete, source=changed) == 4
    expected, seen = items(complete), set()
    for folder in crashes(tmp_path / "start", tmp_path / "g", film_actions.add, source=changed):
        found = shots(folder)
        seen.add((found[FIRST], found[SECOND], found["c.png"]))
        assert film_actions.add(folder=folder, source=changed) == 4
        assert items(folder) == expected
    assert seen == {(3, 2, 1), (2, 1, 1)}


def test_remove(whole: Path, tmp_path: Path) -> None:
    for folder in crashes(whole, tmp_path / "g", film_actions.remove, names=[FIRST]):
        if shots(folder).get(FIRST):
            assert shots(folder)[FIRST] == 3
            assert film_actions.remove(folder=folder, names=[FIRST]) == 1
        assert shots(folder) == {SECOND: 2, "c.png": 1}


class Changing:
    """A folder that goes to and fro: one film goes and another one comes, and a third one is moved."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.folder = Path(shutil.copytree(source, folder))
        self.away = folder.with_name("away")
        film(self.away / OTHER, ("blue", "green"), (12, 12))
        (folder / "sub").mkdir()

    def turn(self) -> dict[str, int]:
        """Go to the other state, and return what a gallery has to do."""
        goes, comes = (FIRST, OTHER) if (self.folder / FIRST).exists() else (OTHER, FIRST)
        (self.folder / goes).rename(self.away / goes)
        (self.away / comes).rename(self.folder / comes)
        here, there = self.folder / SECOND, self.folder / "sub" / SECOND
        here.rename(there) if here.exists() else there.rename(here)
        return {"added": 1, "moved": 1, "removed": 1}

    def lengths(self) -> dict[str, int]:
        """Return how many items each file has to have."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): LENGTHS[path.name] for path in files}


def test_sync_is_stopped_at_each_step_while_three_processes_search(source: Path, tmp_path: Path) -> None:
    films, folder = Changing(source, tmp_path / "p"), tmp_path / "g"
    film_actions.index(source=films.folder, folder=folder)
    searches = Watchers(3, film_actions.search, folder=folder)
    searches.changed()
    stopped, left = True, []
    while stopped:
        expected = films.turn()
        child = Child(film_actions.sync, {"folder": folder}, stopping(len(left) + 1))
        stopped = child.stopped()
        if stopped:
            left.append(shots(folder))
            film_actions.sync(folder)
        else:
            assert child.result() == expected
        assert shots(folder) == films.lengths()
        assert film_actions.sync(folder) == {"added": 0, "moved": 0, "removed": 0}
        films.turn()
        film_actions.sync(folder)
    searches.changed(again=False)
    assert len(left) > 5 and len({tuple(sorted(each)) for each in left}) > 2, "some stops were in the middle"
    answers = [answer for own in searches.results() for answer in own]
    seen = [[name for name, _ in every] for every, _ in answers]
    videos = [Counter(video_id(name) or name for name in names) for names in seen]
    for found in [*left, *videos]:
        assert all(count == LENGTHS[Path(name).name] for name, count in found.items()), "as a whole or not at all"
    assert len({tuple(sorted(found)) for found in videos}) > 2
    assert all(len({path for path, _ in best}) == len(best) for _, best in answers)
