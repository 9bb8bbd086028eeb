"""Fields of training on the command line, in addition to a command's own options."""

import difflib
from collections.abc import Iterable
from typing import Any

from ..errors import UserError


class StrayWordError(UserError):
    """A word on the command line that belongs to no option."""


def parse_overrides(arguments: list[str], options: Iterable[str] = ()) -> dict[str, str]:
    """Return training settings written as `--field value`, `--field=value`, or `--field` for true.

    Args:
        arguments: What the command line has besides the command's own options. `-` and `_` are alike in names.
        options: The command's own options, such as `--towers`, of which a name may be a misspelt one.

    Raises:
        StrayWordError: A word does not belong to a field.
        UserError: A name is nearly one of the command's own options.
    """
    overrides: dict[str, str] = {}
    waiting = None
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            name = name.replace("-", "_")
            near = difflib.get_close_matches(argument.partition("=")[0], options, n=1, cutoff=0.85)
            if near:
                raise UserError(f"There is no option --{name}; did you mean {near[0]}?")
            overrides[name] = value if equals else "true"
            waiting = None if equals else name
        elif waiting:
            overrides[waiting] = argument
            waiting = None
        else:
            raise StrayWordError(f'"{argument}" belongs to no option: write --field value.')
    return overrides


def own_options(context: Any) -> list[str]:
    """Return the long names of a command's own options, such as `--towers`."""
    return [name for option in context.command.params for name in option.opts if name.startswith("--")]
