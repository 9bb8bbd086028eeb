"""`leccr evaluate` with several models: one table, one file, and what cannot be compared."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from hub_card.data_facts import DataFacts
from leccr.cli import app
from leccr.data.facts import write_facts
from leccr.models.build import build_model, build_processor, training_texts
from leccr.models.encoder import Encoder
from leccr.training.train import save_retriever
from processing.storage import write_rows
from tests.leccr.models.tiny_families import own_processor, save_family
from tests.tiny_data import ROWS, dataset, recipe, row, target


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `ours`, `clip`, `teacher` and the data `data` and `independent`."""
    folder = tmp_path_factory.mktemp("compared")
    torch.manual_seed(0)
    for name, made in (("ours", recipe()), ("teacher", recipe(model={}, network="cross-lingual"))):
        processor = build_processor(made, training_texts(dataset(ROWS)))
        save_retriever(folder / name, build_model(made, processor), processor)
    save_family("clip", folder / "clip")
    own_processor("clip", folder / "clip")[0].save_pretrained(folder / "clip")
    write_rows(folder / "data", "validation", ROWS)
    captions = [target("de", "ein Hund"), target("zh", "一只狗")]
    write_rows(folder / "independent", "validation", [row(name, target_captions=captions) for name in "ab"])
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def evaluate(*words: str) -> Any:
    return CliRunner().invoke(app, ["evaluate", *words, "--device", "cpu"])


def test_one_table_and_one_file(folder: Path, tmp_path: Path) -> None:
    models = ["ours", "clip", "st:clip"]
    out = tmp_path / "figures.json"
    done = evaluate(",".join(models), "data", "--description-weight", "0.2", "--out", str(out))
    assert done.exit_code == 0, done.output
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if "|" in line]
    assert cells[0][:2] == ["model", "language"] and cells[0][4:] == ["SumR", "parameters", "texts/s", "pictures/s"]
    expected = [[model, language] for model in models for language in ("en", "de", "zh")]
    assert [line[:2] for line in cells[2:]] == expected
    results = json.loads(out.read_text())
    assert [[result["protocol"]["checkpoint"], result["language"]] for result in results] == expected
    for result in results:
        assert result["parameters"] == Encoder.load(result["protocol"]["checkpoint"], "cpu").parameter_count() > 0
        assert result["texts_per_second"] > 0 and result["images_per_second"] > 0
        assert result["protocol"]["speed"].startswith("encoding only: ")
        assert result["protocol"]["speed"].endswith("; on cpu")
        assert (result["mean_rank_variance"]["captions"], result["protocol"]["images"]) == (10, 5)
        assert result["mean_rank_variance"]["languages"] == ["en", "de", "zh"]
    # The weight is for those that do not use descriptions by themselves.
    weights = {result["protocol"]["checkpoint"]: result["protocol"].get("description_weight") for result in results}
    assert weights == {"ours": None, "clip": 0.2, "st:clip": 0.2}
    assert "Speed: encoding only" in done.stdout
    for model in models:
        assert f"{model}: mean rank variance (MRV) " in done.stdout
    assert "over 10 parallel captions in en, de, zh." in done.stdout


def test_figures_are_those_of_each_model_by_itself(tmp_path: Path) -> None:
    def figures(models: str) -> list[dict[str, Any]]:
        out = tmp_path / "figures.json"
        done = evaluate(models, "data", "--languages", "de,en", "--out", str(out))
        assert done.exit_code == 0, done.output
        results = json.loads(out.read_text())
        return [{name: value for name, value in each.items() if not name.endswith("_per_second")} for each in results]

    assert figures("clip,ours") == figures("clip") + figures("ours")


def test_the_protocol_of_the_data_is_part_of_the_results(tmp_path: Path) -> None:
    write_rows(tmp_path / "data", "validation", ROWS[:2])
    write_facts(tmp_path / "data", DataFacts("Mine", "folder", "Train on half of it."))
    done = evaluate("clip", str(tmp_path / "data"), "--languages", "de", "--out", str(tmp_path / "figures.json"))
    assert done.exit_code == 0, done.output
    [result] = json.loads((tmp_path / "figures.json").read_text())
    assert result["protocol"]["data_protocol"] == "Train on half of it."


def test_captions_without_translations_have_no_mean_rank_variance() -> None:
    done = evaluate("clip", "independent")
    assert done.exit_code == 0, done.output
    assert "No mean rank variance (MRV): no caption has a translation in all of these languages." in done.stdout
    assert "MRV" not in evaluate("clip", "independent", "--languages", "de").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("clip,ours,clip data", "The model clip is named twice; name each model once."),
        ("clip,./clip/ data", "The model ./clip/ is named twice; name each model once."),
        ("clip,,ours data", "Write values separated by commas, such as a,b, not 'clip,,ours'"),
        ("clip,nosuch data", "There is no model nosuch"),
        (
            "clip,teacher data",
            "teacher embeds no pictures, so its figures cannot be compared with the others; leave it",
        ),
        ("clip,ours data --languages de,fr", "The data have no captions in fr; they have en, de, zh."),
        (
            "ours data --no-descriptions --calibrate",
            "Descriptions change all scores, and galleries use them: leave --no",
        ),
        ("clip data --no-descriptions --description-weight 0.4", "--no-descriptions and --description-weight 0.4 excl"),
        ("clip,ours data --plots drawn", "--plots draws one model, not 2; evaluate each by itself for its plots."),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(words: str, message: str) -> None:
    done = evaluate(*words.split())
    assert (done.exit_code, done.stdout) == (2, "")
    # The first to read the data shows a progress bar before it.
    assert done.stderr.splitlines()[-1].startswith(f"Error: {message}") and done.stderr.count("Error") == 1


def test_a_folder_with_a_comma_in_its_name_is_one_model(folder: Path) -> None:
    (folder / "a,b").symlink_to(folder / "clip")
    done = evaluate("a,b", "data", "--languages", "de")
    assert done.exit_code == 0, done.output
    assert "model" not in done.stdout.splitlines()[0]
