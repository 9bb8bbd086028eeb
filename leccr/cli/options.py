"""Options that several commands share."""

from typing import Annotated

import typer

from processing.device import check_names


def _known_device(name: str) -> str:
    check_names(device=name)
    return name


def _known_dtype(name: str) -> str:
    check_names(dtype=name)
    return name


Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        callback=_known_device,
        help="Where the model runs: auto (a GPU if there is one), cpu, cuda, cuda:1 or mps.",
    ),
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
