"""What typer finds wrong with a command line, in one sentence that names the word and says what to do."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any, get_args

_NUMBERS = {int: "a whole number", float: "a number"}


def explain(error: Any, command: str, arguments: Sequence[str]) -> str:
    """Return a usage error of typer as one sentence.

    The kinds of error are told by their names and attributes, because typer does not export their classes.

    Args:
        error: The error.
        command: What was called, such as `leccr gallery add`.
        arguments: The words after `leccr`.
    """
    kind, parameter = type(error).__name__, getattr(error, "param", None)
    if kind == "NoSuchOption":
        return _no_option(error, command, arguments)
    if kind == "BadOptionUsage":
        if "does not take" in error.message:
            return f"{error.option_name} takes no value; write {error.option_name} alone."
        return f"{error.option_name} needs a value; `{command} --help` says which."
    if kind == "MissingParameter" and parameter is not None:
        return f"{_name(parameter)} is missing; add it{_said(parameter.help)}"
    if parameter is not None:
        return f"{_name(parameter)}{_refused(error, parameter)}"
    extra = re.search(r"extra argument.*\((.*)\)", error.message)
    words = list(takewhile(lambda word: not word.startswith("-"), arguments[1:]))
    if extra and command == "leccr evaluate" and len(words) > 2:
        return f'{command} has no use for "{extra[1]}"; several models have commas between: {",".join(words[:-1])}.'
    if extra:
        return f'{command} has no use for "{extra[1]}"; `{command} --help` says what it takes.'
    message = " ".join(error.message.split()).rstrip(".")
    return f"{message[:1].upper()}{message[1:]}; `{command} --help` says what it takes."


def unknown_command(typed: str, command: str, commands: Iterable[tuple[str, Any]]) -> str:
    """Return that there is no such command, and which one is near.

    Args:
        typed: The word where a command is expected.
        command: What it follows: `leccr`, or `leccr gallery`.
        commands: The commands there are, by name.
    """
    names = list(_all_names(commands))
    below = [name for name in names if name.rpartition(" ")[2] == typed]
    close = below or difflib.get_close_matches(typed, names, n=1)
    if close:
        return f'There is no command "{typed}"; did you mean `{command} {close[0]}`?'
    return f'There is no command "{typed}"; `{command} --help` lists them.'


def _all_names(commands: Iterable[tuple[str, Any]]) -> Iterator[str]:
    for name, command in commands:
        yield name
        for below in getattr(command, "commands", ()):
            yield f"{name} {below}"


def _no_option(error: Any, command: str, arguments: Sequence[str]) -> str:
    # typer reads `-model` as `-m` and so on.
    typed = next((word for word in arguments if word.startswith(error.option_name)), error.option_name)
    typed = typed.partition("=")[0]
    context = error.ctx
    options = [] if context is None else [name for option in context.command.params for name in option.opts]
    close = difflib.get_close_matches(f"--{typed.lstrip('-')}", [name for name in options if name[:2] == "--"], n=1)
    if close:
        return f"There is no option {typed}; did you mean {close[0]}?"
    return f"There is no option {typed}; `{command} --help` lists them."


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0])


def _said(help_text: str | None) -> str:
    if not help_text:
        return "."
    # The first word, unless it is a name such as NLLB-200.
    small = help_text[:1].lower() + help_text[1:] if help_text[1:2].islower() else help_text
    return f": {small.rstrip('.')}."


def _refused(error: Any, parameter: Any) -> str:
    """Return what a parameter takes, and what it was given; or what its own check said."""
    descriptor, cause = getattr(parameter, "type_descriptor", None), error.__cause__
    annotation = getattr(descriptor, "annotation", None)
    number = next((_NUMBERS[kind] for kind in (annotation, *get_args(annotation)) if kind in _NUMBERS), None)
    if number is None or not hasattr(cause, "errors"):
        return f": {error.message.rstrip('.')}."
    [first, *_] = cause.errors()
    return f' takes {number} from {parameter.min} to {parameter.max}, not "{first["input"]}".'
