"""Ctrl-C ends a command within a moment, whether it is importing, working, or waiting for threads."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Never

EXIT_CODE = 130


def run_interruptible(run: Callable[[], object]) -> None:
    """Run the command line, and leave without waiting for anything once Ctrl-C was pressed.

    Threads that still read, and libraries that tidy up, would take seconds. What commands write is whole or can be
    resumed at every moment, so that nothing is lost.

    Args:
        run: Runs a command; ends with exit code 130 if it has said itself that it was interrupted.
    """
    signal.signal(signal.SIGINT, _interrupt)
    try:
        run()
    except KeyboardInterrupt:
        _leave(b"Interrupted.\n")
    except SystemExit as stop:
        from processing.notes import is_one_of_several

        # The threads by which processes reach each other can wait for good for one that has ended.
        if stop.code == EXIT_CODE or is_one_of_several():
            _leave(code=stop.code if isinstance(stop.code, int) else int(stop.code is not None))
        raise


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        # Python and some libraries pass over an exception in the middle of an import.
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _leave(b"Interrupted.\n")
        frame = frame.f_back
    raise KeyboardInterrupt


def _leave(message: bytes = b"", code: int = EXIT_CODE) -> Never:
    for stream in (sys.stdout, sys.stderr):
        # RuntimeError: the signal came while the stream was being written to.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os.write(2, message)
    os._exit(code)
