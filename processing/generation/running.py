"""Working through many items in batches or concurrently, journalling each result."""

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from itertools import islice
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
    failures = 0
    with closing(_outcomes(jobs, work, in_flight)) as outcomes:
        for job, outcome in outcomes:
            try:
                records = outcome()
            except EndpointError as error:
                failures += 1
                if failures >= FAILURES_IN_A_ROW:
                    raise
                tqdm.write(shown(f"{error} Continuing with the others."))
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
    pool = ThreadPoolExecutor(in_flight)
    waiting = iter(jobs)
    try:
        # Twice as many as there are threads, so that none waits for the main thread.
        running = {pool.submit(work, job): job for job in islice(waiting, 2 * in_flight)}
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result
                for job in islice(waiting, 1):
                    running[pool.submit(work, job)] = job
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


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
