from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from leccr.cli import app

from .test_app import stand_in


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["prepare", *arguments])


@pytest.fixture
def preparation(monkeypatch: pytest.MonkeyPatch) -> Mock:
    return stand_in(monkeypatch, "leccr.data.prepare", "run_preparation")


def test_everything_is_handed_over(preparation: Mock) -> None:
    words = (
        "five-languages --root raw --out here --reference-images --languages de fr --translation baidu,google --task 2 "
        "--reserved-captions 3,4 --source-language en --shares 8,1,1 --images photos --videos clips --features i3d "
        "--descriptions texts --machine-only --disjoint-from a --disjoint-from b --allow-missing --allow-overlap "
        "--skip-broken"
    )
    result = run(*words.split())
    assert result.exit_code == 0, result.output
    preparation.assert_called_once_with(
        "five-languages",
        Path("raw"),
        output=Path("here"),
        embed_images=False,
        allow_missing=True,
        allow_overlap=True,
        skip_broken=True,
        machine_only=True,
        disjoint_from=[Path("a"), Path("b")],
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


def test_what_is_not_said_is_left_to_the_reader(preparation: Mock) -> None:
    assert run("scenes", "--out", "here").exit_code == 0
    given = {name: value for name, value in preparation.call_args.kwargs.items() if value}
    assert given == {"output": Path("here"), "embed_images": True}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--reserved-captions", "3-4", "Error: --reserved-captions takes whole numbers with commas between"),
        ("--shares", "90,10", "Error: --shares takes three numbers"),
        ("--shares", "0,0,0", "Error: --shares takes three numbers"),
    ],
)
def test_numbers_that_are_none(preparation: Mock, option: str, value: str, message: str) -> None:
    result = run("folder", "--out", "here", option, value)
    assert result.exit_code == 2
    assert message in result.stderr
    preparation.assert_not_called()


def test_a_data_set_that_is_not_there(tmp_path: Path) -> None:
    result = run("multi30k", "--root", str(tmp_path), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: Multi30K task 1 is incomplete") and "train.de" in line and "val.cs" in line
