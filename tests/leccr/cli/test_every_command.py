import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import leccr.recipes
from leccr.cli import app
from tests.crashes import command, needs_forks
from tests.leccr.gallery import tiny_gallery


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_a_reader_that_closes_the_pipe_ends_the_program_quietly() -> None:
    program = (
        "import sys\nfrom leccr.cli import app\nimport leccr.cli.data\nimport typer\napp(['translate', '--list'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() != 0


def test_the_version_is_shown() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"leccr {leccr.__version__}\n")


def test_completion_can_be_installed() -> None:
    assert "--install-completion" in run("--help").stdout


def commands(typer_app: typer.Typer) -> list[str]:
    names = [one.name or str(getattr(one.callback, "__name__", "")) for one in typer_app.registered_commands]
    for group in typer_app.registered_groups:
        assert group.typer_instance is not None
        names += [f"{group.name} {name}" for name in commands(group.typer_instance)]
    return [name.replace("_", "-") for name in names]


@pytest.mark.parametrize("name", commands(app))
def test_every_command_can_be_quiet(name: str) -> None:
    result = run(*name.split(), "--help")
    assert result.exit_code == 0
    assert "--quiet" in result.stdout


@needs_forks
def test_quiet_turns_off_notes_and_progress_bars_and_keeps_results(tmp_path: Path) -> None:
    for number in range(3):
        tiny_gallery.paint(tmp_path / "photos" / f"{number}.png", number)
    words = ["prepare", "folder", "--root", str(tmp_path / "photos"), "--out"]
    loud = command([*words, str(tmp_path / "a")])
    quiet = command([*words, str(tmp_path / "b"), "--quiet"])
    assert loud[0] == quiet[0] == 0, quiet
    assert "The data set is in" in loud[1]
    assert "The data set is in" not in quiet[1]
    assert "| gallery" in quiet[1]
    assert quiet[2] == ""


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ("evaluate model data --languages de fr", "--languages de,fr"),
        ("translate data --model m --to de, fr", "--to de,fr"),
        ("train leccr --out o --languages de fr --seed 1", "--languages de,fr"),
        ("prepare folder --out o --shares 80 10 10", "--shares 80,10,10"),
    ],
)
def test_a_list_with_spaces_is_answered_with_the_comma_form(words: str, form: str) -> None:
    result = run(*words.split())
    assert result.exit_code == 2
    assert result.stderr.endswith(f". Separate several values by commas: {form}\n")
    assert "--help" not in result.stderr and result.stderr.count("\n") == 1
