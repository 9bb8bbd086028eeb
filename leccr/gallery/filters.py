"""Filters over the stored columns, such as `path~holiday and kind=video`."""

import datetime
import re
from typing import Any

from ..errors import UserError
from .store.catalogue import IMAGE, VIDEO

TEXT_COLUMNS = ("id", "path", "kind", "description", "hash")
NUMBER_COLUMNS = ("size", "time")
KINDS = (IMAGE, VIDEO)
_CONDITION = re.compile(
    r"""\s*(?P<column>\w+)\s*(?P<operator>!=|<=|>=|=|~|<|>)\s*(?P<value>"[^"]*"|'[^']*'|[^\s"']\S*)\s*"""
)
_AND = re.compile(r"and(\s|$)", re.IGNORECASE)


def parse_filter(text: str) -> tuple[str, list[Any]]:
    """Turn a filter into an SQL condition.

    A filter is one condition or several with `and` between: a column, an operator and a value, in quotes where it
    has spaces. `=` and `!=` compare, `~` means contains, whatever the case, and `<`, `<=`, `>`, `>=`
    compare sizes in bytes and times such as `2024-05-31` or `2024-05-31T18:00`.

    Returns:
        The condition, with a question mark for each value, and the values.

    Raises:
        UserError: If the filter is of another form, or names a column that is not there.
    """
    conditions, values, place = [], [], 0
    while True:
        match = _CONDITION.match(text, place)
        if match is None:
            rest = text[place:].strip()[:30] or "its end"
            raise UserError(
                f"The filter {text!r} is not understood at {rest!r}: write conditions such as path~holiday, kind=video "
                "or size>1000000, with `and` between them."
            )
        condition, value = _condition(match["column"].lower(), match["operator"], _unquoted(match["value"]))
        conditions.append(condition)
        values.append(value)
        place = match.end()
        if place == len(text):
            return " AND ".join(conditions), values
        following = _AND.match(text, place)
        if following is None:
            raise UserError(
                f"In the filter {text!r}, `and` is missing before {text[place:][:30]!r}; put a value that has spaces "
                "into quotes."
            )
        place = following.end()


def _unquoted(value: str) -> str:
    return value[1:-1] if value[0] in "\"'" else value


def _condition(column: str, operator: str, value: str) -> tuple[str, Any]:
    if column not in TEXT_COLUMNS + NUMBER_COLUMNS:
        raise UserError(f"There is no column {column!r} to filter by; use {', '.join(TEXT_COLUMNS + NUMBER_COLUMNS)}.")
    if column in NUMBER_COLUMNS:
        if operator == "~":
            raise UserError(f"{column} cannot contain {value!r}: compare it with =, !=, <, <=, > or >=.")
        return _size(operator, value) if column == "size" else _time(operator, value)
    if column == "kind" and operator in ("=", "!=") and value not in KINDS:
        raise UserError(f"There is no kind {value!r}; use {' or '.join(KINDS)}.")
    if operator == "~":
        return f"contains({column}, ?)", value.casefold()
    if operator in ("=", "!="):
        # A missing description is different from every text.
        return f"{column} {'IS' if operator == '=' else 'IS NOT'} ?", value
    return f"{column} {operator} ?", value


def _size(operator: str, value: str) -> tuple[str, int]:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise UserError(f"size is a number of bytes, such as 1000000, and not {value!r}.")
    return f"size {operator} ?", int(value)


def _time(operator: str, value: str) -> tuple[str, int]:
    if operator in ("=", "!="):
        raise UserError("Compare time with <, <=, > or >=, for example time>=2024-05-31 and time<=2024-06-02.")
    try:
        moment = datetime.datetime.fromisoformat(value)
        if len(value) == len("2024-05-31") and operator in ("<=", ">"):
            # A day is meant to its end.
            moment += datetime.timedelta(days=1)
            operator = {"<=": "<", ">": ">="}[operator]
        return f"time {operator} ?", int(moment.timestamp()) * 10**9
    except (ValueError, OverflowError, OSError) as error:
        raise UserError(f"time is a date such as 2024-05-31 or 2024-05-31T18:00, and not {value!r}.") from error
