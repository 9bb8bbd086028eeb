"""Near duplicates and variety, by vectors whose distances are known."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leccr.gallery import Gallery, alike
from leccr.gallery.alike import folded, likeness_of, signatures, varied
from leccr.gallery.store.ranking import Ranking
from leccr.gallery.store.snapshot import Snapshot
from leccr.models.encoder import Encoder

from . import tiny_gallery


class Views:
    """An engine of items with one view each."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows.astype(np.float32)

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.rows[positions], np.ones(len(positions), dtype=int)


def snapshot(rows: np.ndarray) -> Snapshot:
    class State:
        positions, width = len(rows), rows.shape[1]

    return Snapshot("", State(), Views(rows), None)  # type: ignore[arg-type]


class Looks:
    """What says of all items that they look as far from each other."""

    def __init__(self, distance: float = 0.0) -> None:
        self.distance = distance

    def distances(self, position: int, others: Sequence[int]) -> np.ndarray:
        return np.full(len(others), self.distance)


SAME = Looks()


def ranking(count: int) -> Ranking:
    return Ranking(np.arange(count), np.linspace(1, 0, count, dtype=np.float32), np.zeros(count, dtype=int))


@pytest.fixture
def rows() -> np.ndarray:
    """Thirty directions, of which the last ten are nearly those of the first ten."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(20, 64))
    return np.concatenate([rows, rows[:10] + 0.1 * generator.normal(size=(10, 64))])


def test_answers_stand_for_their_near_duplicates(rows: np.ndarray) -> None:
    best, others = folded(snapshot(rows), ranking(30), 12, SAME)
    assert best.positions.tolist() == list(range(12))
    assert others == {index: [20 + index] for index in range(10)}
    best, others = folded(snapshot(rows), ranking(30), 25, SAME)
    assert best.positions.tolist() == list(range(20))


def test_pictures_that_only_show_the_same_are_no_near_duplicates(rows: np.ndarray) -> None:
    assert folded(snapshot(rows), ranking(30), 30, Looks(0.1))[1] == {}
    assert folded(snapshot(rows), ranking(30), 30, Looks(float("nan")))[1] == {}, "nothing is known but the views"
    rows[20] = rows[0]
    assert folded(snapshot(rows), ranking(30), 30, Looks(float("nan")))[1] == {0: [20]}


def test_unlike_answers_come_first(rows: np.ndarray) -> None:
    order = [0, 20, 1, 21, 2, 22, 3]
    mixed = snapshot(rows[[*order, *range(4, 20)]])
    assert varied(mixed, ranking(7), 4).positions.tolist() == [0, 2, 4, 6]
    assert sorted(varied(mixed, ranking(7), 99).positions.tolist()) == list(range(7))
    assert varied(mixed, ranking(1), 3).positions.tolist() == [0]


@pytest.mark.parametrize("most", [1, 5])
def test_as_many_as_are_asked_for_though_few_are_compared(
    rows: np.ndarray, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(alike, "MOST_COMPARED", most)
    found = varied(snapshot(rows), ranking(30), 20).positions.tolist()
    assert sorted(found[:most]) == list(range(most)) and found[most:] == list(range(most, 20))


def test_distances_are_those_of_the_gallery(rows: np.ndarray) -> None:
    """Views that all look one way, as those of some models do, are told apart as well."""
    cone = rows + 3 * np.ones(64)
    ordinary, narrow = likeness_of(snapshot(rows)), likeness_of(snapshot(cone))
    assert narrow.usual < 0.3 * ordinary.usual
    assert folded(snapshot(cone), ranking(30), 30, SAME)[1] == folded(snapshot(rows), ranking(30), 30, SAME)[1]


def test_views_of_an_item_count_together() -> None:
    class Several:
        def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.array([[2.0, 0], [0, 1], [0, -3]]), np.array([2, 1])

    found = signatures(Several(), np.array([0, 1]))  # type: ignore[arg-type]
    assert found == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0, -1]]))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_items(count: int) -> None:
    rows = np.eye(4)[:count]
    assert folded(snapshot(rows.reshape(count, 4)), ranking(count), 5, Looks(1.0))[1] == {}
    assert len(folded(snapshot(rows.reshape(count, 4)), ranking(count), 5, SAME)[0].positions) == min(count, 1)


def test_undefined_views_are_like_nothing(rows: np.ndarray) -> None:
    rows[3] = np.nan
    assert 3 in folded(snapshot(rows), ranking(30), 30, SAME)[0].positions


@pytest.fixture
def copied(photos: Path, encoder: Encoder, tmp_path: Path) -> Gallery:
    """A gallery of pictures, two of them there twice."""
    for path in photos.rglob("*.png"):
        (tmp_path / "p" / path.name).parent.mkdir(exist_ok=True)
        (tmp_path / "p" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "p" / "sub").mkdir()
    (tmp_path / "p" / "sub" / "same.png").write_bytes((photos / "green1.png").read_bytes())
    with Image.open(photos / "blue2.png") as picture:
        picture.save(tmp_path / "p" / "sub" / "other.bmp")
    return Gallery.build(tmp_path / "p", encoder, tmp_path / "g")


def test_another_picture_with_the_same_words_is_none(tmp_path: Path) -> None:
    """A model that looks at descriptions only sees no difference between pictures with the same one."""
    for number in range(3):
        tiny_gallery.paint(tmp_path / "p" / f"red{number}.png", number)
    tiny_gallery.describe(tmp_path / "p", ["red0.png", "red1.png", "red2.png"])
    gallery = Gallery.build(
        tmp_path / "p", tiny_gallery.encoder(num_slots=0, description_fusion=True, fusion_gate=0.0), tmp_path / "g"
    )
    assert gallery.duplicates() == []
    (tmp_path / "p" / "copy.png").write_bytes((tmp_path / "p" / "red1.png").read_bytes())
    gallery.add(tmp_path / "p")
    assert [[item.id for item in group] for group in gallery.duplicates()] == [["red1.png", "copy.png"]]


def test_groups_and_answers(copied: Gallery) -> None:
    groups = [{item.id for item in group} for group in copied.duplicates()]
    pairs = [{"green1.png", "sub/same.png"}, {"blue2.png", "sub/other.bmp"}]
    assert all(any(pair <= group for group in groups) for pair in pairs)
    every = copied.search("en green 1", 20)
    best = copied.search("en green 1", 20, folded=True)
    assert len(every) == 14
    shown = {result.id for result in best} | {path for result in best for path in result.alike}
    assert len(best) <= 12 and len(shown) == 14
    assert all(sum(result.id in pair for result in best) <= 1 for pair in pairs)
    assert best[0].id == every[0].id
    assert {result.id for result in copied.search("en green 1", 20, diverse=True)} == {each.id for each in every}
    assert copied.search("en green 1", 3, folded=True, diverse=True)[0].id == best[0].id


def test_the_commands(copied: Gallery, model: Path) -> None:
    result = tiny_gallery.run("gallery", "duplicates", copied.folder, "--json")
    assert result.exit_code == 0 and '"alike": ' in result.stdout and "same.png" in result.stdout
    result = tiny_gallery.run("gallery", "duplicates", copied.folder)
    assert "green1.png\n  " in result.stdout
    assert re.search(r"\d groups of near duplicates; if you keep one file of each, \d can go\.", result.stdout)
