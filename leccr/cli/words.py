"""What the command line takes beyond typer's own options: several words after one, and fields of training."""

from typing import Any

from typer.core import TyperCommand

from ..errors import UserError


def words_command(option: str) -> type[TyperCommand]:
    """Return a kind of command whose `option` takes several words, which an option of typer cannot."""

    class WordsCommand(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, repeat_option(args, option))

    return WordsCommand


def repeat_option(arguments: list[str], option: str) -> list[str]:
    """Return the arguments with `option a b` written as `option a option b`."""
    repeated: list[str] = []
    takes_words = False
    for argument in arguments:
        if argument.startswith("-"):
            takes_words = argument == option
        elif takes_words and repeated[-1] != option:
            repeated.append(option)
        repeated.append(argument)
    return repeated


def parse_overrides(arguments: list[str]) -> dict[str, str]:
    """Return training settings written as `--field value`, `--field=value`, or `--field` for true.

    Args:
        arguments: What the command line has besides the command's own options. `-` and `_` are alike in names.

    Raises:
        UserError: A word does not belong to a field.
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
            raise UserError(f'"{argument}" belongs to no option: write --field value.')
    return overrides
