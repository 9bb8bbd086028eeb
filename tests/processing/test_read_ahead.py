import threading
from collections.abc import Iterator

import pytest

from processing.read_ahead import read_ahead


def test_results_come_in_order() -> None:
    late = threading.Event()

    def read(job: int) -> int:
        if job == 0:
            # The others are read in the meantime.
            assert late.wait(timeout=300)
        elif job == 2:
            late.set()
        return 10 * job

    assert list(read_ahead(read, range(20), threads=3)) == [10 * job for job in range(20)]


def test_no_more_is_read_than_the_threads_need() -> None:
    begun: list[int] = []

    def read(job: int) -> int:
        begun.append(job)
        return job

    results = read_ahead(read, range(100), threads=2)
    assert next(results) == 0
    assert len(begun) <= 3


def test_an_error_comes_out_where_its_result_would() -> None:
    def read(job: int) -> int:
        if job == 1:
            raise ValueError("broken.png")
        return job

    results = read_ahead(read, range(5), threads=2)
    assert next(results) == 0
    with pytest.raises(ValueError, match="broken.png"):
        next(results)


def test_a_caller_who_stops_draws_no_more_jobs_and_leaves_no_thread() -> None:
    drawn: list[int] = []
    threads: set[threading.Thread] = set()

    def jobs() -> Iterator[int]:
        for job in range(100):
            drawn.append(job)
            yield job

    def read(job: int) -> int:
        threads.add(threading.current_thread())
        return job

    outcomes = read_ahead(read, jobs(), threads=2)
    assert next(outcomes) == 0
    outcomes.close()
    assert drawn == [0, 1, 2]
    assert threads and not any(thread.is_alive() for thread in threads)
