import os
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
import pytest

from leccr.gallery.store import mapped_index
from leccr.gallery.store.mapped_index import MappedIndex
from leccr.gallery.store.state import State
from leccr.gallery.store.vectors import encode_views, learn_ranges
from tests.crashes import needs_forks

ROWS, WIDTH = 203, 16
VIEWS = np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)
QUERIES = np.random.default_rng(1).standard_normal((5, WIDTH)).astype(np.float32)


@pytest.fixture(autouse=True)
def three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide even a few rows among three threads."""
    monkeypatch.setattr(mapped_index, "LEAST_ROWS", 10)
    monkeypatch.setattr(faiss, "omp_get_max_threads", lambda: 3)


def state(dtype: str) -> State:
    return State("m", "f", 1, WIDTH, True, dtype=dtype, ranges=learn_ranges(VIEWS) if dtype == "int8" else None)


def indexes(dtype: str = "fp32") -> tuple[MappedIndex, faiss.Index]:
    """Return an index in pieces, and one that FAISS filled itself."""
    codes = encode_views(state(dtype), VIEWS)
    whole = mapped_index.empty_index(state(dtype))
    whole.add(VIEWS)
    return MappedIndex(state(dtype), codes), whole


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("queries", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 30, 100, ROWS, ROWS + 5])
def test_pieces_find_what_a_plain_index_finds(dtype: str, queries: int, count: int) -> None:
    pieces, whole = indexes(dtype)
    scores, rows = pieces.search(QUERIES[:queries], count)
    expected_scores, expected_rows = whole.search(QUERIES[:queries], count)
    assert np.array_equal(rows, expected_rows)
    assert scores == pytest.approx(expected_scores, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("queries", [1, 5])
def test_only_allowed_rows_are_found_in_every_piece(queries: int) -> None:
    allowed = np.random.default_rng(2).random(ROWS) < 0.2
    _, rows = indexes()[0].search(QUERIES[:queries], ROWS, allowed)
    products = QUERIES[:queries] @ VIEWS.T
    for own, scores in zip(rows, products):
        order = np.argsort(-scores)
        assert own[own >= 0].tolist() == order[allowed[order]].tolist()


def test_several_threads_search_at_the_same_time() -> None:
    pieces, whole = indexes()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: pieces.search(QUERIES[number % 5][None], 20)[1][0], range(40)))
    assert np.array_equal(np.stack(found[:5]), whole.search(QUERIES, 20)[1])
    assert all(np.array_equal(rows, found[number % 5]) for number, rows in enumerate(found))


@needs_forks
def test_a_forked_process_searches_too() -> None:
    pieces, _ = indexes()
    expected = pieces.search(QUERIES[:1], 20)[1]
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(pieces.search(QUERIES[:1], 20)[1], expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_threads_of_the_caller_stay_as_many_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(2)
        indexes()[0].search(QUERIES[:1], 5)
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(before)


def test_an_empty_index_finds_nothing() -> None:
    scores, rows = MappedIndex(state("fp32"), np.empty((0, 4 * WIDTH), np.uint8)).search(QUERIES[:1], 3)
    assert rows.tolist() == [[-1, -1, -1]] and scores.shape == (1, 3)
