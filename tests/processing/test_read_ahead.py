import multiprocessing
import os
import threading
from collections.abc import Iterator

import pytest
import torch

from processing import read_ahead as reading
from processing.errors import BrokenFileError, UserError
from processing.read_ahead import read_ahead
from tests.crashes import needs_forks


def test_results_come_in_order() -> None:
    late = threading.Event()

    def read(job: int) -> int:
        if job == 0:
            # The others are read in the meantime.
            assert late.wait(timeout=300)
        elif job == 2:
            late.set()
        return 10 * job

    assert list(read_ahead(read, range(20), workers=3)) == [10 * job for job in range(20)]


def test_no_more_is_read_than_the_threads_need() -> None:
    begun: list[int] = []

    def read(job: int) -> int:
        begun.append(job)
        return job

    results = read_ahead(read, range(100), workers=2)
    assert next(results) == 0
    assert len(begun) <= 3


def test_an_error_comes_out_where_its_result_would() -> None:
    def read(job: int) -> int:
        if job == 1:
            raise ValueError("broken.png")
        return job

    results = read_ahead(read, range(5), workers=2)
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

    outcomes = read_ahead(read, jobs(), workers=2)
    assert next(outcomes) == 0
    outcomes.close()
    assert drawn == [0, 1, 2]
    assert threads and not any(thread.is_alive() for thread in threads)


@needs_forks
class TestProcesses:
    def test_results_come_in_order_and_from_others(self) -> None:
        def read(job: int) -> tuple[int, int, torch.Tensor]:
            return job, os.getpid(), torch.full((3,), job)

        found = list(read_ahead(read, iter(range(9)), workers=2, processes=True))
        assert [(job, tensor.tolist()) for job, _, tensor in found] == [(job, [job] * 3) for job in range(9)]
        assert len({process for _, process, _ in found} - {os.getpid()}) == 2

    def test_an_error_comes_out_as_it_was_raised(self) -> None:
        def read(job: int) -> int:
            if job == 1:
                raise BrokenFileError("a.png is broken", "repair it")
            return job

        results = read_ahead(read, range(5), workers=2, processes=True)
        assert next(results) == 0
        with pytest.raises(BrokenFileError, match=r"^a\.png is broken; repair it, or skip broken ones\.$") as raised:
            next(results)
        assert raised.value.reason == "a.png is broken; repair it."

    def test_more_processes_than_cores_are_the_users_choice(self, recwarn: pytest.WarningsRecorder) -> None:
        workers = len(os.sched_getaffinity(0)) + 1
        assert list(read_ahead(str, range(2), workers=workers, processes=True)) == ["0", "1"]
        assert not [warning for warning in recwarn if "worker" in str(warning.message)]

    def test_a_caller_who_stops_leaves_no_process(self) -> None:
        others = set(multiprocessing.active_children())
        results = read_ahead(str, range(100), workers=2, processes=True)
        assert next(results) == "0"
        own = set(multiprocessing.active_children()) - others
        assert len(own) == 2
        results.close()
        assert not own & set(multiprocessing.active_children())


def test_elsewhere_there_are_only_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading.sys, "platform", "win32")
    with pytest.raises(UserError, match="--processes works on Linux only"):
        next(read_ahead(str, range(3), processes=True))
