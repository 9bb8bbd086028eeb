import dataclasses
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery.store.faiss_engine import FaissEngine, build_approximation, rank_all, recall
from leccr.gallery.store.ranking import exact_scores
from leccr.gallery.store.state import State
from leccr.gallery.store.storage import FileStorage
from leccr.gallery.store.vectors import Views, by_item, encode_views, learn_ranges, views_path
from leccr.gallery.store.view_map import map_path
from tests.leccr.gallery.store.test_ranking import ragged_views, random_views
from tests.leccr.gallery.tiny_gallery import brute_force

WIDTH = 16


def stored(folder: Path, views: Sequence[np.ndarray], dtype: str = "fp32", **fields: Any) -> State:
    """Write the views (K, D) of each item, and return their state."""
    rows = np.concatenate(list(views))
    ranges = learn_ranges(rows) if dtype == "int8" else None
    most = max(len(own) for own in views)
    state = State("m", "f", most, rows.shape[1], True, dtype=dtype, ranges=ranges, **fields)
    return appended(folder, state, views)


def appended(folder: Path, state: State, views: Sequence[np.ndarray]) -> State:
    """Write the views of more items, and return the new state."""
    rows, counts = np.concatenate(list(views)), np.array([len(own) for own in views])
    FileStorage(folder).append(state, rows, counts)
    longest = max(state.longest_view, float(np.linalg.norm(rows, axis=1).max()))
    items = state.positions + len(views)
    return dataclasses.replace(state, positions=items, items=items, views=state.views + len(rows), longest_view=longest)


def at(views: Views | FaissEngine, positions: np.ndarray) -> list[np.ndarray]:
    return by_item(*views.at(positions))


@pytest.mark.parametrize(("dtype", "size"), [("fp32", 4), ("fp16", 2), ("int8", 1)])
def test_views_come_back_as_close_as_their_format_allows(tmp_path: Path, dtype: str, size: int) -> None:
    views = random_views(50, 3, WIDTH)
    state = stored(tmp_path, views, dtype)
    assert views_path(tmp_path, state).stat().st_size == 50 * 3 * WIDTH * size
    reopened = Views(tmp_path, state)
    error = np.abs(at(reopened, np.array([7, 3, 7])) - views[[7, 3, 7]]).max()
    assert error <= {"fp32": 0.0, "fp16": 2.0**-11, "int8": 2.4 / 255}[dtype]
    again = encode_views(state, reopened.at(np.arange(50))[0])
    assert np.array_equal(again, reopened.codes), "storing them once more loses nothing"


def test_the_mapped_index_finds_what_a_plain_one_finds(tmp_path: Path) -> None:
    views = random_views(500, 2, WIDTH)
    plain = faiss.IndexFlatIP(WIDTH)
    plain.add(views.reshape(-1, WIDTH))
    queries = random_views(40, 1, WIDTH, seed=1)[:, 0]
    scores, rows = FaissEngine(tmp_path, stored(tmp_path, views)).search(queries, 30, None)
    expected_scores, expected_rows = plain.search(queries, 30)
    assert np.array_equal(rows, expected_rows)
    assert np.array_equal(scores, expected_scores)


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8"])
def test_the_file_is_searched_in_place(tmp_path: Path, dtype: str) -> None:
    """A copy in memory would not follow the file."""
    views = random_views(10, 1, WIDTH)
    state = stored(tmp_path, views, dtype)
    engine = FaissEngine(tmp_path, state)
    query = views[3]
    assert engine.search(query, 1, None)[1][0, 0] == 3
    path = views_path(tmp_path, state)
    rows = np.array_split(np.frombuffer(path.read_bytes(), np.uint8), 10)
    with path.open("r+b") as file:
        file.write(b"".join(row.tobytes() for row in reversed(rows)))
    assert engine.search(query, 1, None)[1][0, 0] == 6


@pytest.mark.parametrize("make", [random_views, ragged_views])
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8"])
def test_the_ranking_is_that_of_all_scores_of_what_is_stored(tmp_path: Path, dtype: str, make: Any) -> None:
    views = make(300, 4, WIDTH)
    views[100:200] = views[:100]
    state = stored(tmp_path, views, dtype)
    engine = FaissEngine(tmp_path, state)
    queries = random_views(25, 1, WIDTH, seed=1)[:, 0]
    decoded = at(engine, np.arange(300))
    for query, ranking in zip(queries, rank_all(engine, state, queries)):
        order, scores = brute_force(decoded, query)
        assert ranking.positions.tolist() == order[:10]
        assert ranking.scores.tolist() == scores[:10]


def test_later_views_are_searched_as_soon_as_the_state_has_them(tmp_path: Path) -> None:
    views = random_views(60, 2, WIDTH)
    state = stored(tmp_path, views[:40])
    older = FaissEngine(tmp_path, state)
    later = appended(tmp_path, state, views[40:])
    query = views[50, 1:2]
    assert older.search(query, 1, None)[1][0, 0] < 80
    newer = FaissEngine(tmp_path, later)
    assert newer.search(query, 1, None)[1][0, 0] == 101


def test_what_a_killed_writer_left_is_overwritten(tmp_path: Path) -> None:
    views = random_views(60, 2, WIDTH)
    state = stored(tmp_path, views[:40])
    for path in (views_path(tmp_path, state), map_path(tmp_path, state)):
        with path.open("ab") as file:
            file.write(b"half a view")
    whole = Views(tmp_path, appended(tmp_path, state, views[40:]))
    assert np.array_equal(at(whole, np.arange(60)), views)


def test_a_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    state = stored(tmp_path, random_views(10, 2, WIDTH))
    os.truncate(views_path(tmp_path, state), 1200)
    with pytest.raises(UserError, match=r"should have 1280 bytes or more, but has 1200; .*--repair"):
        FaissEngine(tmp_path, state)


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
@pytest.mark.parametrize(("kind", "least"), [("hnsw", 0.99), ("ivfpq", 0.95)])
def test_approximate_indexes_find_nearly_all(tmp_path: Path, kind: str, least: float, dtype: str) -> None:
    # Photos come in groups of similar ones, unlike numbers drawn at random.
    generator = np.random.default_rng(0)
    centres = random_views(50, 1, 32)[:, 0]
    views = centres[generator.integers(0, 50, 4000)].reshape(1000, 4, 32)
    views = (views + 0.15 * generator.standard_normal(views.shape)).astype(np.float32)
    state = stored(tmp_path, views, dtype)
    approximation = build_approximation(tmp_path, state, kind)
    assert (approximation.positions, approximation.queries) == (1000, 200)
    state = dataclasses.replace(state, approximation=approximation)
    queries = (centres + 0.1 * generator.standard_normal(centres.shape)).astype(np.float32)
    engine = FaissEngine(tmp_path, state)
    assert not engine.exact
    found, right = (
        rank_all(engine, state, queries),
        rank_all(FaissEngine(tmp_path, state, approximate=False), state, queries),
    )
    assert recall(found, right) >= least
    assert approximation.recall is not None and abs(approximation.recall - recall(found, right)) < 0.1
    for query, ranking in zip(queries, found):
        exact = [exact_scores(own, query).max() for own in at(engine, ranking.positions)]
        assert ranking.scores.tolist() == exact


def test_recall_is_the_share_of_the_right_ones(tmp_path: Path) -> None:
    state = stored(tmp_path, random_views(30, 2, WIDTH))
    rankings = rank_all(FaissEngine(tmp_path, state), state, random_views(2, 1, WIDTH)[:, 0])
    assert recall(rankings, rankings) == 1.0
    half = [dataclasses.replace(ranking, positions=ranking.positions[:5]) for ranking in rankings]
    assert recall(half, rankings) == 0.5


def test_candidates_of_a_coarse_index_are_all_scored_exactly(tmp_path: Path) -> None:
    state = stored(tmp_path, random_views(500, 2, WIDTH))
    state = dataclasses.replace(state, approximation=build_approximation(tmp_path, state, "ivfpq"))
    scores, rows = FaissEngine(tmp_path, state).search(random_views(3, 1, WIDTH)[:, 0], 20, None)
    assert rows.shape[1] == 200, "ten times as many as asked for"
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_views_newer_than_the_index_are_found(tmp_path: Path, kind: str) -> None:
    views = random_views(400, 2, WIDTH)
    state = stored(tmp_path, views[:300])
    state = dataclasses.replace(state, approximation=build_approximation(tmp_path, state, kind))
    engine = FaissEngine(tmp_path, appended(tmp_path, state, views[300:]))
    assert engine.search(views[350, 1:2], 5, None)[1][0, 0] == 701
    assert engine.search(views[10, 0:1], 5, None)[1][0, 0] == 20


def test_a_filter_is_exact_in_spite_of_an_approximate_index(tmp_path: Path) -> None:
    views = random_views(400, 2, WIDTH)
    state = stored(tmp_path, views)
    state = dataclasses.replace(state, approximation=build_approximation(tmp_path, state, "hnsw"))
    query = random_views(1, 1, WIDTH, seed=3)[:, 0]
    _, rows = FaissEngine(tmp_path, state).search(query, 6, np.array([5, 90, 399]))
    assert sorted(set((rows[0] // 2).tolist())) == [5, 90, 399]


def damage(path: Path, index: Any) -> None:
    """Let the first neighbour in a graph point far outside of it."""
    content, links = bytearray(path.read_bytes()), faiss.vector_to_array(index.hnsw.neighbors).tobytes()
    start = content.find(links)
    assert start > 0
    content[start : start + 4] = (10**8).to_bytes(4, "little")
    path.write_bytes(content)


def test_an_index_file_that_points_outside_of_itself_is_refused(tmp_path: Path) -> None:
    state = stored(tmp_path, random_views(100, 2, WIDTH))
    built = build_approximation(tmp_path, state, "hnsw")
    path = tmp_path / str(built.file)
    damage(path, faiss.read_index(str(path), faiss.IO_FLAG_SKIP_STORAGE))
    with pytest.raises(UserError, match=r"missing or broken; build it again with `leccr gallery convert"):
        FaissEngine(tmp_path, dataclasses.replace(state, approximation=built))


def test_an_index_of_other_views_is_refused(tmp_path: Path) -> None:
    state = stored(tmp_path, random_views(100, 2, WIDTH))
    built = build_approximation(tmp_path, state, "hnsw")
    other = dataclasses.replace(built, positions=60)
    with pytest.raises(UserError, match="does not fit the views"):
        FaissEngine(tmp_path, dataclasses.replace(state, approximation=other))
    other = dataclasses.replace(built, kind="ivfpq")
    with pytest.raises(UserError, match="does not fit the views"):
        FaissEngine(tmp_path, dataclasses.replace(state, approximation=other))
    missing = dataclasses.replace(built, file="hnsw-9-9")
    with pytest.raises(UserError, match="missing or broken"):
        FaissEngine(tmp_path, dataclasses.replace(state, approximation=missing))


def test_without_faiss_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "leccr.gallery.store.vectors")
    with pytest.raises(ImportError, match=r"A gallery needs libraries .*: pip install 'faiss-cpu>=1.14'"):
        importlib.import_module("leccr.gallery.store.vectors")
