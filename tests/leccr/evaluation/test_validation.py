from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import DatasetDict

from leccr.evaluation.evaluate import evaluate_retrieval, evaluate_sentences
from leccr.evaluation.validation import RetrievalMetrics, SentenceMetrics
from leccr.models.model_encoder import ModelEncoder
from tests.tiny_data import DUAL_ENCODER, dataset, recipe, row, scenes, trainer_for


@pytest.fixture(scope="module")
def data() -> DatasetDict:
    return scenes()


class TestRetrievalMetrics:
    @pytest.mark.parametrize(
        "model", [None, DUAL_ENCODER, {"slot_source": "sentences"}], ids=["slots", "dual-encoder", "sentences"]
    )
    def test_they_are_those_of_evaluation(self, tmp_path: Path, model: dict[str, Any] | None) -> None:
        # Seven images in batches of four: the last batch is smaller, and still counts. Rows differ in captions and in
        # their numbers of sentences.
        said = [
            " ".join(f"This is {name} {number}." for number in range(index)) for index, name in enumerate("abcdefg")
        ]
        rows = dataset(
            [row(name, captions=1 + index % 3, description=said[index] or None) for index, name in enumerate("abcdefg")]
        )
        tiny = recipe(model=model)
        trainer = trainer_for(tiny, {"train": rows, "validation": rows}, tmp_path)
        metrics = trainer.evaluate()
        expected = evaluate_retrieval(ModelEncoder(trainer.model, trainer.processing_class), rows)
        assert [result["language"] for result in expected] == ["en", "de", "zh"]
        for result in expected:
            for name, value in result.items():
                if name not in ("language", "protocol"):
                    assert metrics[f"eval_{result['language']}_{name}"] == pytest.approx(value), name
        mean = sum(result["sum_of_hit_rates"] for result in expected) / 3
        assert metrics["eval_sum_of_hit_rates"] == pytest.approx(mean)
        assert metrics["eval_sum_of_hit_rates"] > 0

    def test_the_predictions_are_views_and_captions(self, data: DatasetDict, tmp_path: Path) -> None:
        trainer = trainer_for(recipe(), data, tmp_path, ["de"])
        views, captions = trainer.predict(trainer.eval_dataset).predictions
        assert views.shape == (7, 2, 8) and captions.shape == (7, 10, 8)

    def test_a_language_without_captions_is_left_out_of_the_mean(self) -> None:
        class Prediction:
            predictions = (torch.eye(2)[:, None].numpy(), torch.eye(2)[:, None].numpy())
            label_ids = torch.zeros(2, 1, dtype=torch.long).numpy()

        metrics = RetrievalMetrics(["en", "de"])(Prediction())  # type: ignore[arg-type]
        assert metrics["sum_of_hit_rates"] == metrics["en_sum_of_hit_rates"] == 600
        assert not [name for name in metrics if name.startswith("de")]


class TestSentenceMetrics:
    def test_they_are_those_of_evaluation(self, tmp_path: Path) -> None:
        # Rows differ in captions, the last batch is smaller, and one row has no source caption.
        rows = [row(name, captions=1 + index % 3, image=None) for index, name in enumerate("abcdefg")]
        validation = dataset([*rows, row("h", source_captions=[], image=None)])
        tiny = recipe(model={}, network="cross-lingual")
        trainer = trainer_for(tiny, {"train": dataset(rows), "validation": validation}, tmp_path)
        metrics = trainer.evaluate()
        expected = evaluate_sentences(ModelEncoder(trainer.model, trainer.processing_class), validation)
        assert [result["language"] for result in expected] == ["de", "zh"]
        for result in expected:
            for name, value in result.items():
                if name not in ("language", "protocol"):
                    assert metrics[f"eval_{result['language']}_{name}"] == pytest.approx(value), name
        assert "eval_de_target_to_source_hit_rate_1" in metrics
        mean = sum(result["sum_of_hit_rates"] for result in expected) / 2
        assert metrics["eval_sum_of_hit_rates"] == pytest.approx(mean)
        assert metrics["eval_sum_of_hit_rates"] > 0

    def test_languages_without_captions_and_padding_are_left_out(self) -> None:
        class Prediction:
            predictions = torch.tensor([[[1.0, 0], [0, 1]], [[0, 1], [1, 0]], [[0, 1], [0, 1]]])[:, [0, 0, 1]].numpy()
            label_ids = torch.tensor([[0, 1, -100], [0, 1, -100], [-100, -100, -100]]).numpy()

        metrics = SentenceMetrics(["en", "de", "zh"])(Prediction())  # type: ignore[arg-type]
        assert metrics["sum_of_hit_rates"] == metrics["de_sum_of_hit_rates"] == 600
        assert not [name for name in metrics if name.startswith(("en", "zh"))]
