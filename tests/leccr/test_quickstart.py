import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from PIL import Image
from typer.testing import CliRunner

from leccr.cli import app
from leccr.errors import UserError
from leccr.hub.push import run_card
from leccr.quickstart import run_quickstart
from leccr.recipes import load_recipe
from processing.scenes.build import LANGUAGES

RECIPES = ("dual-encoder", "leccr")
SIZES = {"num_train": 32, "num_validation": 12, "num_test": 12}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quickstart") / "out"
    run_quickstart(folder, recipes=RECIPES, **SIZES)
    return folder


def test_results_have_every_recipe_and_language_with_the_protocol(output: Path) -> None:
    results = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert [(row["recipe"], row["language"]) for row in results] == [
        (recipe, language)
        for recipe in ("dual-encoder", "leccr")
        for language in ("en", *sorted(set(LANGUAGES) - {"en"}))
    ]
    assert {row["protocol"]["images"] for row in results} == {12}
    assert results[0]["protocol"]["split"] == "test"


def test_model_folder_is_ready_for_the_hub(output: Path) -> None:
    names = {path.name for path in (output / "model").iterdir()}
    assert {"config.json", "model.safetensors", "modeling_leccr.py", "processing_leccr.py", "tokenizer.json"} <= names
    config = json.loads((output / "model" / "config.json").read_text(encoding="utf-8"))
    assert set(config["auto_map"]) >= {"AutoConfig", "AutoModel"}


def test_its_card_says_what_it_was_trained_on_and_how(output: Path) -> None:
    card = run_card(output / "model").read_text(encoding="utf-8")
    assert "Training data: Scenes (rows: 32 train, 12 validation)" in card and "does not record" not in card
    assert "| `learning_rate` | 0.001 |" in card and "Vision tower: `resnet`, trained from scratch." in card


def test_pictures_are_saved(output: Path) -> None:
    with Image.open(output / "answers.png") as sheet:
        assert sheet.width > 500
    assert len(list((output / "pictures").glob("*.png"))) == 12
    described = [
        json.loads(line) for line in (output / "pictures" / "descriptions.jsonl").read_text("utf-8").splitlines()
    ]
    assert [row["id"] for row in described] == [f"{number}.png" for number in range(12)]
    assert all(row["description"] for row in described)


def test_its_recipe_says_what_was_run(output: Path) -> None:
    recipe = load_recipe(output / "model" / "recipe.yaml")
    assert (recipe.data, recipe.seed, recipe.languages) == ("scenes", 0, sorted(set(LANGUAGES) - {"en"}))


def test_a_finished_quickstart_is_shown_again(
    output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("leccr.quickstart._compare", Mock(side_effect=AssertionError("trained again")))
    rows = run_quickstart(output, recipes=RECIPES, **SIZES)
    assert rows == json.loads((output / "results.json").read_text(encoding="utf-8"))
    said = capsys.readouterr().out
    assert "dual-encoder" in said and "--overwrite, or choose another folder with --out" in said
    with pytest.raises(UserError, match="holds another quickstart; start over with --overwrite"):
        run_quickstart(output, seed=1, recipes=RECIPES, **SIZES)
    # Not all of the three recipes, nor as many scenes.
    result = CliRunner().invoke(app, ["quickstart", "--out", str(output)])
    assert result.exit_code == 2 and "holds another quickstart" in result.stderr


def test_starting_over_leaves_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(output: Path, *_: Any) -> list[Any]:
        (output / "model").mkdir()
        (output / "mine.txt").write_text("mine", encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr("leccr.quickstart._compare", stop)
    for overwrite in (False, True):
        with pytest.raises(KeyboardInterrupt):
            run_quickstart(tmp_path / "out", overwrite=overwrite)
    monkeypatch.setattr("leccr.quickstart._compare", lambda *_: [])
    # The same command, after a disk that was full, or Ctrl-C.
    assert run_quickstart(tmp_path / "out") == []
    assert "was stopped before its end; it starts over" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mine.txt", "quickstart.json"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_files_is_refused(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is not empty and holds no quickstart; choose another folder with --out"):
        run_quickstart(tmp_path, overwrite=overwrite, **SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
