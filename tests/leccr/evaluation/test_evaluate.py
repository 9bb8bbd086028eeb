import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset

from leccr.data.loading import load_data
from leccr.errors import UserError
from leccr.evaluation.calibrate import check_calibration
from leccr.evaluation.evaluate import EvaluationOptions, evaluate_retrieval, evaluate_sentences, run_evaluation
from leccr.evaluation.ranked import SENTENCE_PROTOCOL
from leccr.models.build import build_model, build_processor, training_texts
from leccr.models.encoder import Encoder
from leccr.models.model_encoder import ModelEncoder
from leccr.models.sentence_views import SentenceViews
from leccr.training.train import save_retriever
from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.storage import write_rows
from tests.leccr.gallery.tiny_gallery import save_model
from tests.tiny_data import COLOURS, ROWS, dataset, picture, processor, recipe, row, target


@pytest.fixture(scope="module")
def rows() -> Dataset:
    return dataset(ROWS)


@pytest.fixture(scope="module")
def retriever(rows: Dataset) -> tuple[LeccrModel, LeccrProcessor]:
    torch.manual_seed(0)
    made = build_processor(recipe(), training_texts(rows))
    return build_model(recipe(), made).eval(), made


@pytest.fixture(scope="module")
def checkpoint(retriever: tuple[LeccrModel, LeccrProcessor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    # No word in the path says what model it is.
    folder = tmp_path_factory.mktemp("out")
    save_retriever(folder, *retriever)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in ("validation", "test"):
        write_rows(tmp_path / "data", split, ROWS if split == "validation" else ROWS[:2])
    return tmp_path / "data"


class Oracle:
    """Gives each row's captions and picture the same vector, but those of row c the vector of row a."""

    config = SimpleNamespace(projection_dim=5)
    vectors = {"a": 0, "b": 1, "c": 0, "d": 3, "e": 4}
    device = "cpu"

    def __init__(self, processor: LeccrProcessor) -> None:
        self.processor = processor
        self.trained = True

    def eval(self) -> "Oracle":
        self.trained = False
        return self

    def get_image_views(self, pixel_values: Any, **_: Any) -> torch.Tensor:
        plain = torch.cat([self.processor(images=picture(colour))["pixel_values"] for colour in COLOURS])
        distances = (pixel_values[:, None] - plain).abs().flatten(2).sum(dim=2)
        return torch.eye(5)[distances.argmin(dim=1)].unsqueeze(1)

    def get_text_features(self, input_ids: Any, **_: Any) -> torch.Tensor:
        texts = self.processor.tokenizer.batch_decode(input_ids, skip_special_tokens=True)
        return torch.eye(5)[[self.vectors[text.split()[1]] for text in texts]]


class TestEvaluateRetrieval:
    def test_figures_of_a_known_ranking(self, retriever: tuple[LeccrModel, LeccrProcessor], rows: Dataset) -> None:
        oracle: Any = Oracle(retriever[1])
        results = evaluate_retrieval(ModelEncoder(oracle, retriever[1]), rows)
        assert not oracle.trained
        assert [result["language"] for result in results] == ["en", "de", "zh"]
        for result in results:
            # The captions of c score 1 with picture a and 0, like every other picture, with their own: ties count.
            assert result["text_to_image_hit_rate_1"] == pytest.approx(80)
            assert result["text_to_image_mean_average_precision"] == pytest.approx(100 * (4 + 1 / 5) / 5)
            # For picture a, the captions of c are as good as its own.
            assert result["image_to_text_hit_rate_1"] == pytest.approx(60)
            assert result["text_to_image_median_rank"] == 1

    def test_the_protocol(self, retriever: tuple[LeccrModel, LeccrProcessor]) -> None:
        machine = row("b", ["zh"], captions=3, description=None)
        human = row("a", [], captions=1)
        human["target_captions"] = [{**machine["target_captions"][0], "origin": "human", "text": "zh a 0"}]
        results = evaluate_retrieval(ModelEncoder(*retriever), dataset([human, machine]))
        (english, chinese) = [result["protocol"] for result in results]
        assert (english["images"], english["captions"], english["captions_per_image"]) == (2, 4, 2.0)
        assert (chinese["images"], chinese["captions"], chinese["images_with_description"]) == (2, 4, 1)
        assert english["caption_origin"] == ["source"]
        assert chinese["caption_origin"] == ["human", "machine:test"]
        assert chinese["ties"] == "count against the model"

    def test_all_pictures_are_the_gallery_in_every_language(self, retriever: tuple[LeccrModel, LeccrProcessor]) -> None:
        mixed = dataset([*ROWS[:3], row("d", ["de"]), row("e", [])])
        (german, chinese) = evaluate_retrieval(ModelEncoder(*retriever), mixed, ["de", "zh"])
        assert german["protocol"]["images"] == chinese["protocol"]["images"] == 5
        assert (german["protocol"]["captions"], chinese["protocol"]["captions"]) == (9, 6)

    def test_without_descriptions(self, retriever: tuple[LeccrModel, LeccrProcessor], rows: Dataset) -> None:
        stripped = rows.remove_columns("description").add_column("description", [None] * 5)
        (without,) = evaluate_retrieval(ModelEncoder(*retriever), rows, ["de"], descriptions=False)
        (expected,) = evaluate_retrieval(ModelEncoder(*retriever), stripped, ["de"])
        assert without == expected
        assert without["protocol"]["images_with_description"] == 0

    def test_a_language_that_is_not_there(self, retriever: tuple[LeccrModel, LeccrProcessor], rows: Dataset) -> None:
        with pytest.raises(ValueError, match="no captions in fr; they have en, de, zh."):
            evaluate_retrieval(ModelEncoder(*retriever), rows, ["de", "fr"])

    def test_an_empty_caption_names_its_row(self, retriever: tuple[LeccrModel, LeccrProcessor]) -> None:
        with pytest.raises(ValueError, match="Row 'b' has an empty caption"):
            evaluate_retrieval(ModelEncoder(*retriever), dataset([row("a"), row("b", source_captions=["en b", " "])]))


class TestRunEvaluation:
    def test_figures_and_protocol_are_written_and_shown(
        self, checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "new" / "result.json"
        results = run_evaluation([str(checkpoint)], str(data), EvaluationOptions("test", ["zh", "en"]), output)
        assert json.loads(output.read_text()) == results
        assert [path.name for path in output.parent.iterdir()] == ["result.json"]
        assert [result["language"] for result in results] == ["zh", "en"]
        protocol = results[0]["protocol"]
        assert (protocol["checkpoint"], protocol["data"], protocol["split"]) == (str(checkpoint), str(data), "test")
        assert (protocol["images"], protocol["captions"], protocol["images_with_description"]) == (2, 4, 2)
        printed = capsys.readouterr().out
        assert "text-to-image hit@1/5/10" in printed and "| zh " in printed and str(output) in printed

    def test_descriptions_count_for_a_dual_encoder_as_much_as_is_asked(self, data: Path, tmp_path: Path) -> None:
        model = str(save_model(tmp_path / "dual", num_slots=0))
        results = {
            weight: run_evaluation([model], str(data), EvaluationOptions(languages=["en"], description_weight=weight))[
                0
            ]
            for weight in (None, 0.0, 0.9)
        }
        figures = {weight: [result[name] for name in result if "hit" in name] for weight, result in results.items()}
        assert figures[None] == figures[0.0]
        assert [results[weight]["protocol"].get("description_weight") for weight in results] == [None, None, 0.9]
        encoder = SentenceViews(Encoder.load(model, "cpu"), 0.9)
        [expected] = evaluate_retrieval(encoder, load_data(str(data))[0]["validation"], ["en"])
        assert figures[0.9] == [expected[name] for name in expected if "hit" in name]

    def test_a_weight_of_descriptions_that_are_not_there_is_told(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = str(save_model(tmp_path / "dual", num_slots=0))
        for name, rows in (("some", ROWS), ("none", [{**each, "description": None} for each in ROWS])):
            write_rows(tmp_path / name, "validation", rows)
            run_evaluation([model], str(tmp_path / name), EvaluationOptions(languages=["en"], description_weight=0.2))
            told = "no picture of the split validation has a description" in capsys.readouterr().out
            assert told == (name == "none")

    def test_captions_that_cannot_be_read_are_counted(
        self, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        captions = [target("he", "שלום עולם"), target("he", "🐶"), target("de", "de a 0")]
        write_rows(tmp_path / "data", "validation", [*ROWS, row("f", image=picture(), target_captions=captions)])
        results = run_evaluation(
            [str(checkpoint)], str(tmp_path / "data"), EvaluationOptions("validation", ["de", "he"])
        )
        assert [result["protocol"]["captions_mostly_unknown"] for result in results] == [0, 2]
        printed = capsys.readouterr().out
        assert "he: 2 captions cannot be read" in printed and "de: " not in printed

    def test_validation_with_all_languages_by_default(self, checkpoint: Path, data: Path) -> None:
        results = run_evaluation([str(checkpoint)], str(data), EvaluationOptions(descriptions=False))
        assert [(result["language"], result["protocol"]["images"]) for result in results] == [
            ("en", 5),
            ("de", 5),
            ("zh", 5),
        ]
        assert results[0]["protocol"]["images_with_description"] == 0

    def test_broken_pictures(self, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_rows(tmp_path / "data", "validation", [*ROWS, row("f", image={"bytes": b"text", "path": "f.jpg"})])
        with pytest.raises(ValueError, match="f.jpg cannot be decoded"):
            run_evaluation([str(checkpoint)], str(tmp_path / "data"))
        results = run_evaluation([str(checkpoint)], str(tmp_path / "data"), EvaluationOptions(skip_broken=True))
        assert results[0]["protocol"]["images"] == 5
        assert "validation: skipped 1 of 6 rows" in capsys.readouterr().out

    def test_a_split_that_is_not_there_writes_nothing(self, checkpoint: Path, data: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="has no split train; it has validation, test."):
            run_evaluation([str(checkpoint)], str(data), EvaluationOptions("train"), output=tmp_path / "result.json")
        assert not (tmp_path / "result.json").exists()


class Dictionary:
    """Gives a text the vector of its number, so that a translation is found by the source caption of its number."""

    config = SimpleNamespace(projection_dim=3)
    device = "cpu"

    def __init__(self, processor: LeccrProcessor) -> None:
        self.tokenizer = processor.tokenizer
        self.trained = True

    def eval(self) -> "Dictionary":
        self.trained = False
        return self

    def get_text_features(self, input_ids: Any, **_: Any) -> torch.Tensor:
        texts = self.tokenizer.batch_decode(input_ids, skip_special_tokens=True)
        return torch.eye(3)[[int(text.split()[2]) for text in texts]]


class TestEvaluateSentences:
    @pytest.fixture
    def results(self) -> list[dict[str, Any]]:
        # Row a has the source captions 0, 1 and 2, row b only 0, row c none; all are translated.
        rows = [row("a", image=None), row("b", captions=1, image=None), row("c", source_captions=[], image=None)]
        words = processor(rows)
        dictionary: Any = Dictionary(words)
        results = evaluate_sentences(ModelEncoder(dictionary, words.tokenizer), dataset(rows), batch_size=2)
        assert not dictionary.trained
        return results

    def test_figures_of_a_known_ranking(self, results: list[dict[str, Any]]) -> None:
        assert [result["language"] for result in results] == ["de", "zh"]
        for result in results:
            # Caption 0 of a and of b score 1 with both rows: ties count. Captions 1 and 2 are found in row a only.
            assert result["target_to_source_hit_rate_1"] == pytest.approx(50)
            assert result["target_to_source_hit_rate_5"] == 100
            # Row a has caption 1, which scores 0 with b, but caption 0 of b is as good for a as its own.
            assert result["source_to_target_hit_rate_1"] == 0

    def test_the_protocol(self, results: list[dict[str, Any]]) -> None:
        counts = {"rows": 2, "source_captions": 4, "target_captions": 7, "caption_origin": ["machine:test"]}
        assert results[0]["protocol"] == {**counts, "captions_mostly_unknown": 0, **SENTENCE_PROTOCOL}

    def test_the_languages_asked_for(self, retriever: tuple[LeccrModel, LeccrProcessor], rows: Dataset) -> None:
        results = evaluate_sentences(ModelEncoder(*retriever), rows, ["zh", "en"])
        assert [result["language"] for result in results] == ["zh"]
        with pytest.raises(ValueError, match="no captions in fr; they have en, de, zh."):
            evaluate_sentences(ModelEncoder(*retriever), rows, ["fr"])
        with pytest.raises(UserError, match="no captions in another language"):
            evaluate_sentences(ModelEncoder(*retriever), rows, ["en"])


class TestTextOnlyCheckpoint:
    def test_it_is_measured_by_sentences_and_pictures_are_left_alone(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        broken = row("f", image={"bytes": b"text", "path": "f.jpg"})
        write_rows(tmp_path / "data", "validation", [*ROWS, broken])
        tiny = recipe(model={}, network="cross-lingual")
        tokenizer = build_processor(tiny, training_texts(dataset(ROWS)))
        save_retriever(tmp_path / "teacher", build_model(tiny, tokenizer), tokenizer)
        output = tmp_path / "result.json"
        results = run_evaluation(
            [str(tmp_path / "teacher")], str(tmp_path / "data"), EvaluationOptions(skip_broken=True), output
        )
        assert json.loads(output.read_text()) == results
        assert [result["language"] for result in results] == ["de", "zh"]
        assert results[0]["protocol"]["rows"] == 6
        assert results[0]["protocol"]["split"] == "validation"
        assert "target-to-source hit@1/5/10" in capsys.readouterr().out


class TestCalibration:
    def test_it_is_written_into_the_folder_and_loaded_with_the_model(
        self, checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = shutil.copytree(checkpoint, tmp_path / "model")
        assert Encoder.load(folder).calibration is None
        run_evaluation([str(folder)], str(data), calibrate=True)
        found = Encoder.load(folder).calibration
        assert found is not None and list(found.languages) == ["en", "de", "zh"]
        assert found.pictures == 5 and found.languages["de"].queries == 10
        assert found.described == sum(bool(each["description"]) for each in ROWS) / 5 > 0
        assert "it is measured among 5 pictures only, so it says little" in capsys.readouterr().out

    def test_what_has_no_folder_or_no_pictures_is_one_sentence(self, checkpoint: Path) -> None:
        with pytest.raises(UserError, match="download it first: hf download"):
            check_calibration([str(checkpoint), "org/model"], text_only=False)
        with pytest.raises(UserError, match="leave --calibrate out"):
            check_calibration([str(checkpoint)], text_only=True)
