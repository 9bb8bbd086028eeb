"""Both stages of CL2CM from the command line, with the built-in recipes over tiny towers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from leccr.cli import app
from leccr.recipes import load_recipe
from processing.caption_embeddings import EMBEDDINGS_FILE
from processing.storage import write_rows
from tests.tiny_data import recipe, scenes

WORD_EMBEDDINGS = "text.tower.model.embeddings.word_embeddings.weight"


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


class Runs:
    """A folder with data, towers and what was trained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        for split, rows in scenes(8, 4, 2).items():
            write_rows(self.data, split, rows)
        tiny = recipe(training={"num_train_epochs": 1})
        names = ("vision", "text", "tokenizer", "image_processor", "processor", "training")
        # vision_grid is nothing that a text-only network has.
        model = {"projection_dim": 8, "interaction_heads": 2, "slot_layers": 1, "vision_grid": 1}
        towers = {name: getattr(tiny, name) for name in names} | {"model": model}
        (folder / "towers.yaml").write_text(yaml.safe_dump(towers))

    def train(self, recipe: str, name: str, *words: Any) -> Any:
        towers = self.folder / "towers.yaml"
        return run("train", recipe, "--data", self.data, "--towers", towers, "--out", self.folder / name, *words)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    made = Runs(tmp_path_factory.mktemp("cl2cm"))
    result = made.train("cl2cm", "too-early")
    assert result.exit_code == 2
    command = f"leccr embed-captions {made.data} --model TEACHER"
    assert result.stderr.splitlines()[-1] == (
        "Error: Recipe cl2cm learns from a teacher's embeddings of the captions, and the training rows have none; "
        f"make them with: {command}."
    )
    assert not (made.folder / "too-early").exists()
    teacher = made.folder / "teacher"
    result = made.train("cross-lingual", "teacher")
    assert result.exit_code == 0, result.output
    assert f"leccr embed-captions {made.data} --model {teacher}" in result.stdout
    result = run("embed-captions", made.data, "--model", teacher)
    assert result.exit_code == 0, result.output
    assert str(made.data / EMBEDDINGS_FILE) in result.stdout
    return made


def test_the_teacher_is_evaluated_by_sentences(runs: Runs) -> None:
    output = runs.folder / "teacher.json"
    result = run("evaluate", runs.folder / "teacher", runs.data, "--languages", "de,zh", "--out", output)
    assert result.exit_code == 0, result.output
    assert "target-to-source hit@1/5/10" in result.stdout
    figures = json.loads(output.read_text())
    assert [figure["language"] for figure in figures] == ["de", "zh"]
    assert figures[0]["protocol"]["rows"] == 4


@pytest.mark.parametrize("name", ["cl2cm", "leccr-cl2cm"])
def test_the_second_stage_learns_from_it(runs: Runs, name: str) -> None:
    assert runs.train(name, name).exit_code == 0
    report = json.loads((runs.folder / name / "training.json").read_text())
    assert (report["recipe"], report["teacher"]) == (name, str(runs.folder / "teacher"))
    config = json.loads((runs.folder / name / "config.json").read_text())
    assert config["transfer_weight"] > 0 and config["num_slots"] == (0 if name == "cl2cm" else 4)
    # Evaluation needs no teacher.
    result = run("evaluate", runs.folder / name, runs.data)
    assert result.exit_code == 0, result.output
    assert "text-to-image hit@1/5/10" in result.stdout


def test_a_warm_start(runs: Runs) -> None:
    teacher = runs.folder / "teacher"
    result = runs.train("cl2cm", "warm", "--warm-start", teacher, "--learning_rate", "1e-9")
    assert result.exit_code == 0, result.output
    torch.testing.assert_close(weights(runs.folder / "warm")[WORD_EMBEDDINGS], weights(teacher)[WORD_EMBEDDINGS])
    assert load_recipe(runs.folder / "warm" / "recipe.yaml").warm_start == str(teacher)
    assert run("evaluate", runs.folder / "warm", runs.data, "--languages", "de").exit_code == 0
    cold = runs.train("cl2cm", "cold", "--learning_rate", "1e-9")
    assert cold.exit_code == 0, cold.output
    assert not torch.allclose(weights(runs.folder / "cold")[WORD_EMBEDDINGS], weights(teacher)[WORD_EMBEDDINGS])


def test_captions_translated_again_need_new_embeddings(runs: Runs, tmp_path: Path) -> None:
    changed = Runs(tmp_path)
    (changed.data / EMBEDDINGS_FILE).write_bytes((runs.data / EMBEDDINGS_FILE).read_bytes())
    rows = list(scenes(8, 4, 2)["train"])
    rows[3]["target_captions"][0]["text"] += " neu"
    write_rows(changed.data, "train", rows)
    result = changed.train("cl2cm", "out")
    assert result.exit_code == 2
    assert f"captions of row {rows[3]['id']!r} have changed" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("make it again: leccr embed-captions DATA --model TEACHER.")
