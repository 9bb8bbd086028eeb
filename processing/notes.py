"""Remarks on the screen, which `--quiet` turns off; results and errors are printed in any case."""

import os
from typing import TextIO

from .screen import shown

QUIET_VARIABLE = "LECCR_QUIET"
# Where accelerate looks for them, too.
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
WORLD_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def note(text: str, file: TextIO | None = None) -> None:
    """Print a remark that is not a result, such as where a file is, to the standard output or to `file`.

    Of the processes of one run only the first prints it. Names that may have line ends go through `shown` before.
    """
    if is_main_process() and not is_quiet():
        print("\n".join(map(shown, text.split("\n"))), file=file)


def is_main_process() -> bool:
    """Return whether this is the only process of a run, or the first of those that a launcher started."""
    return process_number() == 0


def process_number() -> int:
    """Return the number of this process among those that `torchrun`, `accelerate launch` or `mpirun` started."""
    numbers = (os.environ.get(name) for name in RANKS)
    return int(next((number for number in numbers if number), "0"))


def is_one_of_several() -> bool:
    """Return whether a launcher started this process with others."""
    return any(os.environ.get(name, "1") != "1" for name in WORLD_SIZES)


def is_quiet() -> bool:
    """Return whether only results and errors are to be printed."""
    return os.environ.get(QUIET_VARIABLE) == "1"
