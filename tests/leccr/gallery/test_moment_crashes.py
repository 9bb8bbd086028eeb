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
from tests.crashes import Watchers, crashes, needs_forks
from tests.leccr.gallery import film_actions, tiny_gallery
from tests.leccr.gallery.films import film
from tests.leccr.gallery.tiny_gallery import contents

pytestmark = [pytest.mark.slow, needs_forks]
FIRST, SECOND = "a.mp4", "b.mp4"
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
        work = re.compile("Indexing .* was not finished|.* files have changed")
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


def test_three_processes_search_while_a_fourth_changes_films(source: Path, tmp_path: Path) -> None:
    own, folder = Path(shutil.copytree(source, tmp_path / "p")), tmp_path / "g"
    film_actions.index(source=own, folder=folder)
    searches = Watchers(3, film_actions.search, folder=folder)
    searches.changed()
    for _ in range(2):
        film_actions.remove(folder=folder, names=[FIRST])
        searches.changed()
        film_actions.add(folder=folder, source=own)
        searches.changed()
    searches.changed(again=False)
    seen = set()
    for answers in searches.results():
        for every, best in answers:
            shots_of = Counter(video_id(name) for name, _ in every)
            assert shots_of[FIRST] in (0, 3) and shots_of[SECOND] == 2, "a video is seen as a whole or not at all"
            assert len({path for path, _ in best}) == len(best)
            seen.add((shots_of[FIRST], len(best)))
    assert {(3, 3), (0, 2)} <= seen
    assert Gallery.open(folder).check().problems == []
