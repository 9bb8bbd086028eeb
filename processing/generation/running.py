"""Working through many items in batches or concurrently, journalling each result."""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from tqdm.auto import tqdm

from ..errors import UserError
from ..screen import shown
from .endpoint import EndpointError
from .journal import Journal, Key

Item = TypeVar("Item")
Record = dict[str, Any]

FAILURES_IN_A_ROW = 10
# These do not decide what the answers say, so a run may go on with others.
FREE_SETTINGS = ("batch_size",)


def run_jobs(
    jobs: Sequence[Sequence[Item]],
    work: Callable[[Sequence[Item]], list[Record]],
    journal: Journal,
    in_flight: int,
    progress: "tqdm[Any]",
) -> None:
    """Do all jobs and append their records to the journal.

    Args:
        jobs: Items that are worked on together.
        work: Turns the items of a job into records; called concurrently from `in_flight` threads if above 1.
        journal: Where the records go: in the order of the jobs, or as they come if several are in flight.
        in_flight: Concurrent jobs.
        progress: Bar that is moved on by the number of items of each job done.

    Raises:
        EndpointError: If a server fails ten times in a row. Single failures leave no record, so that the next run
            tries again.
    """
    failures, told = 0, ""
    with closing(_outcomes(jobs, work, in_flight)) as outcomes:
        for job, outcome in outcomes:
            try:
                records = outcome()
            except EndpointError as error:
                failures += 1
                if failures >= FAILURES_IN_A_ROW:
                    raise
                if str(error) != told:
                    told = str(error)
                    tqdm.write(shown(f"{told} Continuing with the others."))
                continue
            failures = 0
            journal.append(records)
            progress.update(len(job))


def _outcomes(
    jobs: Sequence[Sequence[Item]], work: Callable[[Sequence[Item]], list[Record]], in_flight: int
) -> Generator[tuple[Sequence[Item], Callable[[], list[Record]]]]:
    if in_flight <= 1:
        for job in jobs:
            yield job, partial(work, job)
        return
    todo: SimpleQueue[Sequence[Item] | None] = SimpleQueue()
    done: SimpleQueue[tuple[Sequence[Item], Future[list[Record]]]] = SimpleQueue()
    threads = min(in_flight, len(jobs))
    for _ in range(threads):
        # Not a pool, whose threads Python waits for when it ends: one may be in a request that takes minutes.
        Thread(target=_work_off, args=(todo, done, work), daemon=True).start()
    waiting, running = iter(jobs), 0
    try:
        # Twice as many as there are threads, so that none waits for the main thread.
        for job in islice(waiting, 2 * in_flight):
            todo.put(job)
            running += 1
        while running:
            try:
                # With an end, since Windows lets nobody interrupt a longer wait.
                job, future = done.get(timeout=1.0)
            except Empty:
                continue
            running -= 1
            yield job, future.result
            for job in islice(waiting, 1):
                todo.put(job)
                running += 1
    finally:
        with suppress(Empty):
            while True:
                todo.get_nowait()
        for _ in range(threads):
            todo.put(None)


def _work_off(todo: Any, done: Any, work: Callable[[Any], list[Record]]) -> None:
    while (job := todo.get()) is not None:
        future: Future[list[Record]] = Future()
        try:
            future.set_result(work(job))
        except BaseException as error:
            future.set_exception(error)
        done.put((job, future))


def cut(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Cut a sequence into pieces of `size` items; the last may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def check_settings(journal: Journal, keys: Iterable[Key], settings: Record) -> None:
    """Check that the journal's records of `keys` were made with the same settings.

    Raises:
        UserError: If not; the message names the first setting that differs.
    """
    for key in keys:
        record = journal.get(key)
        if record is None or record["settings"] == settings:
            continue
        existing = record["settings"]
        for name in dict.fromkeys([*settings, *existing]):
            if name not in FREE_SETTINGS and existing.get(name) != settings.get(name):
                raise UserError(
                    f"{journal.path} was started with {name} {existing.get(name)!r}, not {settings.get(name)!r}; "
                    "use the same settings, or start over with --restart, which discards it."
                )
