"""Dynamic batching: what is asked while the model is at work is answered together as soon as it is free."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Batcher(Generic[Question, Answer]):
    """Collects questions while earlier ones are being answered.

    The first question is answered immediately, alone: nobody waits for others to come. So batches are as large as the
    load makes them.

    Args:
        answer: Answers several questions, in their order; runs in `executor`.
        executor: With one thread, so that questions have to wait and are collected.
        most: Questions of a batch.
        observe: Told the size of each batch.
    """

    def __init__(
        self,
        answer: Callable[[list[Question]], Sequence[Answer]],
        executor: Executor,
        most: int,
        observe: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._answer, self._executor, self._most, self._observe = answer, executor, most, observe
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._work: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """Return the answer to a question; one whose asker is cancelled before its turn is never looked at.

        Raises:
            Exception: What answering this question raised, also when it is asked alone.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._answer_all())
        return await future

    async def ask_all(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the answers to many questions, asked a batch at a time, so that others get their turn in between."""
        answers: list[Answer] = []
        for start in range(0, len(questions), self._most):
            answers += await asyncio.gather(*map(self.ask, questions[start : start + self._most]))
        return answers

    async def _answer_all(self) -> None:
        loop = asyncio.get_running_loop()
        while batch := self._next_batch():
            self._observe(len(batch))
            answers = await loop.run_in_executor(self._executor, self._try, [question for question, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _next_batch(self) -> list[tuple[Question, "asyncio.Future[Answer]"]]:
        batch: list[tuple[Question, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._most:
            question, future = self._waiting.popleft()
            if not future.done():
                batch.append((question, future))
        return batch

    def _try(self, questions: list[Question]) -> Sequence[Answer | Exception]:
        """Return an answer or an error for each question: one that cannot be answered does not spoil the others."""
        try:
            return self._answer(questions)
        except Exception as error:
            if len(questions) == 1:
                return [error]
        return [answer for question in questions for answer in self._try([question])]
