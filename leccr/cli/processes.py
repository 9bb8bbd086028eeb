"""A command in several processes, as `torchrun` starts them: only the first speaks, and an error in one ends all."""

import json
import os
import signal
import time

from processing.notes import is_main_process, is_one_of_several, process_number

from ..interrupts import EXIT_CODE
from .quiet import SETTINGS

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
# A launcher ends all processes well within it.
GRACE_SECONDS = 15


def prepare_process() -> None:
    """Set what libraries read when they are imported, so that several processes do not print the same."""
    if is_one_of_several():
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if not is_main_process():
        os.environ.update(SETTINGS)


def has_lost_a_process(error: Exception) -> bool:
    """Return whether an error says that another process of the run has ended."""
    lost = "gloo" in str(error) or type(error).__name__ in ("DistBackendError", "DistNetworkError")
    return is_one_of_several() and isinstance(error, RuntimeError) and lost


def wait_for_the_end() -> str:
    """Leave it to the launcher to end this process, so that the other's error stays the first, or return a message."""
    time.sleep(GRACE_SECONDS)
    return "Error: Another process of this run has ended; its message says why."


def be_interrupted_once() -> None:
    """Do not hear of a Ctrl-C again, which terminals send to every process and launchers pass on to theirs."""
    if is_one_of_several():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def name_process(message: str, code: int) -> str:
    """Return the last message of this process with its number, and tell it to the launcher, for its summary.

    Of an interruption only the first process speaks.
    """
    path = os.environ.get(ERROR_FILE)
    if path:
        content = {"message": message, "exitcode": code, "timestamp": int(time.time())}
        try:
            with open(path, "w", encoding="utf-8") as file:
                json.dump(content, file)
        except OSError:
            # The message is printed in any case.
            pass
    if is_main_process():
        return message
    return "" if code == EXIT_CODE else f"Process {process_number()}: {message}"
