"""Fields of training on the command line, in addition to a command's own options."""

from ..errors import UserError


class StrayWordError(UserError):
    """A word on the command line that belongs to no option."""


def parse_overrides(arguments: list[str]) -> dict[str, str]:
    """Return training settings written as `--field value`, `--field=value`, or `--field` for true.

    Args:
        arguments: What the command line has besides the command's own options. `-` and `_` are alike in names.

    Raises:
        StrayWordError: A word does not belong to a field.
    """
    overrides: dict[str, str] = {}
    waiting = None
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            name = name.replace("-", "_")
            overrides[name] = value if equals else "true"
            waiting = None if equals else name
        elif waiting:
            overrides[waiting] = argument
            waiting = None
        else:
            raise StrayWordError(f'"{argument}" belongs to no option: write --field value.')
    return overrides
