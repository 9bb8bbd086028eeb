"""Options that several commands share."""

import math
from typing import Annotated, Any

import typer

from processing.device import check_names

from .lists import split_words


def _known_device(name: str) -> str:
    check_names(device=name)
    return name


def _known_dtype(name: str) -> str:
    check_names(dtype=name)
    return name


def is_number(value: float | None) -> float | None:
    """Return a number of the command line, for `typer.Option(callback=is_number)`: nan is in every range.

    Args:
        value: The number; None where the option is not given.

    Raises:
        typer.BadParameter: It is nan.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is not a number.")
    return value


Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        callback=_known_device,
        help="Where the model runs: auto (a GPU if there is one), cpu, cuda, cuda:1 or mps.",
    ),
]
Workers = Annotated[int, typer.Option(min=1, max=1024, help="Decoding threads, or processes.")]
Processes = Annotated[
    bool, typer.Option("--processes", help="Decode in processes, for many processor cores; on Linux.")
]
Dtype = Annotated[
    str,
    typer.Option(
        "--dtype",
        metavar="NAME",
        callback=_known_dtype,
        help="Precision of the model: auto (as it was saved), fp32, bf16 or fp16.",
    ),
]
SEEDS: dict[str, Any] = {"min": 0, "max": 2**32 - 1}
"""What all libraries take as a seed."""
DescriptionWeight = Annotated[
    float | None,
    typer.Option(
        metavar="W", min=0, max=1, help="For dual encoders: how much a description's sentences count, such as 0.2."
    ),
]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code: read it first.")]
Towers = Annotated[str | None, typer.Option(help="Built-in towers or a YAML file, instead of the recipe's own.")]
WarmStart = Annotated[
    str | None, typer.Option(metavar="TEACHER", help="Model whose text tower and tokenizer to start from.")
]
DualEncoder = Annotated[
    str | None, typer.Option(metavar="NAME", help="CLIP, SigLIP or similar to start from: Hub name or folder.")
]
Lora = Annotated[
    int | None, typer.Option(metavar="RANK", min=1, max=4096, help="Train the towers by LoRA of this rank, such as 16.")
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN,...",
        callback=split_words,
        help="Leave out files and folders, as in a .gitignore: 'raw/,*.png'. Remembered for the folder.",
    ),
]
Ocr = Annotated[bool, typer.Option("--ocr", help="Read what is written in pictures, for words (extra ocr).")]
