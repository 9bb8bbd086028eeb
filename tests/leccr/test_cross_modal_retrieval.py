import doctest
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import evaluate
import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import AP, Success
from transformers import EvalPrediction

import leccr
from leccr.evaluation.evaluate import evaluate_retrieval
from leccr.evaluation.metrics import CUTOFFS, retrieval_metrics
from leccr.evaluation.ranks import retrieval_ranks
from leccr.models.build import build_model, build_processor, training_texts
from leccr.models.model_encoder import ModelEncoder
from processing.captions import captions_by_language
from tests.tiny_data import dataset, picture, recipe, row, scenes, trainer_for

FOLDER = Path(leccr.__file__).parent / "cross_modal_retrieval"
COLOURS = ("red", "green", "blue", "white", "black")


@pytest.fixture
def metric(tmp_path: Path) -> Any:
    return evaluate.load(str(FOLDER), cache_dir=str(tmp_path / "cache"))


def example(texts: int = 60, images: int = 23, views: int = 3, width: int = 8) -> dict[str, torch.Tensor]:
    """Return random embeddings; the last images have no text."""
    generator = torch.Generator().manual_seed(0)
    return {
        "predictions": torch.randn(texts, width, generator=generator),
        "references": torch.randint(images - 3, (texts,), generator=generator),
        "image_views": torch.randn(images, views, width, generator=generator),
    }


def own_figures(given: dict[str, torch.Tensor]) -> dict[str, float]:
    return retrieval_metrics(retrieval_ranks(given["predictions"], given["image_views"], given["references"]))


class TestFigures:
    @pytest.mark.parametrize("kind", ["tensors", "arrays", "lists", "float64"])
    def test_they_are_those_of_the_library(self, metric: Any, kind: str) -> None:
        given = example()
        convert: Any = {
            "tensors": lambda value: value,
            "arrays": lambda value: value.numpy(),
            "lists": lambda value: value.tolist(),
            "float64": lambda value: value.numpy().astype(np.float64 if value.is_floating_point() else np.int32),
        }[kind]
        measured = metric.compute(**{name: convert(value) for name, value in given.items()}, chunk_size=7)
        assert measured == own_figures(given)

    def test_they_are_those_of_evaluation(self, metric: Any) -> None:
        rows = [row(name, captions=1 + index % 3, image=picture(name)) for index, name in enumerate(COLOURS)]
        rows = dataset([*rows, row("grey", target_captions=None, image=picture("grey"))])
        torch.manual_seed(0)
        processor = build_processor(recipe(), training_texts(rows))
        model = build_model(recipe(), processor).eval()
        expected = evaluate_retrieval(ModelEncoder(model, processor), rows)
        assert len({result["text_to_image_mean_average_precision"] for result in expected}) > 1
        views = ModelEncoder(model, processor).row_views(rows)
        for result in expected:
            captions = [
                (index, text)
                for index, item in enumerate(rows)
                for text in captions_by_language(item).get(result["language"], [])
            ]
            texts = ModelEncoder(model, processor).texts([text for _, text in captions])
            measured = metric.compute(predictions=texts, references=[index for index, _ in captions], image_views=views)
            assert measured == {name: value for name, value in result.items() if name not in ("language", "protocol")}

    def test_an_independent_library_finds_them_too(self, metric: Any) -> None:
        given = example()
        measured = metric.compute(**given)
        scores = torch.einsum("td,nkd->tnk", given["predictions"], given["image_views"]).amax(dim=2).tolist()
        pairs = [(str(text), str(image)) for text, image in enumerate(given["references"].tolist())]
        cells = [(str(text), str(image), score) for text, line in enumerate(scores) for image, score in enumerate(line)]
        for direction, flip in (("text_to_image", False), ("image_to_text", True)):
            # The independent library averages over the queries with a relevant document, as this package does.
            relevant = [ir_measures.Qrel(*(pair[::-1] if flip else pair), 1) for pair in pairs]
            answers = [
                ir_measures.ScoredDoc(image, text, score) if flip else ir_measures.ScoredDoc(text, image, score)
                for text, image, score in cells
            ]
            measures = [AP, *(Success @ cutoff for cutoff in CUTOFFS)]
            independent = ir_measures.calc_aggregate(measures, relevant, answers)
            assert measured[f"{direction}_mean_average_precision"] == pytest.approx(100 * independent[AP], abs=1e-6)
            for cutoff in CUTOFFS:
                assert measured[f"{direction}_hit_rate_{cutoff}"] == pytest.approx(100 * independent[Success @ cutoff])
            assert 0 <= independent[Success @ 1] < independent[Success @ 5] < independent[Success @ 10] < 1

    def test_flat_views_are_one_each(self, metric: Any) -> None:
        given = example(views=1)
        assert metric.compute(**{**given, "image_views": given["image_views"][:, 0]}) == own_figures(given)

    def test_nan_counts_against_the_model(self, metric: Any) -> None:
        given = example()
        given["predictions"][:] = float("nan")
        measured = metric.compute(**given)
        assert measured["sum_of_hit_rates"] == 0 and measured["text_to_image_median_rank"] == 23

    def test_half_precision(self, metric: Any) -> None:
        given = example()
        halves = {name: value.bfloat16() if value.is_floating_point() else value for name, value in given.items()}
        rounded = {name: value.float() if value.is_floating_point() else value for name, value in halves.items()}
        assert metric.compute(**halves) == own_figures(rounded)

    def test_the_documented_keys_and_no_others(self, metric: Any) -> None:
        names = {f"hit_rate_{cutoff}" for cutoff in CUTOFFS} | {"median_rank", "mean_average_precision"}
        keys = {f"{direction}_{name}" for direction in ("text_to_image", "image_to_text") for name in names}
        assert set(metric.compute(**example())) == keys | {"sum_of_hit_rates"}
        documented = metric.inputs_description + (FOLDER / "README.md").read_text()
        assert all(name in documented for name in ("hit_rate_1", "_5", "_10", "median_rank", "sum_of_hit_rates"))

    def test_the_example_in_its_description(self) -> None:
        test = doctest.DocTestParser().get_doctest(
            evaluate.load(str(FOLDER)).inputs_description,
            {"evaluate": evaluate, "path": str(FOLDER)},
            "metric",
            None,
            0,
        )
        assert len(test.examples) == 3
        assert doctest.DocTestRunner().run(test).failed == 0


class TestBatches:
    def test_they_add_up(self, metric: Any) -> None:
        given = example()
        for start in range(0, 60, 25):
            part = slice(start, start + 25)
            metric.add_batch(predictions=given["predictions"][part], references=given["references"][part])
        assert len(metric) == 60
        assert metric.compute(image_views=given["image_views"]) == own_figures(given)

    def test_they_may_lie_in_the_same_memory_one_after_the_other(self, metric: Any) -> None:
        given = example()
        memory, places = torch.empty(20, 8), torch.empty(20, dtype=torch.long)
        for start in range(0, 60, 20):
            memory[:], places[:] = (given[name][start : start + 20] for name in ("predictions", "references"))
            metric.add_batch(predictions=memory, references=places)
        assert metric.compute(image_views=given["image_views"]) == own_figures(given)

    def test_they_take_no_file(self, metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("evaluate.module.ArrowWriter", lambda *args, **options: pytest.fail("A file was begun."))
        given = example()
        assert metric.compute(**given) == own_figures(given)

    def test_several_processes_hand_them_over_in_files(self, tmp_path: Path) -> None:
        given = example()
        processes = [
            evaluate.load(str(FOLDER), cache_dir=str(tmp_path), num_process=2, process_id=number, experiment_id="two")
            for number in range(2)
        ]
        figures: dict[int, Any] = {}

        def work(number: int) -> None:
            half = slice(number * 30, number * 30 + 30)
            processes[number].add_batch(predictions=given["predictions"][half], references=given["references"][half])
            figures[number] = processes[number].compute(image_views=given["image_views"])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert figures == {0: own_figures(given), 1: None}

    def test_each_computation_starts_afresh(self, metric: Any) -> None:
        metric.compute(**example(texts=10))
        given = example(texts=20)
        assert metric.compute(**given) == own_figures(given)

    def test_one_at_a_time(self, metric: Any) -> None:
        given = example(texts=5)
        for text, index in zip(given["predictions"], given["references"]):
            metric.add(prediction=text.numpy(), reference=index.item())
        assert metric.compute(image_views=given["image_views"]) == own_figures(given)


class TestBadInput:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"image_views": None}, "compute needs image_views, the embeddings (N, K, D) of all images."),
            ({"predictions": None}, "predictions are missing."),
            ({"references": None}, "references are missing."),
            ({"predictions": None, "references": None}, "There are no texts: give compute predictions and references"),
            ({"references": [0] * 59}, "60 predictions have 59 references; each text needs one."),
            ({"references": [0] * 59 + [23]}, "There is no image 23: references count from 0 to 22."),
            ({"references": [0] * 59 + [-1]}, "There is no image -1: references count from 0 to 22."),
            ({"references": [0.5] * 60}, "references must be (T,) integers, positions of images, but are float64"),
            (
                {"predictions": [1.0] * 60},
                "predictions must be text embeddings (T, D), but are float64 of the shape (60,)",
            ),
            ({"predictions": [[1.0]] * 59 + [[1.0, 2.0]]}, "predictions must be one array, but rows differ in shape."),
            ({"predictions": [["a"]] * 60}, "predictions must be text embeddings (T, D), but are <U1"),
            ({"image_views": torch.ones(23, 3, 7)}, "image_views must be embeddings (N, K, 8), as wide as the texts'"),
            ({"image_views": torch.ones(23)}, "image_views must be embeddings (N, K, 8)"),
            ({"chunk_size": 0}, "chunk_size must be at least 1, but is 0."),
        ],
    )
    def test_it_is_one_sentence_and_the_metric_can_be_used_again(
        self, metric: Any, changes: dict[str, Any], message: str
    ) -> None:
        given = example()
        with pytest.raises(ValueError) as caught:
            metric.compute(**{**given, **changes})
        assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
        assert metric.compute(**given) == own_figures(given)

    def test_batches_of_different_widths(self, metric: Any) -> None:
        metric.add_batch(predictions=[[1.0, 2.0]], references=[0])
        metric.add_batch(predictions=[[1.0, 2.0, 3.0]], references=[0])
        with pytest.raises(ValueError, match="All batches of predictions must have the same width D."):
            metric.compute(image_views=[[1.0, 2.0]])

    def test_views_in_a_batch(self, metric: Any) -> None:
        with pytest.raises(ValueError, match="takes predictions and references; image_views go to compute"):
            metric.add_batch(predictions=[[1.0]], references=[0], image_views=[[1.0]])


class TestLoading:
    def test_a_copy_elsewhere_without_the_network(self, tmp_path: Path) -> None:
        copy = shutil.copytree(FOLDER, tmp_path / "elsewhere" / "cross_modal_retrieval")
        program = (
            "import json, sys, evaluate\n"
            "metric = evaluate.load(sys.argv[1])\n"
            "views = [[1, 0], [1, 1]]\n"
            "figures = metric.compute(predictions=[[1, 0], [0, 1]], references=[0, 1], image_views=views)\n"
            "print(json.dumps(figures))\n"
        )
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(leccr.__file__).parents[1]),
            "HF_HOME": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": "1",
            "HF_EVALUATE_OFFLINE": "1",
            # Whatever would go to the network ends here.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
        }
        result = subprocess.run(
            [sys.executable, "-c", program, str(copy)], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert result.returncode == 0, result.stderr
        expected = retrieval_metrics(
            retrieval_ranks(torch.eye(2), torch.tensor([[[1.0, 0]], [[1, 1]]]), torch.arange(2))
        )
        assert json.loads(result.stdout.splitlines()[-1]) == expected
        # Text 0 scores 1 with both images, and the tie counts against it; text 1 finds its own.
        assert expected["text_to_image_hit_rate_1"] == 50

    def test_the_card_has_what_the_hub_reads(self) -> None:
        card = (FOLDER / "README.md").read_text(encoding="utf-8")
        assert card.startswith("---\ntitle: ") and "\n- metric\n" in card


class TestTrainer:
    def test_it_is_the_metric_of_a_trainer(self, metric: Any, tmp_path: Path) -> None:
        data = scenes()
        # In float32, as the evaluation below.
        settings = {"num_train_epochs": 1, "bf16": False}
        trainer = trainer_for(recipe(training=settings), data, tmp_path / "run", ["de"])
        own = trainer.compute_metrics

        def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
            views, captions = prediction.predictions
            image, number = np.nonzero(prediction.label_ids == own.languages.index("de"))
            return metric.compute(predictions=captions[image, number], references=image, image_views=views)

        trainer.compute_metrics = compute_metrics
        trainer.train()
        (logged,) = [entry for entry in trainer.state.log_history if "eval_sum_of_hit_rates" in entry]
        (expected,) = evaluate_retrieval(
            ModelEncoder(trainer.model, trainer.processing_class), data["validation"], ["de"]
        )
        # The best epoch is chosen by the metric's own figure.
        assert trainer.state.best_metric == logged["eval_sum_of_hit_rates"] > 0
        for name, value in expected.items():
            if name not in ("language", "protocol"):
                assert logged[f"eval_{name}"] == pytest.approx(value), name
