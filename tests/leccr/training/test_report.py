import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import DatasetDict
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerCallback

from leccr.errors import UserError
from leccr.recipes import override_training
from leccr.training.report import LOSS, TERMS, VALIDATION, plot_training
from leccr.training.train import CHECKPOINTS, run_training, train_recipe
from modeling_leccr import CrossLingualOutput, LeccrOutput
from processing.storage import write_rows
from tests.tiny_data import DUAL_ENCODER, recipe, scenes, trainer_for

REPORT = {"recipe": "tiny", "selection": "best validation figure", "validation": {"step": 2}}


@pytest.fixture(scope="module")
def data() -> DatasetDict:
    return scenes()


@pytest.fixture(scope="module")
def folder(data: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "validation"):
        write_rows(folder, split, data[split])
    return folder


def texts_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that will hold every text of every figure that is saved."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    found: list[str] = []
    saved = Figure.savefig

    def savefig(figure: Figure, *arguments: Any, **options: Any) -> None:
        saved(figure, *arguments, **options)
        found.extend(item.get_text() for item in figure.findobj(Text) if item.get_text() and item.get_visible())

    monkeypatch.setattr(Figure, "savefig", savefig)
    return found


class Recorder(TrainerCallback):
    """Keeps what the model returned at each training step."""

    def __init__(self) -> None:
        self.outputs: list[Any] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        model.register_forward_hook(self.record)

    def record(self, model: Any, inputs: Any, output: Any) -> None:
        if model.training:
            self.outputs.append(output)


class TestLossTerms:
    def test_they_are_the_means_since_the_last_log(self, data: DatasetDict, tmp_path: Path) -> None:
        trainer = trainer_for(recipe(training={"logging_steps": 2}), data, tmp_path, ["de", "zh"])
        recorder = Recorder()
        trainer.add_callback(recorder)
        train_recipe(trainer, recipe())
        logged = [entry for entry in trainer.state.log_history if "loss" in entry]
        assert len(recorder.outputs) == 6 and [entry["step"] for entry in logged] == [2, 4, 6]
        for index, entry in enumerate(logged):
            outputs = recorder.outputs[2 * index : 2 * index + 2]
            terms = {name for name in outputs[0] if name.startswith("loss_")}
            assert {"loss_vision_source", "loss_slot_diversity", "loss_softened"} <= terms
            assert terms == {name for name in entry if name.startswith("loss_")}
            for name in terms:
                assert entry[name] == pytest.approx(torch.stack([output[name] for output in outputs]).mean().item())

    def test_the_total_is_their_weighted_sum(self, data: DatasetDict, tmp_path: Path) -> None:
        tiny = recipe(model=DUAL_ENCODER, training={"logging_steps": 1, "num_train_epochs": 1})
        trainer = trainer_for(tiny, data, tmp_path, ["de"])
        train_recipe(trainer, tiny)
        for entry in trainer.state.log_history:
            if "loss" in entry:
                terms = [entry[f"loss_{name}"] for name in ("vision_source", "vision_target", "source_target")]
                weights = (1.0, 1.0, trainer.model.config.source_target_weight)
                total = sum(weight * term for weight, term in zip(weights, terms))
                assert entry["loss"] == pytest.approx(total, abs=1e-4)

    def test_accumulated_batches_and_a_second_run(self, data: DatasetDict, tmp_path: Path) -> None:
        settings = {"logging_steps": 1, "num_train_epochs": 1, "gradient_accumulation_steps": 3}
        tiny = recipe(model=DUAL_ENCODER, training=settings)
        trainer = trainer_for(tiny, data, tmp_path, ["de"])
        recorder = Recorder()
        trainer.add_callback(recorder)
        trainer.train()
        (entry,) = [entry for entry in trainer.state.log_history if "loss" in entry]
        mean = torch.stack([output.loss_vision_source for output in recorder.outputs]).mean().item()
        assert len(recorder.outputs) == 3 and entry["loss_vision_source"] == pytest.approx(mean)
        assert len(trainer.model._forward_hooks) == 1, "only the recorder still listens"

    def test_text_only_and_lora_runs_have_them_too(self, data: DatasetDict, tmp_path: Path) -> None:
        settings = {"logging_steps": 1, "max_steps": 1}
        for name, tiny, term in (
            ("text", recipe(model={}, network="cross-lingual", training=settings), "loss_word"),
            ("lora", recipe(lora=2, training=settings), "loss_slot_vision"),
        ):
            trainer = trainer_for(tiny, data, tmp_path / name, ["de"])
            trainer.train()
            (entry,) = [entry for entry in trainer.state.log_history if "loss" in entry]
            assert entry[term] > 0

    def test_every_term_of_the_networks_has_a_title(self) -> None:
        fields = {*LeccrOutput.__dataclass_fields__, *CrossLingualOutput.__dataclass_fields__}
        assert {name for name in fields if name.startswith("loss")} == set(TERMS)


class TestTensorBoard:
    def test_the_terms_are_in_its_event_file(self, folder: Path, tmp_path: Path) -> None:
        tiny = override_training(
            recipe(training={"num_train_epochs": 1}), {"report_to": "tensorboard", "logging_steps": "1"}
        )
        output = tmp_path / "out"
        run_training(dataclasses.replace(tiny, data=str(folder), languages=["de"]), output)
        (events,) = (output / CHECKPOINTS / "runs").rglob("events.out.tfevents.*")
        board = EventAccumulator(str(events)).Reload()
        scalars = set(board.Tags()["scalars"])
        assert {"train/loss", "train/loss_vision_source", "train/loss_softened", "eval/sum_of_hit_rates"} <= scalars
        points = [(event.step, event.value) for event in board.Scalars("train/loss_softened")]
        assert [step for step, _ in points] == [1, 2, 3]
        assert all(0 < value < 100 for _, value in points)

    def test_without_it_the_error_names_the_package(
        self, data: DatasetDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("leccr.training.settings.is_tensorboard_available", lambda: False)
        tiny = recipe(training={"report_to": "tensorboard"})
        with pytest.raises(UserError, match="--report_to tensorboard needs TensorBoard: pip install tensorboard."):
            trainer_for(tiny, data, tmp_path)


class TestPlots:
    def test_a_run_draws_them(self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        output = tmp_path / "out"
        run_training(recipe(training={"logging_steps": 1}, data=str(folder), languages=["de"]), output, plots=True)
        assert {path.name for path in (output / "plots").iterdir()} == {LOSS, VALIDATION}
        for name in (LOSS, VALIDATION):
            with Image.open(output / "plots" / name) as picture:
                assert min(picture.size) > 400
        assert f"The plots are in {output / 'plots'}: {LOSS}, {VALIDATION}." in capsys.readouterr().out

    def test_without_being_asked_none(self, folder: Path, tmp_path: Path) -> None:
        run_training(recipe(training={"max_steps": 1}, data=str(folder), languages=["de"]), tmp_path / "out")
        assert not (tmp_path / "out" / "plots").exists()

    def test_titles_units_and_protocol(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        texts = texts_of(monkeypatch)
        history = [
            {"step": 1, "loss": 3.0, "loss_vision_source": 2.0, "loss_of_tomorrow": 1.0},
            {"step": 2, "eval_sum_of_hit_rates": 300.0, "eval_de_sum_of_hit_rates": 250.0},
        ]
        plot_training(tmp_path, history, REPORT, recipe(data="somewhere/else/photos", seed=3))
        printed = " ".join(" ".join(texts).split())
        assert {"Total, weighted", "Picture–source matching, L_vs", "of tomorrow"} <= set(texts)
        assert {"loss (nats)", "training step (optimiser updates)"} <= set(texts)
        assert {"SumR, sum of six hit rates (%, at most 600)", "de", "mean", "kept: step 2"} <= set(texts)
        assert "Recipe tiny, data else/photos, seed 3." in printed and "Selection: best validation figure." in printed

    def test_points_stand_where_they_were_logged(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import leccr.drawing.figures

        lines: dict[str, list[tuple[float, float]]] = {}
        save = leccr.drawing.figures.save

        def read(figure: Any, path: Path) -> None:
            save(figure, path)
            for axis in figure.axes:
                for line in axis.get_lines():
                    name = axis.get_title() if path.name == LOSS else str(line.get_label())
                    lines[name] = [tuple(point) for point in line.get_xydata().tolist()]

        monkeypatch.setattr(leccr.drawing.figures, "save", read)
        history = [
            {"step": 5, "loss": 3.0, "loss_word": 2.0},
            {"step": 9, "loss": 2.0},
            {"step": 9, "eval_sum_of_hit_rates": 300.0, "eval_de_sum_of_hit_rates": 250.0},
            {"step": 9, "train_loss": 2.5},
        ]
        plot_training(tmp_path, history, REPORT, recipe(data="scenes"))
        assert lines["Total, weighted"] == [(5, 3), (9, 2)] and lines["Word alignment"] == [(5, 2)]
        assert lines["de"] == [(9, 250)] and lines["mean"] == [(9, 300)]

    def test_what_was_not_logged_is_said(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert plot_training(tmp_path, [{"step": 1, "train_loss": 2.0}], REPORT, recipe(data="scenes")) == []
        printed = capsys.readouterr().out
        assert "try --logging_steps 1" in printed and "nothing was validated" in printed

    def test_a_figure_that_fails_leaves_the_old_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from matplotlib.figure import Figure

        history = [{"step": 1, "loss": 3.0}]
        plot_training(tmp_path, history, REPORT, recipe(data="scenes"))
        before = np.asarray(Image.open(tmp_path / LOSS))

        def fail(*_: Any, **__: Any) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(Figure, "savefig", fail)
        with pytest.raises(OSError, match="disk full"):
            plot_training(tmp_path, [{"step": 1, "loss": 9.0}], REPORT, recipe(data="scenes"))
        assert np.array_equal(before, np.asarray(Image.open(tmp_path / LOSS)))


def test_help_names_the_options() -> None:
    from typer.testing import CliRunner

    from leccr.cli import app

    for command in ("train", "evaluate"):
        assert re.search(r"--plots\b", CliRunner().invoke(app, [command, "--help"]).stdout)
