"""Functions in processes of their own, which can be stopped before any step that reaches the disk.

Starting Python and importing torch takes seconds; so all processes are forked from one that has imported `tests.warm`.
"""

import itertools
import multiprocessing
import os
import shutil
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.warm"])
START = "forkserver" if sys.platform == "linux" else "spawn"
"""How processes with torch are started."""
STOPPED = 86
# No test waits that long unless something hangs.
SECONDS = 600
needs_forks = pytest.mark.skipif(sys.platform != "linux", reason="a process with torch in it is forked")


class Child:
    """A function at work in a process of its own.

    Args:
        function: A function of a module.
        arguments: Its arguments.
        reached: What happens before each step that changes `folder`, one of the arguments; see `Reached`.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: dict[str, Any], reached: "Reached | None" = None
    ) -> None:
        self.pipe, other = CONTEXT.Pipe(duplex=False)
        self.process = CONTEXT.Process(target=_work, args=(other, function, arguments, reached), daemon=True)
        self.process.start()
        other.close()

    def stopped(self) -> bool:
        """Wait for the end, and return whether the process was stopped."""
        self.process.join(SECONDS)
        assert self.process.exitcode in (0, STOPPED), self.process.exitcode
        return self.process.exitcode == STOPPED

    def result(self) -> Any:
        """Wait for the end, and return what the function returned."""
        assert self.pipe.poll(SECONDS), "the process hangs"
        value, error = self.pipe.recv()
        assert error is None, error
        assert not self.stopped()
        return value


def start(function: Callable[..., Any], **arguments: Any) -> Child:
    """Start a function in a process of its own."""
    return Child(function, arguments)


def run(function: Callable[..., Any], **arguments: Any) -> Any:
    """Return what a function returns in a process of its own."""
    return start(function, **arguments).result()


def command(arguments: list[str], file_size: int | None = None) -> tuple[int, str, str]:
    """Return the exit code, the output and the errors of `leccr` in a process of its own.

    Args:
        arguments: Its arguments.
        file_size: Bytes above which it can write no file, as on a disk that is nearly full; None for no limit.
    """
    return run(_command, arguments=arguments, file_size=file_size)


def _command(arguments: list[str], file_size: int | None) -> tuple[int, str, str]:
    from typer.testing import CliRunner

    from leccr.cli import app

    if file_size is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def crashes(original: Path | None, folder: Path, function: Callable[..., Any], **arguments: Any) -> Iterator[Path]:
    """Yield what a function leaves if it is stopped before its first step, its second one, and so on until its last.

    The function runs once, and before each step a copy is made of what would be left.

    Args:
        original: What the function changes; it gets a copy. None starts with nothing.
        folder: Where the copy goes, and what is left; the function gets it as `folder`.
        function: A function of a module.
        **arguments: Its other arguments.
    """
    if original is not None:
        shutil.copytree(original, folder)
    left = folder.with_name(f"{folder.name}-left")
    left.mkdir()
    Child(function, {"folder": folder, **arguments}, partial(_keep, left)).result()
    steps = sorted(left.iterdir(), key=lambda path: int(path.name))
    assert steps, "the function did not reach the disk"
    for step in steps:
        shutil.rmtree(folder)
        step.rename(folder)
        yield folder


def stopping(step: int) -> "Reached":
    """Return what ends the process before its `step`-th step, without any cleaning up."""
    return partial(_stop, step)


def stop_before(step: int, folder: Path, function: Callable[..., Any], **arguments: Any) -> Path:
    """Run a function until before its `step`-th step that reaches the disk, and return the folder that it changes."""
    assert Child(function, {"folder": folder, **arguments}, stopping(step)).stopped()
    return folder


Reached = Callable[[int, Path, dict[int, int]], None]
"""Takes the number of a step, from 1, the folder that it changes, and how much of each file is flushed, by inode."""


def _work(pipe: Connection, function: Callable[..., Any], arguments: dict[str, Any], reached: Reached | None) -> None:
    if reached is not None:
        _watch_steps(arguments["folder"], reached)
    try:
        pipe.send((function(**arguments), None))
    except BaseException:
        pipe.send((None, traceback.format_exc()))


def _watch_steps(folder: Path, reached: Reached) -> None:
    """Call `reached` before flushes, commits of SQLite, and renamed and removed files of a folder."""
    steps, one_at_a_time = itertools.count(1), threading.Lock()
    flushed = {path.stat().st_ino: path.stat().st_size for path in folder.rglob("*")}

    def count() -> None:
        with one_at_a_time:
            reached(next(steps), folder, flushed)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(path: Any, *args: Any, **options: Any) -> Any:
            if Path(path).is_relative_to(folder):
                count()
            return call(path, *args, **options)

        return wrapper

    def fsync(descriptor: int, call: Callable[[int], None] = os.fsync) -> None:
        count()
        flushed[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size
        call(descriptor)

    class CountedConnection(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            if statement == "COMMIT":
                count()
            return super().execute(statement, *values)

    for name in ("rename", "replace", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    os.fsync = fsync
    sqlite3.connect = partial(sqlite3.connect, factory=CountedConnection)


def _stop(at: int, step: int, folder: Path, flushed: dict[int, int]) -> None:
    if step == at:
        _lose(folder, folder, flushed)
        os._exit(STOPPED)


def _keep(left: Path, step: int, folder: Path, flushed: dict[int, int]) -> None:
    copy = left / str(step)
    shutil.copytree(folder, copy) if folder.exists() else copy.mkdir()
    _lose(copy, folder, flushed)


def _lose(copy: Path, folder: Path, flushed: dict[int, int]) -> None:
    """Cut off what was added to files and not flushed, as it may be when the machine stops."""
    for path in folder.rglob("*"):
        # SQLite flushes by itself.
        if path.is_file() and ".sqlite" not in path.name:
            stat = path.stat()
            os.truncate(copy / path.relative_to(folder), min(stat.st_size, flushed.get(stat.st_ino, 0)))


class Watchers:
    """Processes that act again and again while others change something, and are told of each change.

    Args:
        count: Number of processes.
        action: What each does; it takes its end of a pipe as `changes`.
        **arguments: What else it takes.
    """

    def __init__(self, count: int, action: Any, **arguments: Any) -> None:
        pipes = [CONTEXT.Pipe() for _ in range(count)]
        self._children = [start(action, changes=theirs, **arguments) for _, theirs in pipes]
        for _, theirs in pipes:
            theirs.close()
        self._pipes = [ours for ours, _ in pipes]

    def changed(self, again: bool = True) -> None:
        """Tell all of a change, and wait until they have seen it; `again` is false for the last one."""
        for pipe in self._pipes:
            pipe.send(again)
        for pipe in self._pipes:
            pipe.recv()

    def results(self) -> list[Any]:
        """Return what each has seen."""
        return [child.result() for child in self._children]
