"""Reading and decoding in threads while a model works on what was read before."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

# More threads than this slow each other down: Python runs one of them at a time, except while a library decodes.
READING_THREADS = min(4, os.cpu_count() or 1)


def read_ahead(
    read: Callable[[Job], Outcome], jobs: Iterable[Job], threads: int = READING_THREADS
) -> Generator[Outcome]:
    """Yield what `read` returns for each job, in order, while threads work on the next ones.

    At most `threads` + 1 outcomes are in memory. Jobs are drawn one by one, in the thread of the caller, and no more
    once a job has failed or the caller has closed the generator.

    Args:
        read: Called in a thread with one job.
        jobs: What to read.
        threads: Number of threads.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Outcome]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(read, job))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
