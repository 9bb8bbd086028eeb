import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest
import typer
from typer.testing import CliRunner

import leccr.data.describe
import leccr.data.translate
from leccr.cli.generation import TranslateCommand, describe, translate
from processing.generation.language_codes import LANGUAGES

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(describe)
app.command(cls=TranslateCommand)(translate)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> Mock:
    mock = create_autospec(leccr.data.describe.run_description)
    monkeypatch.setattr("leccr.data.describe.run_description", mock)
    return mock


@pytest.fixture
def translation(monkeypatch: pytest.MonkeyPatch) -> Mock:
    mock = create_autospec(leccr.data.translate.run_translation)
    monkeypatch.setattr("leccr.data.translate.run_translation", mock)
    return mock


def defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}


def test_importing_the_commands_loads_nothing_heavy() -> None:
    program = (
        "import sys, leccr.cli.generation\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'yaml', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_defaults_are_those_of_the_functions(description: Mock, translation: Mock) -> None:
    assert run("describe", "d", "--model", "m").exit_code == 0
    description.assert_called_once_with("d", **{**defaults(leccr.data.describe.run_description), "model": "m"})
    assert run("translate", "d", "--to", "de", "--model", "m").exit_code == 0
    expected = {**defaults(leccr.data.translate.run_translation), "model": "m", "targets": ["de"]}
    translation.assert_called_once_with("d", **expected)


def test_describe_hands_over_everything(description: Mock) -> None:
    words = (
        "d --model m --endpoint http://host/v1 --out o --prompts single --revision r --frames 4 --batch-size 2 "
        "--dtype bf16 --device cuda:1 --temperature 0.5 --seed 3 --requests 4 --timeout 9 --key-env KEY "
        "--skip-broken --restart"
    )
    result = run("describe", *words.split())
    assert result.exit_code == 0, result.output
    description.assert_called_once_with(
        "d",
        model="m",
        endpoint="http://host/v1",
        output=Path("o"),
        prompts="single",
        revision="r",
        num_frames=4,
        batch_size=2,
        dtype="bf16",
        device="cuda:1",
        temperature=0.5,
        seed=3,
        requests=4,
        timeout=9.0,
        key_variable="KEY",
        skip_broken=True,
        restart=True,
    )


def test_translate_hands_over_everything(translation: Mock) -> None:
    words = (
        "d --to de fr zh --model m --endpoint http://host/v1 --out o --system s --revision r --back-translate "
        "--back-model b --min-weight 0.3 --batch-size 2 --dtype fp16 --device cpu --beams 5 --max-new-tokens 64 "
        "--seed 3 --requests 4 --timeout 9 --key-env KEY --restart"
    )
    result = run("translate", *words.split())
    assert result.exit_code == 0, result.output
    translation.assert_called_once_with(
        "d",
        targets=["de", "fr", "zh"],
        model="m",
        endpoint="http://host/v1",
        output=Path("o"),
        system="s",
        revision="r",
        back_translate=True,
        back_model="b",
        min_weight=0.3,
        batch_size=2,
        dtype="fp16",
        device="cpu",
        beams=5,
        max_new_tokens=64,
        seed=3,
        requests=4,
        timeout=9.0,
        key_variable="KEY",
        restart=True,
    )


def test_the_languages_can_be_listed(translation: Mock) -> None:
    result = run("translate", "--list")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == list(LANGUAGES)
    assert "zh    Chinese             zho_Hans" in result.stdout
    assert not translation.called


@pytest.mark.parametrize("words", ["describe d", "translate d --model m", "translate d --to de", "describe --model m"])
def test_what_is_needed_is_asked_for(description: Mock, translation: Mock, words: str) -> None:
    assert run(*words.split()).exit_code == 2
    assert not description.called and not translation.called
