"""The option `--quiet` of all commands."""

import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from processing.notes import QUIET_VARIABLE

# What the libraries read when they are imported, which no command does before its options are read.
SETTINGS = {
    QUIET_VARIABLE: "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


def _be_quiet(asked: bool) -> None:
    if asked:
        os.environ.update(SETTINGS)


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", is_eager=True, callback=_be_quiet, help="Print results and errors only: no progress bars, no notes."
    ),
]


def with_quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command's function with the option `--quiet` added.

    It turns off progress bars and notes for this process and its children.
    """

    @functools.wraps(function)
    def command(*args: Any, quiet: bool = False, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    option = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet)
    signature = inspect.signature(function)
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), option]
    )
    command.__annotations__ = {**function.__annotations__, "quiet": Quiet}
    return command
