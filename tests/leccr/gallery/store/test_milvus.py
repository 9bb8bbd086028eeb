"""Galleries whose views a Milvus keeps; milvus-lite runs in this process and speaks the server's language."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from tests.leccr.gallery.tiny_gallery import QUERIES, brute_force, contents, names_of, paint, stored_views

pytest.importorskip("milvus_lite", reason="milvus-lite has no package for this system")

from leccr.gallery.store import milvus  # noqa: E402

LITE: dict[str, Any] = {"engine": "milvus", "uri": "views.db"}


@pytest.fixture
def served(gallery: Gallery) -> Gallery:
    """The gallery of `photos`, moved to Milvus."""
    gallery.convert(**LITE)
    return gallery


def test_moving_to_milvus_and_back_changes_no_answer(gallery: Gallery) -> None:
    before, answers = contents(gallery.folder), gallery.search(QUERIES, 5)
    state = gallery.convert(**LITE)
    assert (state.engine, state.uri) == ("milvus", "views.db")
    assert [path.suffix for path in gallery.folder.glob("views-*")] == [".map"]
    assert gallery.search(QUERIES, 5) == answers
    assert contents(gallery.folder) == before
    gallery.convert(engine="faiss")
    assert gallery.state.engine == "faiss"
    assert gallery.search(QUERIES, 5) == answers
    assert contents(gallery.folder) == before
    client = milvus.connect(gallery.folder, "views.db")
    assert client.list_collections() == []


def test_the_ranking_is_that_of_all_fused_scores_ties_included(tmp_path: Path, encoder: Encoder) -> None:
    for index in range(15):
        paint(tmp_path / "p" / f"{index:02}.png", seed=index % 5)
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g", **LITE) as gallery:
        views = stored_views(gallery)
        # Copies in other batches can differ in the last bit; here they tie exactly.
        for query in encoder.texts(QUERIES[::5]):
            order, scores = brute_force(views, query)
            found = gallery.search(query, 7)
            assert names_of(found) == [f"{index:02}.png" for index in order[:7]]
            assert [result.score for result in found] == scores[:7]


def test_adding_removing_and_filters(served: Gallery, tmp_path: Path, photos: Path) -> None:
    assert served.add(paint(tmp_path / "new" / "p.png", 70)).added == 1
    assert "p.png" in names_of(served.search("en red 1", 13))
    assert served.add(photos).unchanged == 12
    assert len(served.remove(["holiday"])) == 4
    left = served.search("en red 1", 13)
    assert len(left) == 9
    found = served.search("en red 1", 13, where="path~g")
    assert names_of(found) == [name for name in names_of(left) if "g" in name]
    assert served.check().problems == []


def test_filters_that_leave_many_are_asked_of_the_server(served: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = served.search("en red 1", 3, where="path~holiday")
    monkeypatch.setattr("leccr.gallery.store.ranking.FEW", 1)
    assert served.search("en red 1", 3, where="path~holiday") == expected
    monkeypatch.setattr("leccr.gallery.store.milvus.MOST_NAMED", 3)
    with pytest.raises(UserError, match="The filter leaves 4 items, but a Milvus server accepts at most 3"):
        served.search("en red 1", 3, where="path~holiday")


def test_rows_that_a_killed_writer_left_do_not_answer(served: Gallery, tmp_path: Path) -> None:
    storage = milvus.MilvusStorage(served.folder, served.state)
    left = np.full((6, 8), 5.0, dtype=np.float32)
    storage.append(served.state, left, np.array([1, 3, 2]))
    assert len(served.search("en red 1", 20)) == 12
    served.add(paint(tmp_path / "new" / "p.png", 70))
    found = served.search("en red 1", 20)
    assert len(found) == 13
    assert max(result.score for result in found) < 2
    assert served.check().problems == []


def test_rows_of_removed_items_that_are_still_there_do_not_answer(
    served: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process can be killed between the catalogue's commit and the deletion on the server."""
    everything = names_of(served.search("en red 1", 12))
    monkeypatch.setattr(milvus.MilvusStorage, "forget", lambda *arguments: None)
    served.remove(everything[:3])
    assert names_of(served.search("en red 1", 5)) == everything[3:8]


def test_the_server_can_build_an_index(served: Gallery) -> None:
    exact = served.search(QUERIES, 3)
    approximation = served.convert(ann="hnsw").approximation
    assert approximation is not None and approximation.recall is not None
    assert (approximation.kind, approximation.file, approximation.queries) == ("hnsw", None, 12)
    with served.catalogue.reading() as connection:
        assert not served.snapshot(connection).engine.exact  # type: ignore[attr-defined]
    assert approximation.recall > 0.9
    served.convert(ann="none")
    assert served.search(QUERIES, 3) == exact


def test_an_index_that_the_server_does_not_have_is_one_line_and_changes_nothing(served: Gallery) -> None:
    exact = served.search(QUERIES, 3)
    with pytest.raises(UserError, match="failed: index_type='IVF_PQ' is reserved for a future phase"):
        served.convert(ann="ivfpq")
    assert served.state.approximation is None
    assert Gallery.open(served.folder, served.encoder).search(QUERIES, 3) == exact


def test_damaged_rows_are_found(served: Gallery) -> None:
    state = served.state
    name = milvus.collection_of(state)
    served.remove(["green1.png"])
    milvus.connect(served.folder, "views.db").delete(name, filter="item in [6, 7]")
    [problem] = served.check().problems
    assert problem.startswith("The views of 2 items are damaged")
    assert served.check(repair=True).problems == []
    assert served.check().problems == []


@pytest.mark.parametrize("uri", ["../other.db", "/tmp/other.db", "other", "a/b.db"])
def test_a_file_outside_of_the_gallery_is_refused(gallery: Gallery, uri: str) -> None:
    with pytest.raises(UserError, match="is not the address of a Milvus server"):
        gallery.convert(engine="milvus", uri=uri)
    assert gallery.state.engine == "faiss"


def test_a_server_that_does_not_answer_is_one_line(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise milvus.MilvusException(message="Fail connecting to server on localhost:9\nillegal connection")

    monkeypatch.setattr(milvus, "MilvusClient", refuse)
    with pytest.raises(UserError, match=r"The Milvus server http://localhost:9 failed: .* illegal connection"):
        gallery.convert(engine="milvus", uri="http://localhost:9")
    assert gallery.state.engine == "faiss"
    assert len(gallery.search("en red 1", 20)) == 12


def test_a_key_goes_to_its_server_alone(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Client:
        def __init__(self, address: str, token: str) -> None:
            seen.append((address, token))

    monkeypatch.setattr(milvus, "MilvusClient", Client)
    monkeypatch.setattr(milvus, "_clients", {})
    monkeypatch.setenv("LECCR_MILVUS_TOKEN", "root:secret")
    monkeypatch.setenv("LECCR_MILVUS_URI", "http://mine:1")
    milvus.connect(gallery.folder, "http://mine:1")
    milvus.connect(gallery.folder, "http://elsewhere:1")
    assert seen == [("http://mine:1", "root:secret"), ("http://elsewhere:1", "")]


def test_more_rows_than_a_server_returns_is_one_line(served: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus, "MOST_ROWS", 10)
    with pytest.raises(UserError, match="Milvus returns at most 10 rows, but 12 are needed; ask for fewer items"):
        served.search("en red 1", 5, words=0)


def test_a_copied_gallery_answers(served: Gallery, tmp_path: Path, encoder: Encoder) -> None:
    expected = served.search(QUERIES, 3)
    milvus.connect(served.folder, "views.db").close()
    milvus._clients.pop(str((served.folder / "views.db").resolve()))
    copy = shutil.copytree(served.folder, tmp_path / "copy")
    assert Gallery.open(copy, encoder).search(QUERIES, 3) == expected
