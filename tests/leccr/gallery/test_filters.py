import datetime
import sqlite3

import pytest

from leccr.errors import UserError
from leccr.gallery.filters import parse_filter
from leccr.gallery.store.catalogue import SCHEMA, Item, _contains, put_item


def day(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp()) * 10**9


ITEMS = [
    Item("a", "Holiday 1/DÜNE.jpg", "image", "h1", 100, day("2024-05-31T12:00"), "A dog. O'Hara's \"best\""),
    Item("b", "work/b.mp4", "video", "h2", 2000, day("2024-06-01T00:00"), None),
    Item("c", "work/c%_.jpg", "image", "h3", 30000, 0, "A cat"),
]


@pytest.fixture
def connection() -> sqlite3.Connection:
    there = sqlite3.connect(":memory:")
    there.create_function("contains", 2, _contains)
    for statement in SCHEMA.values():
        there.execute(statement)
    for place, item in enumerate(ITEMS):
        put_item(there, Item(**{**vars(item), "position": place}), None)
    return there


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
        ("colour=red", "There is no column 'colour' to filter by; use id, path, kind, description, hash, size, time."),
        ("kind=photo", "There is no kind 'photo'; use image or video."),
        ("", "The filter '' is not understood"),
        ("path", "is not understood at 'path'"),
        ("path~", "is not understood"),
        ("path~a and", "is not understood at 'its end'"),
        ("path~a and ", "is not understood at 'its end'"),
        ("path~my holiday", "`and` is missing before 'holiday'; put a value that has spaces into quotes"),
        ("path~a or path~b", "`and` is missing before 'or path~b'"),
        ("size>1MB", "size is a number of bytes, such as 1000000, and not '1MB'"),
        ("size>٣", "size is a number of bytes"),
        ("size~1", "size cannot contain '1'"),
        ("time>yesterday", "time is a date such as 2024-05-31 or 2024-05-31T18:00, and not 'yesterday'"),
        ("time=2024-05-31", "Compare time with <, <=, > or >="),
        ("time>9999-12-31", "time is a date"),
    ],
)
def test_what_is_not_understood_is_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_filter(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
