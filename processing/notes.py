"""Remarks on the screen, which `--quiet` turns off; results and errors are printed in any case."""

import os

QUIET_VARIABLE = "LECCR_QUIET"


def note(text: str) -> None:
    """Print a remark that is no result, such as where a file is or what was left out."""
    if not is_quiet():
        print(text)


def is_quiet() -> bool:
    """Return whether only results and errors are to be printed."""
    return os.environ.get(QUIET_VARIABLE) == "1"
