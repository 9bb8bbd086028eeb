import sqlite3

import pytest

from leccr.errors import UserError
from leccr.gallery.store.moments import SCHEMA, Moment, clock, moment_id, moments_of, put_moment, video_id


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute(SCHEMA["moments"])
    return connection


def test_of_more_items_than_sqlite_takes_values(connection: sqlite3.Connection) -> None:
    for number in range(0, 3000, 3):
        put_moment(connection, number, Moment(number, number + 1))
    put_moment(connection, 0, None)
    assert moments_of(connection, range(3000)) == {n: Moment(n, n + 1) for n in range(3, 3000, 3)}


@pytest.mark.parametrize(("begins", "ends"), [("-1", "1"), ("5", "2"), ("0", "9e999"), ("0", "1e300")])
def test_a_time_that_cannot_be_is_one_sentence(connection: sqlite3.Connection, begins: str, ends: str) -> None:
    connection.execute(f"INSERT INTO moments VALUES (7, {begins}, {ends})")
    assert moments_of(connection, [1]) == {}
    with pytest.raises(UserError, match="a shot has an impossible time"):
        moments_of(connection, [1, 7])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (83.9, "1:23"), (3599.99, "59:59"), (3600, "1:00:00"), (36061, "10:01:01")]
)
def test_times_are_written_as_players_show_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_ids_of_shots() -> None:
    assert moment_id("a/b.mp4", Moment(0, 12.5)) == "a/b.mp4#t=0,12.5"
    assert moment_id("x#t=1,2", Moment(100, 110.1234)) == "x#t=1,2#t=100,110.123"
    assert video_id("x#t=1,2#t=100,110.123") == "x#t=1,2"
