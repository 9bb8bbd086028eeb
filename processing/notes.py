"""Remarks on the screen, which `--quiet` turns off; results and errors are printed in any case."""

import os
from typing import TextIO

from .screen import shown

QUIET_VARIABLE = "LECCR_QUIET"


def note(text: str, file: TextIO | None = None) -> None:
    """Print a remark that is not a result, such as where a file is, to the standard output or to `file`.

    Of the processes of one run only the first prints it. Names that may have line ends go through `shown` before.
    """
    if is_main_process() and not is_quiet():
        print("\n".join(map(shown, text.split("\n"))), file=file)


def is_main_process() -> bool:
    """Return whether this is the only process of a run, or of those that torchrun started the first."""
    return os.environ.get("RANK", "0") == "0"


def is_quiet() -> bool:
    """Return whether only results and errors are to be printed."""
    return os.environ.get(QUIET_VARIABLE) == "1"
