"""Processes that are killed at random moments, and processes that search while another adds."""

import os
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.forks import Forks
from tests.leccr.gallery.forks import forks as start_forks
from tests.leccr.gallery.test_gallery import contents

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and looked at as Linux does"),
]
KILLS = 10
ITEMS = 18


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    yield from start_forks(tmp_path_factory.mktemp("outcomes"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gallery.photos(tmp_path_factory.mktemp("pictures") / "p", ITEMS)


@pytest.fixture(scope="module")
def whole(forks: Forks, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of all pictures."""
    folder = tmp_path_factory.mktemp("whole") / "g"
    assert forks.run("index", source=str(pictures), folder=str(folder)) == ITEMS
    return folder


def kill_again_and_again(
    forks: Forks,
    start: Callable[[Path], Path],
    action: str,
    check: Callable[[Path], None],
    seed: int,
    **arguments: object,
) -> int:
    """Kill an action at seeded moments between its start and its end, each on a folder of its own.

    Args:
        forks: Runs the action.
        start: Makes the folder of one attempt.
        action: Function of `tests.leccr.gallery.forks`.
        check: Looks at the folder after the kill.
        seed: Of the moments.
        **arguments: Of the action, besides the folder.

    Returns:
        How many of the kills met the action before its end.
    """
    began = time.monotonic()
    forks.run(action, folder=str(start(Path("whole"))), **arguments)
    duration = time.monotonic() - began
    moments = random.Random(seed)
    met = 0
    for attempt in range(KILLS):
        folder = start(Path(f"{attempt}"))
        met += forks.kill_after(moments.uniform(0, 1.1 * duration), action, folder=str(folder), **arguments)
        check(folder)
    return met


def is_sound(folder: Path, allowed: range) -> int:
    """Open a gallery as it was left, check it, search it, and return its number of items."""
    with Gallery.open(folder) as gallery:
        # That work is left to do is no damage.
        work = re.compile("Indexing .* was not finished|.* files have changed")
        assert [problem for problem in gallery.check().problems if not work.match(problem)] == []
        assert len(gallery) in allowed
        return len(gallery)


def test_index_killed_at_any_moment(forks: Forks, pictures: Path, whole: Path, tmp_path: Path) -> None:
    expected = contents(whole)
    seen = []

    def check(folder: Path) -> None:
        try:
            seen.append(is_sound(folder, range(ITEMS + 1)))
        except UserError as error:
            # Killed before there was any gallery.
            assert str(error).startswith("There is no gallery")
        assert forks.run("index", source=str(pictures), folder=str(folder)) == ITEMS
        assert contents(folder) == expected
        assert Gallery.open(folder).state.unfinished is None

    met = kill_again_and_again(forks, lambda name: tmp_path / name, "index", check, 1, source=str(pictures))
    assert met > 0
    assert any(0 < items < ITEMS for items in seen), "some kills were in the middle"
    assert all(items % 3 == 0 for items in seen), "batches are there as a whole or not at all"


def test_index_with_a_smaller_format_killed_at_any_moment(forks: Forks, pictures: Path, tmp_path: Path) -> None:
    options = {"source": str(pictures), "dtype": "int8", "ann": "hnsw"}
    assert forks.run("index", folder=str(tmp_path / "expected"), **options) == ITEMS
    expected = contents(tmp_path / "expected")

    def check(folder: Path) -> None:
        if (folder / "gallery.sqlite").exists():
            is_sound(folder, range(ITEMS + 1))
        assert forks.run("index", folder=str(folder), **options) == ITEMS
        assert contents(folder) == expected
        assert Gallery.open(folder).state.approximation is not None

    assert kill_again_and_again(forks, lambda name: tmp_path / name, "index", check, 2, **options) > 0


def test_add_killed_at_any_moment(forks: Forks, pictures: Path, tmp_path: Path) -> None:
    """The pictures added are partly new, and partly take the place of others."""
    tiny_gallery.photos(tmp_path / "p", 12, described=False)
    forks.run("index", source=str(tmp_path / "p"), folder=str(tmp_path / "start"))
    shutil.copytree(pictures, tmp_path / "p", dirs_exist_ok=True)
    for place, name in enumerate(("green1.png", "blue2.png")):
        tiny_gallery.paint(tmp_path / "p" / name, 200 + place)

    def start(name: Path) -> Path:
        return Path(shutil.copytree(tmp_path / "start", tmp_path / name))

    complete = tmp_path / "complete"
    shutil.copytree(tmp_path / "start", complete)
    forks.run("add", folder=str(complete), source=str(tmp_path / "p"))
    expected = sorted(contents(complete)[:ITEMS])

    def check(folder: Path) -> None:
        is_sound(folder, range(12, ITEMS + 1))
        forks.run("add", folder=str(folder), source=str(tmp_path / "p"))
        assert is_sound(folder, range(ITEMS, ITEMS + 1))
        assert sorted(contents(folder)[:ITEMS]) == expected

    assert kill_again_and_again(forks, start, "add", check, 3, source=str(tmp_path / "p")) > 0


def test_remove_killed_at_any_moment(forks: Forks, whole: Path, tmp_path: Path) -> None:
    """Removing so many also rewrites the views."""

    def start(name: Path) -> Path:
        return Path(shutil.copytree(whole, tmp_path / name))

    complete = start(Path("complete"))
    forks.run("remove", folder=str(complete), names=["holiday"])
    expected = contents(complete)
    left = len(Gallery.open(complete))

    def check(folder: Path) -> None:
        if is_sound(folder, range(left, ITEMS + 1)) == ITEMS:
            forks.run("remove", folder=str(folder), names=["holiday"])
        assert is_sound(folder, range(left, left + 1)) == left
        assert contents(folder) == expected

    assert kill_again_and_again(forks, start, "remove", check, 4, names=["holiday"]) > 0


def test_two_processes_search_while_a_third_adds(forks: Forks, pictures: Path, whole: Path, tmp_path: Path) -> None:
    tiny_gallery.photos(tmp_path / "p", 3, described=False)
    folder, end = tmp_path / "g", tmp_path / "end"
    forks.run("index", source=str(tmp_path / "p"), folder=str(folder))
    complete = {item[0]: item for item in contents(whole)[:ITEMS]}
    searches = [forks.start("search", folder=str(folder), until=str(end))[1] for _ in range(2)]
    for step in range(4, ITEMS + 1, 4):
        for name in sorted(complete)[:step]:
            (tmp_path / "p" / name).parent.mkdir(exist_ok=True)
            shutil.copy(pictures / name, tmp_path / "p" / name)
        shutil.copy(pictures / "descriptions.jsonl", tmp_path / "p")
        forks.run("add", folder=str(folder), source=str(tmp_path / "p"))
        forks.run("remove", folder=str(folder), names=[sorted(complete)[step - 1]])
    end.touch()
    final = None
    for answers in map(forks.wait, searches):
        sizes = [len(answer) for answer in answers]
        assert len(sizes) > 5, "the searches saw the gallery change"
        for answer in answers:
            assert len({name for name, _ in answer}) == len(answer)
            assert [score for _, score in answer] == sorted((score for _, score in answer), reverse=True)
        assert final is None or answers[-1] == final
        final = answers[-1]
    assert final is not None and len(final) == len(Gallery.open(folder))
    assert Gallery.open(folder).check().problems == []


def test_two_processes_that_add_the_same_add_it_once(forks: Forks, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "g"
    first = tiny_gallery.paint(tmp_path / "p" / "first.png", 300)
    forks.run("index", source=str(first.parent), folder=str(folder))
    outcomes = [forks.start("add", folder=str(folder), source=str(pictures))[1] for _ in range(2)]
    assert sum(map(forks.wait, outcomes)) == ITEMS
    assert len(Gallery.open(folder)) == ITEMS + 1
    assert Gallery.open(folder).check().problems == []
    assert not os.path.exists(folder / "views-2.fp32")
