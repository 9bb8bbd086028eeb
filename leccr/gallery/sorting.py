"""Answers in the order of time, in place of the best first."""

import dataclasses
from collections.abc import Sequence

from ..errors import UserError
from .results import Result
from .store.facts import taken_at

ORDERS = ("taken", "-taken", "time", "-time")


def check_order(order: str | None) -> None:
    """Raise UserError if answers cannot be sorted so."""
    if order is not None and order not in ORDERS:
        raise UserError(f"Answers cannot be sorted by {order!r}; use {', '.join(ORDERS[:-1])} or {ORDERS[-1]}.")


def in_order(results: Sequence[Result], order: str | None) -> list[Result]:
    """Return results, best first, in another order, ranked by it; those whose time is not known are the last.

    Args:
        results: The answers to one query.
        order: One of `ORDERS`; None leaves them as they are.
    """
    if order is None:
        return list(results)
    times = {result.number: _time(result, order.removeprefix("-")) for result in results}
    known = [result for result in results if times[result.number] is not None]
    known.sort(key=lambda result: times[result.number] or 0.0, reverse=order.startswith("-"))
    unknown = [result for result in results if times[result.number] is None]
    return [dataclasses.replace(result, rank=rank) for rank, result in enumerate(known + unknown, start=1)]


def _time(result: Result, by: str) -> float | None:
    return taken_at(result.facts) if by == "taken" else result.time or None
