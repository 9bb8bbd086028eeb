import dataclasses
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from datasets import DatasetDict
from safetensors.torch import load_file

from leccr.errors import UserError
from leccr.evaluation.evaluate import EvaluationOptions, evaluate_retrieval, run_evaluation
from leccr.models.calibration import load_calibration
from leccr.models.checkpoints import load_retriever
from leccr.models.model_encoder import ModelEncoder
from leccr.recipes import Change, Recipe, load_recipe, override_training
from leccr.training.train import CHECKPOINTS, RECIPE_FILE, run_training
from processing.storage import write_rows
from tests.tiny_data import recipe, row, scenes


@pytest.fixture(scope="module")
def data() -> DatasetDict:
    return scenes()


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


class TestRunTraining:
    @pytest.fixture
    def folder(self, data: DatasetDict, tmp_path: Path) -> Path:
        for split in ("train", "validation"):
            write_rows(tmp_path / "data", split, data[split])
        return tmp_path / "data"

    @staticmethod
    def run(tiny: Recipe, folder: Path, output: Path, **options: Any) -> None:
        run_training(dataclasses.replace(tiny, data=str(folder), languages=["de"]), output, **options)

    def test_a_folder_that_evaluation_loads(
        self, data: DatasetDict, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # The name of the folder does not say what is in it.
        output = tmp_path / "out"
        self.run(recipe(training={"num_train_epochs": 1}), folder, output)
        names = {path.name for path in output.iterdir()}
        assert {
            "config.json",
            "model.safetensors",
            "processor_config.json",
            "training.json",
            "calibration.json",
            CHECKPOINTS,
            RECIPE_FILE,
        } <= names
        assert {"modeling_leccr.py", "processing_leccr.py"} <= names
        assert f"leccr evaluate {output} {folder}" in capsys.readouterr().out
        report = json.loads((output / "training.json").read_text())
        assert report["data"] == {"rows": {"train": 12, "validation": 7}}
        model, processor = load_retriever(output)
        (measured,) = evaluate_retrieval(ModelEncoder(model, processor), data["validation"], ["de"])
        assert measured["sum_of_hit_rates"] == pytest.approx(report["validation"]["eval_de_sum_of_hit_rates"])
        written = load_calibration(output)
        run_evaluation([str(output)], str(folder), EvaluationOptions(languages=["de"]), calibrate=True)
        # Curves over the scores of the best weights, in training as in evaluation.
        again = load_calibration(output)
        assert written is not None and again is not None and "calibration" not in report
        assert written.languages["de"].slope == pytest.approx(again.languages["de"].slope, rel=1e-3, abs=1e-3)

    def test_its_recipe_repeats_the_run(self, folder: Path, tmp_path: Path) -> None:
        tiny = recipe(training={"num_train_epochs": 2}, model={"num_slots": 1}, seed=5, lora=4)
        self.run(override_training(tiny, {"learning_rate": "3e-3"}), folder, tmp_path / "one")
        saved = load_recipe(tmp_path / "one" / RECIPE_FILE)
        assert (saved.data, saved.languages, saved.seed, saved.lora) == (str(folder), ["de"], 5, 4)
        assert saved.training["learning_rate"] == 3e-3
        run_training(saved, tmp_path / "two")
        one, two = (weights(tmp_path / name) for name in ("one", "two"))
        assert one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())
        figures = []
        for name in ("one", "two"):
            report = json.loads((tmp_path / name / "training.json").read_text())
            assert not {"seed", "lora", "warm_start", "dual_encoder"} & report.keys()
            figures.append({key: value for key, value in report["validation"].items() if "_per_sec" not in key})
            figures[-1].pop("eval_runtime")
        assert figures[0] == figures[1] != {}
        assert (tmp_path / "two" / RECIPE_FILE).read_text() == (tmp_path / "one" / RECIPE_FILE).read_text()

    def test_what_towers_change_and_data_lack_is_told_before_training(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = [row(name, languages=[], description=None) for name in "abcd"]
        for split in ("train", "validation"):
            write_rows(folder, split, rows)
        tiny = recipe(data=str(folder), changes=(Change("model.softened_weight", 0.5, 0.0),))
        monkeypatch.setattr("leccr.training.train.train_recipe", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_training(tiny, tmp_path / "out")
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "The towers change recipe tiny:"
        assert lines[1] == "  model.softened_weight: 0.5 -> 0.0"
        assert f"leccr translate {folder} --to de" in lines[2] and f"leccr describe {folder}" in lines[3]

    def test_a_finished_run_can_be_resumed_for_longer(self, folder: Path, tmp_path: Path) -> None:
        output = tmp_path / "out"
        self.run(recipe(training={"num_train_epochs": 1}), folder, output)
        self.run(recipe(training={"num_train_epochs": 2}), folder, output, resume=True)
        assert json.loads((output / "training.json").read_text())["steps"] == 6

    def test_resuming_what_never_began_begins(self, folder: Path, tmp_path: Path) -> None:
        self.run(recipe(training={"max_steps": 1}), folder, tmp_path / "out", resume=True)
        assert (tmp_path / "out" / "model.safetensors").is_file()

    def test_a_folder_with_files_in_it_is_refused(self, folder: Path, tmp_path: Path) -> None:
        output = tmp_path / "out"
        output.mkdir()
        (output / "mine.txt").write_text("mine")
        with pytest.raises(UserError, match="is not empty; choose a new folder, or add --resume"):
            self.run(recipe(), folder, output)
        assert [path.name for path in output.iterdir()] == ["mine.txt"]

    @pytest.mark.parametrize("name", ["config.json", "checkpoints", "adapter/README.md", "model.safetensors"])
    def test_a_run_is_not_resumed_through_links(self, folder: Path, tmp_path: Path, name: str) -> None:
        victim = tmp_path / "precious"
        victim.write_text("precious")
        (tmp_path / "out" / name).parent.mkdir(parents=True)
        (tmp_path / "out" / name).symlink_to(victim)
        with pytest.raises(UserError, match=f"{name} is a link"):
            self.run(recipe(training={"max_steps": 1}), folder, tmp_path / "out", resume=True)
        assert victim.read_text() == "precious"

    def test_broken_pictures_are_skipped_if_wanted(
        self, data: DatasetDict, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        rows = [{**item, "image": {"bytes": b"text", "path": None}} for item in data["train"].select([0])]
        write_rows(folder, "train", [*rows, *data["train"].select(range(1, 12))])
        one_step = recipe(training={"num_train_epochs": 1})
        with pytest.raises(ValueError, match="The picture of row 'scenes-train-000000' cannot be decoded"):
            self.run(one_step, folder, tmp_path / "strict")
        self.run(dataclasses.replace(one_step, skip_broken=True), folder, tmp_path / "out")
        assert "train: skipped 1 of 12 rows" in capsys.readouterr().out

    def test_data_without_validation(self, data: DatasetDict, tmp_path: Path) -> None:
        write_rows(tmp_path / "data", "train", data["train"])
        with pytest.raises(UserError, match="The data have no rows in a validation split, only in train; prepare one."):
            self.run(recipe(), tmp_path / "data", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_language_that_is_not_there_writes_nothing(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=f"add some with: leccr translate {folder} --to sv"):
            run_training(recipe(data=str(folder), languages=["sv"]), tmp_path / "out")
        assert not (tmp_path / "out").exists()
