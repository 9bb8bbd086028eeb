"""Numbers on the command line that make no sense: each is told in one sentence, before anything is done."""

import inspect
import math
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer
from typer.testing import CliRunner

from leccr.cli import app


def numbers(commands: typer.Typer, prefix: str = "") -> Iterator[tuple[str, tuple[type, Any]]]:
    """Yield each option that takes a number, after its command, with its type and what else is said about it."""
    for command in commands.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        for parameter in inspect.signature(command.callback).parameters.values():
            kind, *about = get_args(parameter.annotation) or (None,)
            kinds = {kind, *get_args(kind)} & {int, float}
            if kinds:
                # The first name is where a default was before there was `Annotated`.
                first = about[0].default
                option = first if isinstance(first, str) else f"--{parameter.name.replace('_', '-')}"
                yield f"{prefix}{name} {option}", (kinds.pop(), about[0])
    for group in commands.registered_groups:
        assert group.typer_instance is not None
        yield from numbers(group.typer_instance, f"{group.name} ")


NUMBERS = dict(numbers(app))
ABSURD = ["-1", "0", "-0.5", str(10**12), "9" * 5000, "nan", "-nan", "inf", "-inf", "1e999", "", "two", "0x10", "1,5"]


def accepts(kind: type, bounds: Any, value: str) -> bool:
    """Return whether a value is a number of the option's kind, and in its range."""
    try:
        return bool(bounds.min <= kind(value) <= bounds.max)
    except ValueError:
        return False


def test_all_options_with_numbers_are_found() -> None:
    assert {"search -k", "translate --beams", "describe --timeout", "train --seed", "prepare --task"} <= set(NUMBERS)
    assert len(NUMBERS) > 25


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_smallest_and_a_largest_value(name: str) -> None:
    _, bounds = NUMBERS[name]
    assert math.isfinite(bounds.min) and math.isfinite(bounds.max) and 0 <= bounds.min < bounds.max <= 2**32


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_make_no_sense_are_one_sentence(name: str) -> None:
    command, option = name.rsplit(" ", 1)
    refused = [value for value in ABSURD if not accepts(*NUMBERS[name], value)]
    assert len(refused) >= len(ABSURD) - 2
    # Each option with every third value, and each value with every third option.
    for value in refused[list(NUMBERS).index(name) % 3 :: 3]:
        done = CliRunner().invoke(app, [*command.split(), f"{option}={value}" if option != "-k" else f"-k{value}"])
        errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert done.exit_code == 2 and len(errors) == 1, (value[:20], done.output)
        assert option in errors[0], errors


@pytest.mark.parametrize("value", ["-1", "1e3", "nan", "inf", str(10**12), "9" * 5000, "²", "1,,2", "", "0x1"])
@pytest.mark.parametrize("option", ["--shares", "--reserved-captions"])
def test_lists_of_numbers_that_make_no_sense_are_one_sentence(option: str, value: str, tmp_path: Any) -> None:
    words = ["prepare", "flickr8k-cn", "--root", str(tmp_path), "--out", str(tmp_path / "new"), f"{option}={value}"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2 and "separated by commas" in done.stderr, done.output
    assert not (tmp_path / "new").exists()
