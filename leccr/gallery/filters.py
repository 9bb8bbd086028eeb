"""Filters over the stored columns, such as `path~holiday and kind=video`."""

import datetime
import re
from typing import Any

from processing.names import comparable, stored_name

from ..errors import UserError
from .store.catalogue import IMAGE, LARGEST_INTEGER, SMALLEST_INTEGER, VIDEO, searchable
from .store.facts import INSTANT

TEXT_COLUMNS = ("id", "path", "kind", "description", "hash")
NUMBER_COLUMNS = ("size", "time")
MOMENT_COLUMNS = {"start": "begins", "end": "ends"}
# What is known of some items only, from their files.
TEXT_FACTS = ("camera", "title", "keywords", "caption", "writing")
PLACES, TAKEN = ("latitude", "longitude"), "taken"
COLUMNS = (*TEXT_COLUMNS, *NUMBER_COLUMNS, *MOMENT_COLUMNS, TAKEN, *PLACES, *TEXT_FACTS)
KINDS = (IMAGE, VIDEO)
# SQLite takes up to a thousand.
MOST_CONDITIONS = 500
DAY = datetime.timedelta(days=1)
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_CONDITION = re.compile(
    r"""\s*(?P<column>\w+)\s*(?P<operator>!=|<=|>=|=|~|<|>)\s*(?P<value>"[^"]*"|'[^']*'|[^\s"']\S*)\s*"""
)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
_CLOCK = re.compile(r"([0-9]{1,4}:){0,2}[0-9]{1,9}(\.[0-9]{1,3})?")
_TAKEN = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:[T ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2}))?)?)?)?)?")
_WITH_ZONE = re.compile(r".*T.*(Z|[+-][0-9]{2}:?[0-9]{2})", re.IGNORECASE)
_AND = re.compile(r"and(\s|$)", re.IGNORECASE)


def parse_filter(text: str) -> tuple[str, list[Any]]:
    """Turn a filter into an SQL condition.

    A filter is one condition or several joined by `and`: a column, an operator and a value, in quotes where it has
    spaces. `=` and `!=` compare, `~` means contains, ignoring case, and `<`, `<=`, `>`, `>=` compare sizes in bytes,
    degrees, and times such as `2024-05-31` or `2024-05-31T18:00`; when a picture was taken also with years and months.

    Returns:
        The condition, with a question mark for each value, and the values.

    Raises:
        UserError: If the filter has another form, or names an unknown column.
    """
    # A name that is not UTF-8 is typed, or copied from an answer, as it is stored.
    text = stored_name(text)
    conditions, values, position = [], [], 0
    while True:
        match = _CONDITION.match(text, position)
        if match is None:
            rest = text[position:].strip()[:30] or "its end"
            raise UserError(
                f"The filter {text!r} is not understood at {rest!r}: write conditions such as path~holiday, kind=video "
                "or size>1000000, with `and` between them."
            )
        condition, value = _condition(match["column"].lower(), match["operator"], _unquoted(match["value"]))
        conditions.append(condition)
        values.append(value)
        position = match.end()
        if position == len(text):
            return " AND ".join(conditions), values
        following = _AND.match(text, position)
        if following is None:
            raise UserError(
                f"In the filter {text!r}, `and` is missing before {text[position:][:30]!r}; put a value that has "
                "spaces into quotes."
            )
        if len(conditions) == MOST_CONDITIONS:
            raise UserError(f"The filter has more than {MOST_CONDITIONS} conditions; use fewer.")
        position = following.end()


def _unquoted(value: str) -> str:
    return value[1:-1] if value[0] in "\"'" else value


def _condition(column: str, operator: str, value: str) -> tuple[str, Any]:
    if column in MOMENT_COLUMNS:
        return _moment_condition(column, operator, value)
    if column not in COLUMNS:
        raise UserError(f"There is no column {column!r} to filter by; use {', '.join(COLUMNS)}.")
    if column in NUMBER_COLUMNS or column in PLACES:
        if operator == "~":
            raise UserError(f"{column} cannot contain {value!r}: compare it with =, !=, <, <=, > or >=.")
        if column in PLACES:
            return _degrees(column, operator, value)
        return _size(operator, value) if column == "size" else _time(operator, value)
    if column == TAKEN:
        return _taken(operator, value)
    if column == "keywords" and operator in ("=", "!="):
        held = f"contains(', ' || {_fact('keywords')} || ', ', ?)"
        return held if operator == "=" else f"NOT {held}", searchable(f", {value}, ")
    if column in TEXT_FACTS:
        column = _fact(column)
    if column == "kind" and operator in ("=", "!=") and value not in KINDS:
        raise UserError(f"There is no kind {value!r}; use {' or '.join(KINDS)}.")
    if operator == "~":
        return f"contains({column}, ?)", searchable(value)
    if operator in ("=", "!="):
        # A missing description is different from every text.
        return f"plain({column}) {'IS' if operator == '=' else 'IS NOT'} ?", comparable(value)
    return f"{column} {operator} ?", value


def _moment_condition(column: str, operator: str, value: str) -> tuple[str, float]:
    """Return a condition that only shots of long videos can satisfy."""
    if operator in ("=", "!=", "~") or not _CLOCK.fullmatch(value):
        raise UserError(f"Compare {column} with <, <=, > or >=, in seconds or as 1:23, for example {column}>=1:23.")
    seconds = 0.0
    for part in value.split(":"):
        seconds = 60 * seconds + float(part)
    return f"number IN (SELECT number FROM moments WHERE {MOMENT_COLUMNS[column]} {operator} ?)", seconds


def _fact(expression: str) -> str:
    """Return what a column, or another expression, of the facts about an item is, in a condition on items."""
    return f"(SELECT {expression} FROM facts WHERE number = items.number)"


def _degrees(column: str, operator: str, value: str) -> tuple[str, float]:
    # Python's `float` takes nan, which nothing is above or below, and 1_0.
    if not _NUMBER.fullmatch(value):
        raise UserError(f"{column} is a number of degrees, such as 48.137, and not {value!r}.")
    return f"{_fact(column)} {operator} ?", float(value)


def _taken(operator: str, value: str) -> tuple[str, Any]:
    """Compare as much of the stored time as the value says: by the clock of the place, unless it names a zone."""
    if _WITH_ZONE.fullmatch(value):
        try:
            moment = datetime.datetime.fromisoformat(value).timestamp()
            return f"{_fact(INSTANT)} {'=' if operator == '~' else operator} ?", moment
        except (ValueError, OverflowError):
            pass
    match = _TAKEN.fullmatch(value)
    try:
        parts = [int(part) for part in (match.groups() if match else ()) if part is not None]
        # A year, or a month, exists if its first day does.
        year, month, day = (parts + [1, 1])[:3]
        hour, minute, second = (parts[3:] + [0, 0, 0])[:3]
        datetime.datetime(year, month, day, hour, minute, second)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"taken is a time such as 2024, 2024-06, 2024-06-01 or 2024-06-01T18:00, and not {value!r}."
        ) from error
    compared = {"=": "IS", "~": "IS", "!=": "IS NOT"}.get(operator, operator)
    return f"substr({_fact(TAKEN)}, 1, {len(value)}) {compared} ?", value.replace(" ", "T")


def _size(operator: str, value: str) -> tuple[str, int]:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise UserError(f"size is a number of bytes, such as 1000000, and not {value!r}.")
    return f"size {operator} ?", int(value)


def _time(operator: str, value: str) -> tuple[str, int]:
    if operator in ("=", "!="):
        raise UserError("Compare time with <, <=, > or >=, for example time>=2024-05-31 and time<=2024-06-02.")
    try:
        moment, is_day = _moment(value)
    except ValueError as error:
        raise UserError(f"time is a date such as 2024-05-31 or 2024-05-31T18:00, and not {value!r}.") from error
    if is_day and operator in ("<=", ">"):
        # The whole day is meant: up to, or from, the midnight at its end.
        moment = moment + DAY if moment.date() < datetime.date.max else datetime.datetime.max
        operator = {"<=": "<", ">": ">="}[operator]
    return f"time {operator} ?", _nanoseconds(moment)


def _moment(value: str) -> tuple[datetime.datetime, bool]:
    """Return a moment in ISO 8601, and whether it is a day without a time; weeks are refused, being no days."""
    if "W" in value.upper():
        raise UserError(value)
    try:
        return datetime.datetime.combine(datetime.date.fromisoformat(value), datetime.time()), True
    except ValueError:
        return datetime.datetime.fromisoformat(value), False


def _nanoseconds(moment: datetime.datetime) -> int:
    """Return nanoseconds since 1970, limited to the 64 bits of an SQLite integer, in which no file is older or newer.

    A moment without a time zone is local time, except where the system cannot convert it: at both ends of the calendar,
    and on Windows before 1970.
    """
    try:
        moment = moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError, OSError):
        moment = moment.replace(tzinfo=datetime.UTC)
    nanoseconds = (moment - EPOCH) // datetime.timedelta(microseconds=1) * 1000
    return min(max(nanoseconds, SMALLEST_INTEGER), LARGEST_INTEGER)
