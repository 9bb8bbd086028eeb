import itertools
from types import SimpleNamespace

import pytest

from benchmarks import space_load
from benchmarks.space_load import Visitor, summary


class Answering:
    """A client whose every third search fails."""

    def __init__(self, address: str, verbose: bool, httpx_kwargs: dict[str, float]) -> None:
        self.asked = 0

    def predict(self, api_name: str, **inputs: object) -> dict[str, list[dict[str, str]]]:
        self.asked += api_name == "/search"
        if api_name == "/search" and self.asked % 3 == 0:
            raise ValueError("queue full")
        return {"results": [{"id": "a"}]}


def test_the_summary_is_in_milliseconds() -> None:
    assert summary([number / 100 for number in range(1, 101)]) == {"count": 100, "p50_ms": 505, "p95_ms": 960}


def test_a_visitor_counts_answers_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_load, "Client", Answering)
    ticks = itertools.count()
    monkeypatch.setattr(space_load, "time", SimpleNamespace(monotonic=lambda: next(ticks), sleep=lambda seconds: None))
    visitor = Visitor("http://nowhere", ["ein Hund"], 200, seed=0)
    visitor.run()
    asked = len(visitor.waited["search"]) + len(visitor.errors)
    assert len(visitor.errors) == asked // 3 > 0 and visitor.errors[0] == "ValueError('queue full')"
    assert 0 < len(visitor.waited["explain"]) < len(visitor.waited["search"])
