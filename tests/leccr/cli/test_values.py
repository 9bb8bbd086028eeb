import re

import pytest
from typer.testing import CliRunner

from leccr.cli import app

from .test_every_command import commands


@pytest.mark.parametrize("name", commands(app))
def test_no_option_takes_a_type_of_python(name: str) -> None:
    said = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"}).stdout
    options = said.partition("Options:")[2]
    assert options and not re.findall(r"--?[a-z-]+ (?:<.*?>|TEXT|FLOAT|INTEGER|FILENAME)|RANGE", options)


def test_a_value_is_named_by_what_it_is() -> None:
    said = CliRunner().invoke(app, ["search", "--help"], env={"COLUMNS": "200"}).stdout
    for option in ("-k NUMBER", "--words WEIGHT", "--sheet PATH", "--model NAME", "--filter CONDITION"):
        assert option.removeprefix("--filter ") in said
