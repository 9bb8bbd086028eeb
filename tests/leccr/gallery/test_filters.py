import contextlib
import dataclasses
import datetime
import sqlite3
from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
from hypothesis import given

from leccr.errors import UserError
from leccr.gallery.filters import NUMBER_COLUMNS, TEXT_COLUMNS, parse_filter
from leccr.gallery.store.catalogue import SCHEMA, Item, add_functions, put_item


def day(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp()) * 10**9


ITEMS = [
    Item("a", "Holiday 1/DÜNE.jpg", "image", "h1", 100, day("2024-05-31T12:00"), "A dog. O'Hara's \"best\""),
    Item("b", "work/b.mp4", "video", "h2", 2000, day("2024-06-01T00:00"), None),
    Item("c", "work/c%_.jpg", "image", "h3", 30000, 0, "A cat"),
]


def filled() -> sqlite3.Connection:
    """Return a catalogue of ITEMS."""
    connection = sqlite3.connect(":memory:")
    add_functions(connection)
    for statement in SCHEMA.values():
        connection.execute(statement)
    for position, item in enumerate(ITEMS):
        put_item(connection, dataclasses.replace(item, position=position), None)
    return connection


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(filled()) as connection:
        yield connection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path~holiday", "a"),
        ("path ~ 'holiday 1'", "a"),
        ("path~düne", "a"),
        ("path~%_", "c"),
        ("path~%", "c"),
        ("PATH~WORK and kind=video", "b"),
        ("kind=image AND size>100 and size<=30000", "c"),
        ("kind!=video", "ac"),
        ("size>=2000", "bc"),
        ("size=100", "a"),
        ("size!=100", "bc"),
        ("time>=2024-05-31 and time<=2024-05-31", "a"),
        ("time>2024-05-31", "b"),
        ("time<2024-05-31T13:00", "ac"),
        ("time<2024-05-31T12:00:00.000001", "ac"),
        ("time>=20240531 and time<=20240531", "a"),
        ("time>20240531", "b"),
        ("time<=0001-01-01", ""),
        ("time>0001-01-01", "abc"),
        ("time<1677-09-21", ""),
        ("time>=1677-09-21", "abc"),
        ("time<=2262-04-12", "abc"),
        ("time<2300-01-01", "abc"),
        ("time<=9999-12-31", "abc"),
        ("time>9999-12-31", ""),
        ("time>=9999-12-31T23:59:59-12:00", ""),
        ("description~DOG", "a"),
        ("description!='A cat'", "ab"),
        ('description~"o\'hara"', "a"),
        ("id=b", "b"),
        ("id=''", ""),
        ("hash=h3", "c"),
        ("id=x'); DROP TABLE items; --", ""),
    ],
)
def test_filters_select(connection: sqlite3.Connection, text: str, expected: str) -> None:
    if "DROP" in text:
        with pytest.raises(UserError, match="`and` is missing before 'DROP TABLE items; --'"):
            parse_filter(text)
        text = 'id="x\'); DROP TABLE items; --"'
    condition, values = parse_filter(text)
    found = connection.execute(f"SELECT id FROM items WHERE {condition} ORDER BY position", values).fetchall()
    assert "".join(row[0] for row in found) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour=red", "There is no column 'colour' to filter by; use id, path, kind, description, hash, size, time,"),
        ("kind=photo", "There is no kind 'photo'; use image or video."),
        ("", "The filter '' is not understood"),
        ("path", "is not understood at 'path'"),
        ("path~", "is not understood"),
        ("path~a and", "is not understood at 'its end'"),
        ("path~a and ", "is not understood at 'its end'"),
        (" and ".join(["path~a"] * 501), "has more than 500 conditions"),
        ("path~my holiday", "`and` is missing before 'holiday'; put a value that has spaces into quotes"),
        ("path~a or path~b", "`and` is missing before 'or path~b'"),
        ("size>1MB", "size is a number of bytes, such as 1000000, and not '1MB'"),
        ("size>٣", "size is a number of bytes"),
        ("size~1", "size cannot contain '1'"),
        ("time>yesterday", "time is a date such as 2024-05-31 or 2024-05-31T18:00, and not 'yesterday'"),
        ("time=2024-05-31", "Compare time with <, <=, > or >="),
        ("time>=2024-06-30T23:59:60", "time is a date such as"),
        ("time<=2023-02-29", "time is a date such as"),
        ("time<=2024-W22", "time is a date such as"),
        ("time<=2024-W22-5", "time is a date such as"),
        ("time<=0000-01-01", "time is a date such as"),
        ("time<=10000-01-01", "time is a date such as"),
        ("time>=2024-05-31T25:00", "time is a date such as"),
        ("time>=2024-05-31T18:00+99:00", "time is a date such as"),
    ],
)
def test_what_is_not_understood_is_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_filter(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("time<2024-05-31T18:00Z", 1_717_178_400_000_000_000),
        ("time<2024-05-31T18:00:00.25+02:00", 1_717_171_200_250_000_000),
        ("time<1969-12-31T23:59:59.5Z", -500_000_000),
    ],
)
def test_moments_with_a_time_zone_are_exact(text: str, nanoseconds: int) -> None:
    assert parse_filter(text) == ("time < ?", [nanoseconds])


VALUES = st.one_of(
    st.text(),
    st.datetimes().map(str),
    st.datetimes(timezones=st.timezones()).map(datetime.datetime.isoformat),
    st.dates().map(str),
    st.dates().map(lambda date: date.strftime("%Y%m%d")),
    st.integers().map(str),
)
CONDITIONS = st.builds(
    lambda column, operator, value, quote: f"{column}{operator}{quote}{value}{quote}",
    st.sampled_from((*TEXT_COLUMNS, *NUMBER_COLUMNS)),
    st.sampled_from(("=", "!=", "~", "<", "<=", ">", ">=")),
    VALUES,
    st.sampled_from(("", "'", '"')),
)


@given(st.one_of(st.text(), st.lists(CONDITIONS, min_size=1, max_size=3).map(" and ".join)))
def test_any_text_is_a_filter_that_runs_or_is_refused(text: str) -> None:
    try:
        condition, values = parse_filter(text)
    except UserError:
        return
    with contextlib.closing(filled()) as connection:
        connection.execute(f"SELECT id FROM items WHERE {condition}", values).fetchall()


@given(st.dates(), st.sampled_from(("%Y-%m-%d", "%Y%m%d")))
def test_before_and_after_a_day_are_opposites(date: datetime.date, form: str) -> None:
    text = date.strftime(form).rjust(len(form) + 2, "0")
    with contextlib.closing(filled()) as connection:
        for one, other in (("<", ">="), ("<=", ">")):
            found = []
            for operator in (one, other):
                condition, values = parse_filter(f"time{operator}{text}")
                found += connection.execute(f"SELECT id FROM items WHERE {condition}", values).fetchall()
            assert sorted(found) == [("a",), ("b",), ("c",)]
