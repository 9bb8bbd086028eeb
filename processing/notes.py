"""Remarks on the screen, which `--quiet` turns off; results and errors are printed in any case."""

import os
from typing import TextIO

QUIET_VARIABLE = "LECCR_QUIET"


def note(text: str, file: TextIO | None = None) -> None:
    """Print a remark that is no result, such as where a file is, to the standard output or to `file`."""
    if not is_quiet():
        print(text, file=file)


def is_quiet() -> bool:
    """Return whether only results and errors are to be printed."""
    return os.environ.get(QUIET_VARIABLE) == "1"
