import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from leccr.cli import app
from leccr.cli.data import READER_NAMES
from leccr.data.options import DescribeOptions, PrepareOptions, TranslateOptions
from processing.generation.language_codes import LANGUAGES
from processing.readers import READERS

from .test_app import stand_in


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def data(tmp_path: Path) -> str:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.parquet").touch()
    return str(tmp_path / "data")


@pytest.fixture
def preparation(monkeypatch: pytest.MonkeyPatch) -> Mock:
    return stand_in(monkeypatch, "leccr.data.prepare", "run_preparation")


@pytest.fixture
def description(monkeypatch: pytest.MonkeyPatch) -> Mock:
    return stand_in(monkeypatch, "leccr.data.describe", "run_description")


@pytest.fixture
def translation(monkeypatch: pytest.MonkeyPatch) -> Mock:
    return stand_in(monkeypatch, "leccr.data.translate", "run_translation")


def test_importing_the_commands_loads_nothing_heavy() -> None:
    program = (
        "import sys, leccr.cli.data\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'yaml', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_data_sets_that_can_be_prepared_are_named() -> None:
    assert (*READERS, "scenes") == READER_NAMES


def test_the_defaults_are_those_of_the_options(
    preparation: Mock, description: Mock, translation: Mock, data: str
) -> None:
    assert run("prepare", "scenes", "--out", "here").exit_code == 0
    preparation.assert_called_once_with("scenes", Path("here"), PrepareOptions())
    assert run("describe", data, "--model", "m", "--endpoint", "http://h").exit_code == 0
    description.assert_called_once_with(data, DescribeOptions(model="m", endpoint="http://h"))
    assert run("translate", data, "--to", "de", "--model", "m", "--endpoint", "http://h").exit_code == 0
    translation.assert_called_once_with(data, TranslateOptions(model="m", targets=["de"], endpoint="http://h"))


def test_prepare_hands_over_everything(preparation: Mock, tmp_path: Path, data: str) -> None:
    words = (
        f"five-languages --root {tmp_path} --out here --reference-images --languages de,fr --translation baidu,google "
        "--task 2 --reserved-captions 3,4 --source-language en --shares 8,1,1 --images photos --videos clips "
        f"--features i3d --descriptions texts --machine-only --disjoint-from {data} --disjoint-from {data} "
        "--allow-missing --allow-overlap --skip-broken"
    )
    result = run("prepare", *words.split())
    assert result.exit_code == 0, result.output
    options = PrepareOptions(
        root=tmp_path,
        embed_images=False,
        allow_missing=True,
        allow_overlap=True,
        skip_broken=True,
        machine_only=True,
        disjoint_from=[Path(data), Path(data)],
        languages=["de", "fr"],
        translation=["baidu", "google"],
        task=2,
        reserved_captions=[3, 4],
        source_language="en",
        shares=[0.8, 0.1, 0.1],
        images=Path("photos"),
        videos=Path("clips"),
        features="i3d",
        descriptions=Path("texts"),
    )
    preparation.assert_called_once_with("five-languages", Path("here"), options)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--reserved-captions", "3-4", "whole numbers separated by commas, such as 3,4, not '3-4'"),
        ("--shares", "90,10", "Error: --shares takes three numbers"),
        ("--shares", "0,0,0", "Error: --shares takes three numbers"),
    ],
)
def test_numbers_that_are_none(preparation: Mock, option: str, value: str, message: str) -> None:
    result = run("prepare", "folder", "--out", "here", option, value)
    assert result.exit_code == 2
    assert message in result.stderr
    preparation.assert_not_called()


def test_a_data_set_whose_files_are_missing(tmp_path: Path) -> None:
    result = run("prepare", "multi30k", "--root", str(tmp_path), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Multi30K task 1 is incomplete") and "train.de" in line and "val.cs" in line


def test_describe_hands_over_everything(description: Mock, data: str) -> None:
    words = (
        f"{data} --model m --endpoint http://host/v1 --out o --prompts single --revision r --frames 4 --batch-size 2 "
        "--dtype bf16 --device cuda:1 --temperature 0.5 --seed 3 --requests 4 --timeout 9 --key-env KEY "
        "--skip-broken --restart"
    )
    result = run("describe", *words.split())
    assert result.exit_code == 0, result.output
    options = DescribeOptions(
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
    description.assert_called_once_with(data, options)


def test_translate_hands_over_everything(translation: Mock, data: str) -> None:
    words = (
        f"{data} --to de,fr --to zh --model m --endpoint http://host/v1 --out o --system s --revision r "
        "--back-translate --back-model b --min-weight 0.3 --batch-size 2 --dtype fp16 --device cpu --beams 5 "
        "--max-new-tokens 64 --seed 3 --requests 4 --timeout 9 --key-env KEY --restart"
    )
    result = run("translate", *words.split())
    assert result.exit_code == 0, result.output
    options = TranslateOptions(
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
    translation.assert_called_once_with(data, options)


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
