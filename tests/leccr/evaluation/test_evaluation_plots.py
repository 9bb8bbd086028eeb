from pathlib import Path
from typing import Any

import pytest
import torch

from leccr.evaluation.evaluate import EvaluationOptions, run_evaluation
from leccr.evaluation.metrics import IMAGE_DIRECTIONS
from leccr.evaluation.plots import (
    HIT_RATES,
    RANKS,
    WORST,
)
from leccr.models.build import build_model, build_processor, training_texts
from leccr.training.train import save_retriever
from processing.features import FEATURES_FILE, save_features
from processing.storage import write_rows
from tests.tiny_data import DUAL_ENCODER, dataset, picture, recipe, row

from .drawn import texts_of

COLOURS = ("red", "lime", "blue", "white", "black")
ROWS = [row(name, captions=2, image=picture(name)) for name in COLOURS]


def without_speed(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if not name.endswith("_per_second")}


class TestRunEvaluation:
    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        torch.manual_seed(0)
        ours = recipe()
        processor = build_processor(ours, training_texts(dataset(ROWS)))
        save_retriever(tmp_path / "model", build_model(ours, processor), processor, {"selection": "none"})
        return tmp_path / "model"

    def test_the_command_draws_what_it_prints(
        self, checkpoint: Path, tmp_path: Path, figures: dict[str, Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_rows(tmp_path / "data", "validation", ROWS)
        options = EvaluationOptions(languages=["de", "zh"])
        results = run_evaluation([str(checkpoint)], str(tmp_path / "data"), options, plots=tmp_path / "plots")
        again = run_evaluation([str(checkpoint)], str(tmp_path / "data"), options)
        assert [without_speed(result) for result in results] == [without_speed(result) for result in again]
        assert f"The plots are in {tmp_path / 'plots'}" in capsys.readouterr().out
        for axis, direction in zip(figures[HIT_RATES].axes, IMAGE_DIRECTIONS):
            for line, result in zip(axis.get_lines(), results):
                assert line.get_label() == result["language"]
                assert [line.get_ydata()[k - 1] for k in (1, 5)] == pytest.approx(
                    [result[f"{direction}_hit_rate_{k}"] for k in (1, 5)]
                )
        assert "selected by: none" in texts_of(figures[HIT_RATES])

    def test_features_without_pictures(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        torch.manual_seed(0)
        rows = [{**item, "image": None} for item in ROWS]
        write_rows(tmp_path / "data", "validation", rows)
        save_features(tmp_path / "data" / FEATURES_FILE, list(COLOURS), [torch.randn(1, 6) for _ in COLOURS])
        from processing.features import FeatureFile

        ours = recipe(vision=None, model=DUAL_ENCODER)
        processor = build_processor(ours, training_texts(dataset(ROWS)))
        model = build_model(ours, processor, FeatureFile(tmp_path / "data"))
        save_retriever(tmp_path / "model", model, processor)
        run_evaluation(
            [str(tmp_path / "model")],
            str(tmp_path / "data"),
            EvaluationOptions(languages=["de"]),
            plots=tmp_path / "plots",
        )
        assert "the data have no pictures" in capsys.readouterr().out
        assert not (tmp_path / "plots" / WORST).exists() and (tmp_path / "plots" / HIT_RATES).exists()

    def test_a_text_only_checkpoint(self, tmp_path: Path) -> None:
        rows = [*ROWS, row("silent", source_captions=[], image=None)]
        write_rows(tmp_path / "data", "validation", rows)
        ours = recipe(model={}, network="cross-lingual")
        tokenizer = build_processor(ours, training_texts(dataset(ROWS)))
        save_retriever(tmp_path / "teacher", build_model(ours, tokenizer), tokenizer)
        results = run_evaluation([str(tmp_path / "teacher")], str(tmp_path / "data"), plots=tmp_path / "plots")
        assert [result["protocol"]["rows"] for result in results] == [5, 5]
        names = {path.name for path in (tmp_path / "plots").iterdir()}
        assert names == {HIT_RATES, RANKS, "similarity_de.png", "similarity_zh.png"}
