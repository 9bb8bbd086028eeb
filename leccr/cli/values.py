"""What the help calls the value of an option: a number, a name or a path, and not a type of Python."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from typer.models import OptionInfo

NAMES: dict[Any, str] = {int: "NUMBER", float: "NUMBER", str: "NAME", Path: "PATH"}


def name_values(command: Callable[..., Any]) -> None:
    """Give all options of a command that have a value and no word for it, the one of `NAMES` for their type."""
    for parameter in inspect.signature(command).parameters.values():
        annotated, *infos = get_args(parameter.annotation) or (None,)
        kind = next((kind for kind in (annotated, *get_args(annotated)) if kind in NAMES), None)
        for info in infos:
            if isinstance(info, OptionInfo) and info.metavar is None and kind is not None:
                info.metavar = NAMES[kind]
