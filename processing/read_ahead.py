"""Reading and decoding in threads or processes while a model works on what was read before."""

import os
import pickle
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from .errors import UserError

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

# More threads than this slow each other down: Python runs one of them at a time, except while a library decodes.
READING_THREADS = min(4, os.cpu_count() or 1)


def read_ahead(
    read: Callable[[Job], Outcome], jobs: Iterable[Job], workers: int = READING_THREADS, processes: bool = False
) -> Generator[Outcome]:
    """Yield what `read` returns for each job, in order, while others are being read.

    Jobs are drawn one by one, in the thread of the caller, and no more once the caller has closed the generator. Of
    threads at most `workers` + 1 outcomes are in memory, of processes twice as many as there are.

    Args:
        read: Called with one job in a thread, or in a process.
        jobs: What to read; of processes, they and the outcomes are pickled.
        workers: Number of threads or processes.
        processes: Whether to read in processes, which use many processor cores better than threads.

    Raises:
        UserError: If there are to be processes, and this is not Linux, whose processes need not start from nothing.
    """
    if processes:
        yield from _in_processes(read, jobs, workers)
        return
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Outcome]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(read, job))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _in_processes(read: Callable[[Job], Outcome], jobs: Iterable[Job], workers: int) -> Generator[Outcome]:
    if sys.platform != "linux":
        raise UserError("--processes works on Linux only; leave it out.")
    from torch.utils.data import DataLoader

    reader: Any = _Reader(read)
    with warnings.catch_warnings():
        # How many there are is the user's choice.
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        loader: DataLoader[bytes] = DataLoader(
            reader, batch_size=None, sampler=jobs, num_workers=workers, multiprocessing_context="fork"
        )
        results = iter(loader)
    for pickled in results:
        outcome, error = pickle.loads(pickled)
        if error is not None:
            raise error
        yield outcome


class _Reader:
    """What a `DataLoader` takes for a data set, whose indices are jobs.

    Outcomes are pickled here, since tensors would need an open file each; and so are errors, which would come out with
    a traceback in their message.
    """

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self.read = read

    def __getitem__(self, job: Any) -> bytes:
        try:
            return pickle.dumps((self.read(job), None))
        except Exception as error:
            return pickle.dumps((None, error))
