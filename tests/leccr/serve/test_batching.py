import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from leccr.serve.batching import Batcher


class Model:
    """Doubles numbers once it is let; refuses negative ones, and keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = threading.Event()

    def __call__(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        assert self.free.wait(600)
        if min(numbers) < 0:
            raise ValueError(f"{min(numbers)} is negative")
        return [2 * number for number in numbers]


def run(test: Callable[[Model, Batcher[int, int]], Coroutine[Any, Any, None]], most: int = 4) -> Model:
    model = Model()
    with ThreadPoolExecutor(1) as executor:
        try:
            asyncio.run(test(model, Batcher(model, executor, most)))
        finally:
            model.free.set()
    return model


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(600):
        while not is_so():
            await asyncio.sleep(0.001)


def test_what_is_asked_meanwhile_is_answered_together() -> None:
    async def test(model: Model, batcher: Batcher[int, int]) -> None:
        first = asyncio.create_task(batcher.ask(0))
        await until(lambda: model.batches)
        others = [asyncio.create_task(batcher.ask(number)) for number in range(1, 8)]
        await asyncio.sleep(0)
        model.free.set()
        assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10, 12, 14]
        assert await batcher.ask(9) == 18

    assert run(test).batches == [[0], [1, 2, 3, 4], [5, 6, 7], [9]]


def test_a_question_without_an_answer_does_not_spoil_the_others() -> None:
    async def test(model: Model, batcher: Batcher[int, int]) -> None:
        model.free.set()
        answers = await asyncio.gather(*map(batcher.ask, [1, -2, 3]), return_exceptions=True)
        assert (answers[0], answers[2]) == (2, 6)
        with pytest.raises(ValueError, match="-2 is negative"):
            raise answers[1]  # type: ignore[misc]

    assert run(test).batches == [[1, -2, 3], [1], [-2], [3]]


def test_whoever_leaves_before_the_turn_costs_nothing() -> None:
    async def test(model: Model, batcher: Batcher[int, int]) -> None:
        first, *others = [asyncio.create_task(batcher.ask(number)) for number in range(4)]
        await until(lambda: model.batches)
        late = [asyncio.create_task(batcher.ask(number)) for number in (5, 6)]
        await asyncio.sleep(0)
        # One whose turn it is, and one who still waits.
        first.cancel()
        late[0].cancel()
        await asyncio.sleep(0)
        model.free.set()
        assert await asyncio.gather(*others, late[1]) == [2, 4, 6, 12]

    assert run(test).batches == [[0, 1, 2, 3], [6]]


def test_many_questions_let_others_in_between() -> None:
    async def test(model: Model, batcher: Batcher[int, int]) -> None:
        many = asyncio.create_task(batcher.ask_all(range(10)))
        await until(lambda: model.batches)
        one = asyncio.create_task(batcher.ask(100))
        await asyncio.sleep(0)
        model.free.set()
        assert await one == 200
        assert len(model.batches) <= 3
        assert await many == [2 * number for number in range(10)]

    model = run(test)
    assert model.batches[:2] == [[0, 1, 2, 3], [100]] and max(map(len, model.batches)) <= 4
    assert sorted(sum(model.batches, [])) == [*range(10), 100]
