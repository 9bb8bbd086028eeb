"""Lists on the command line: values separated by commas; an option may also be repeated."""

import os
from pathlib import Path
from textwrap import shorten

import typer

from ..errors import UserError

LONGEST_NUMBER = 9


def split_words(values: list[str] | None) -> list[str] | None:
    """Return the words of an option, for `typer.Option(callback=split_words)`.

    Args:
        values: What each occurrence of the option was given, such as `["de,fr", "cs"]`.

    Returns:
        All words in order, such as `["de", "fr", "cs"]`, or None if the option was not given.

    Raises:
        typer.BadParameter: There is no word between two commas.
    """
    if not values:
        return None
    words = [word.strip() for value in values for word in value.split(",")]
    if not all(words):
        raise typer.BadParameter(f"write values separated by commas, such as a,b, not {','.join(values)!r}.")
    return words


def split_numbers(values: list[str] | None) -> list[int] | None:
    """Return the whole numbers of an option, such as `[3, 4]` for `["3,4"]`, or None if it was not given.

    Raises:
        typer.BadParameter: A value is not a whole number.
    """
    words = split_words(values)
    if words is None:
        return None
    if not all(word.isdecimal() and len(word) <= LONGEST_NUMBER for word in words):
        given = shorten(",".join(words), 60)
        raise typer.BadParameter(f"write whole numbers separated by commas, such as 3,4, not {given!r}.")
    return [int(word) for word in words]


def split_shares(values: list[str] | None) -> list[float] | None:
    """Return the proportions of train, validation and test as shares of 1, or None if the option was not given.

    Raises:
        UserError: They are not three numbers, or all are 0.
    """
    numbers = split_numbers(values)
    if numbers is None:
        return None
    if len(numbers) != 3 or not sum(numbers):
        given = ",".join(map(str, numbers))
        raise UserError(f"--shares takes three numbers, for train, validation and test, not {given}.")
    return [number / sum(numbers) for number in numbers]


def split_paths(values: list[Path] | None) -> list[Path] | None:
    """Return the paths of an option; a value that exists as a whole is one path, whatever commas are in its name."""
    if not values:
        return None
    paths: list[Path] = []
    for value in values:
        words = [str(value)] if value.exists() else (split_words([str(value)]) or [])
        paths.extend(Path(word) for word in words)
    return paths


def split_models(value: str) -> list[str]:
    """Return the models of an argument such as `retriever,st:NAME`; a folder with a comma in its name is one model.

    Raises:
        typer.BadParameter: There is no name between two commas.
        UserError: A model is named twice.
    """
    if Path(value).exists():
        return [value]
    names = split_words([value]) or []
    places = [os.path.realpath(name) if os.path.exists(name) else name for name in names]
    for index, name in enumerate(names):
        if places[index] in places[:index]:
            raise UserError(f"The model {name} is named twice; name each model once.")
    return names


def comma_hint(arguments: list[str], options: set[str]) -> str | None:
    """Return how to write a list whose values were given with spaces between, or None if there is none.

    Args:
        arguments: The command's arguments, as typed.
        options: Names of the options that take lists, such as `{"--languages"}`.
    """
    for index, argument in enumerate(arguments):
        if argument not in options:
            continue
        words = []
        for word in arguments[index + 1 :]:
            if word.startswith("-"):
                break
            words.append(word.strip(","))
        if len(words) > 1:
            return f"Separate several values by commas: {argument} {','.join(words)}"
    return None
