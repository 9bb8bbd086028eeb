import json
from pathlib import Path

import pytest
from PIL import Image

from leccr.errors import UserError
from leccr.quickstart import run_quickstart
from processing.scenes.build import LANGUAGES

SIZES = {"num_train": 70, "num_validation": 12, "num_test": 12}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quickstart") / "out"
    run_quickstart(folder, recipes=("dual-encoder", "leccr"), **SIZES)
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


def test_pictures_are_saved(output: Path) -> None:
    with Image.open(output / "answers.png") as sheet:
        assert sheet.width > 500
    assert len(list((output / "pictures").glob("*.png"))) == 12


def test_a_folder_with_files_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is not empty"):
        run_quickstart(tmp_path, **SIZES)
