"""What the files of items say about them (`processing.facts`), in a table of its own."""

import dataclasses
import datetime
import sqlite3
from collections.abc import Sequence

from processing.facts import Facts

TABLE = (
    "CREATE TABLE facts (number INTEGER PRIMARY KEY, taken TEXT, zone INTEGER, camera TEXT, latitude REAL, "
    "longitude REAL, title TEXT, keywords TEXT, caption TEXT, writing TEXT) STRICT"
)
COLUMNS = tuple(field.name for field in dataclasses.fields(Facts) if field.name != "unreadable")
# Seconds since 1970. Where a zone is not known, a clock showed the time of the zone that this machine is in.
INSTANT = "coalesce(strftime('%s', taken) - 60 * zone, strftime('%s', taken, 'utc') + 0)"


def put_facts(connection: sqlite3.Connection, number: int, facts: Facts | None) -> None:
    """Store what is known about an item in place of what was; an item of which nothing is known has no row."""
    connection.execute("DELETE FROM facts WHERE number = ?", (number,))
    values = [getattr(facts, name) for name in COLUMNS] if facts is not None else []
    if any(value is not None for value in values):
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO facts (number, {', '.join(COLUMNS)}) VALUES (?, {marks})", (number, *values))


def facts_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, Facts]:
    """Return what is known about items, by their numbers."""
    found: dict[int, Facts] = {}
    for start in range(0, len(numbers), 500):
        block = numbers[start : start + 500]
        marks = ",".join("?" * len(block))
        rows = connection.execute(f"SELECT number, {', '.join(COLUMNS)} FROM facts WHERE number IN ({marks})", block)
        found |= {number: Facts(*values) for number, *values in rows}
    return found


def with_writing(connection: sqlite3.Connection, facts: Facts | None, source: int, id: str, digest: str) -> Facts:
    """Return facts about an item with what was read in it before, if its content is still the same."""
    row = connection.execute(
        "SELECT writing FROM facts JOIN items USING (number) WHERE source = ? AND id = ? AND hash = ?",
        (source, id, digest),
    ).fetchone()
    return dataclasses.replace(facts or Facts(), writing=row[0] if row else None)


def put_writing(connection: sqlite3.Connection, number: int, digest: str, text: str) -> bool:
    """Store what is written in a picture, empty if nothing is; return whether it is still the one with this hash."""
    unchanged = connection.execute("SELECT 1 FROM items WHERE number = ? AND hash = ?", (number, digest)).fetchone()
    if unchanged:
        connection.execute(
            "INSERT INTO facts (number, writing) VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET "
            "writing = excluded.writing",
            (number, text),
        )
    return bool(unchanged)


def forget_places(connection: sqlite3.Connection) -> None:
    """Remove where pictures were taken, for a gallery that others will see."""
    connection.execute("UPDATE facts SET latitude = NULL, longitude = NULL")


def taken_at(facts: Facts) -> float | None:
    """Return when a picture was taken, in seconds since 1970, by the rule of `INSTANT`; None if that is not known."""
    try:
        moment = datetime.datetime.fromisoformat(facts.taken or "")
        if facts.zone is not None:
            moment = moment.replace(tzinfo=datetime.timezone(datetime.timedelta(minutes=facts.zone)))
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        # An untrusted gallery may hold any text and number.
        return None


def taken_text(facts: Facts) -> str | None:
    """Return when a picture was taken, with its zone if that is known, such as `2024-06-01T18:30:00+02:00`."""
    if facts.taken is None or facts.zone is None:
        return facts.taken
    hours, minutes = divmod(abs(facts.zone), 60)
    return f"{facts.taken}{'-' if facts.zone < 0 else '+'}{hours:02}:{minutes:02}"
