import sqlite3
import threading
from pathlib import Path

import pytest

from leccr.errors import UserError
from leccr.gallery.store.catalogue import (
    FILE,
    Catalogue,
    Item,
    items_at,
    put_item,
    read_state,
    select_items,
    source_number,
    sources_of,
    write_state,
)
from leccr.gallery.store.state import State

STATE = State("model", "0123", 2, 4, True)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue.create(tmp_path / "g", STATE)


def item(name: str, position: int, **fields: object) -> Item:
    values = {"path": name, "kind": "image", "hash": "h", "size": 1, "time": 2, "description": None, "source": 1}
    return Item(id=name, position=position, **(values | fields))  # type: ignore[arg-type]


def test_a_missing_gallery_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"There is no gallery {tmp_path}/none; make one with `leccr index"):
        Catalogue(tmp_path / "none")


def test_items_come_back(catalogue: Catalogue) -> None:
    with catalogue.writing() as connection:
        number = source_number(connection, "folder", "/photos")
        assert source_number(connection, "folder", "/photos") == number
        put_item(connection, item("b", 0, source=number), b"jpeg")
        put_item(connection, item("a", 1, source=number), None)
    with catalogue.reading() as connection:
        assert sources_of(connection) == {number: ("folder", "/photos")}
        assert [found.id for found in select_items(connection, "1")] == ["b", "a"]
        assert items_at(connection, [1, 5])[1].id == "a"
        assert connection.execute("SELECT number, picture FROM thumbnails").fetchall() == [(1, b"jpeg")]


def test_the_same_id_replaces(catalogue: Catalogue) -> None:
    with catalogue.writing() as connection:
        put_item(connection, item("a", 0), b"old")
        put_item(connection, item("a", 1, hash="new"), b"new")
    with catalogue.reading() as connection:
        [found] = select_items(connection, "1")
        assert (found.position, found.hash, found.number) == (1, "new", 1)
        assert connection.execute("SELECT picture FROM thumbnails").fetchall() == [(b"new",)]


def test_a_change_that_fails_changes_nothing(catalogue: Catalogue) -> None:
    with pytest.raises(KeyError), catalogue.writing() as connection:
        put_item(connection, item("a", 0), None)
        write_state(connection, State("other", "0123", 2, 4, True))
        raise KeyError
    with catalogue.reading() as connection:
        assert select_items(connection, "1") == []
        assert read_state(connection, "g").model == "model"


def test_readers_see_the_state_of_before_while_a_writer_is_at_work(catalogue: Catalogue) -> None:
    with catalogue.writing() as connection:
        put_item(connection, item("a", 0), None)
        seen = []

        def read() -> None:
            with catalogue.reading() as other:
                seen.append(len(select_items(other, "1")))
            catalogue.close()

        thread = threading.Thread(target=read)
        thread.start()
        thread.join(10)
        assert seen == [0]


def test_reading_while_reading_sees_the_same(catalogue: Catalogue) -> None:
    with catalogue.reading() as outer:
        with catalogue.reading() as inner:
            assert inner is outer
        assert outer.in_transaction, "the inner one must not end it"
    assert not outer.in_transaction


def test_a_large_change_does_not_lock_readers_out(catalogue: Catalogue) -> None:
    with catalogue.writing() as connection:
        for index in range(1000):
            put_item(connection, item(f"{index}", index), b"x" * 10_000)
        other = sqlite3.connect(catalogue.path, timeout=0)
        assert other.execute("SELECT count(*) FROM items").fetchone() == (0,)
        other.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON items BEGIN DELETE FROM items; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE other (a)",
        "DROP TABLE removed",
        "ALTER TABLE items ADD COLUMN more TEXT",
        "CREATE VIRTUAL TABLE v USING fts5(a)",
    ],
)
def test_a_catalogue_with_anything_else_in_it_is_refused(catalogue: Catalogue, statement: str) -> None:
    connection = sqlite3.connect(catalogue.path)
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(UserError, match="is not the catalogue of a gallery of this version"):
        Catalogue(catalogue.folder)


@pytest.mark.parametrize("content", [b"", b"not a database, but a long enough text to be one" * 100])
def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(UserError, match="is damaged|is not the catalogue"):
        Catalogue(tmp_path)


def test_a_schema_that_is_no_text_is_refused(catalogue: Catalogue) -> None:
    content = catalogue.path.read_bytes().replace(b"tablethumbnails", b"table\xffhumbnails")
    catalogue.path.write_bytes(content.replace(b"CREATE TABLE thumbnails", b"CRXATE TABLE thumbnails"))
    with pytest.raises(UserError, match="is damaged|is not the catalogue"):
        Catalogue(catalogue.folder)


def test_a_gallery_without_a_state_is_refused(catalogue: Catalogue) -> None:
    with catalogue.writing() as connection:
        connection.execute("DELETE FROM state")
    with catalogue.reading() as connection, pytest.raises(UserError, match="is damaged"):
        read_state(connection, "g")


def test_types_are_those_of_the_schema(catalogue: Catalogue) -> None:
    with pytest.raises(UserError, match="cannot store TEXT value in INTEGER column"), catalogue.writing() as connection:
        put_item(connection, item("a", 0, size="large"), None)


def test_waiting_for_another_writer_ends(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leccr.gallery.store.catalogue.SECONDS_TO_WAIT", 0.05)
    other = sqlite3.connect(catalogue.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    second = Catalogue(catalogue.folder)
    with pytest.raises(UserError, match="Another process has been writing"), second.writing():
        pass
    other.execute("ROLLBACK")
    with second.writing():
        pass


def test_each_thread_has_a_connection_of_its_own(catalogue: Catalogue) -> None:
    connections = []

    def use() -> None:
        with catalogue.reading() as connection:
            connections.append(connection)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(connection) for connection in connections}) == 3
