import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from leccr.data.training_data import missing_texts, open_training_data, training_data
from leccr.errors import UserError
from processing.caption_embeddings import EMBEDDINGS_FILE, save_caption_embeddings
from processing.storage import write_rows
from tests.tiny_data import DUAL_ENCODER, dataset, recipe, row

ROWS = [row(name, captions=2) for name in "abcd"]
CL2CM = {**DUAL_ENCODER, "transfer_weight": 1.0}


def splits(**fields: Any) -> dict[str, Any]:
    rows = dataset([{**item, **fields} for item in ROWS])
    return {"train": rows, "validation": rows, "test": rows}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "validation"):
        write_rows(tmp_path / "data", split, ROWS)
    return tmp_path / "data"


def test_the_languages_are_those_of_the_data_or_of_the_recipe() -> None:
    data = training_data(recipe(), splits())
    assert (data.source, data.languages, data.evaluated) == ("en", ["de", "zh"], ["en", "de", "zh"])
    assert training_data(recipe(languages=["en", "zh", "zh"]), splits()).languages == ["zh"]
    assert training_data(recipe(languages=[]), splits()).languages == []
    assert set(data.splits) == {"train", "validation", "test"} and set(data.used) == {"train", "validation"}


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("photos", "add some with: leccr translate photos --to fr,cs."),
        (None, "add some with: leccr translate DATA --to fr,cs."),
        ("scenes", "choose among these with --languages."),
    ],
)
def test_a_missing_language_names_the_remedy(name: str | None, remedy: str) -> None:
    with pytest.raises(UserError) as error:
        training_data(recipe(languages=["fr", "de", "cs"], data=name), splits())
    assert str(error.value) == f"There are no training captions in fr, cs, only in en, de, zh; {remedy}"


def test_a_language_that_only_the_training_captions_have() -> None:
    rows = {**splits(), "validation": dataset([row("e", languages=["de"])])}
    with pytest.raises(UserError, match="There are no validation captions in zh, only in en, de; add some with"):
        training_data(recipe(), rows)


@pytest.mark.parametrize("rows", [{}, {"train": dataset(ROWS).select([])}, {"test": dataset(ROWS)}])
def test_a_split_that_is_missing_or_empty(rows: dict[str, Any]) -> None:
    named = "test" if rows.get("test") else "none"
    with pytest.raises(UserError, match=f"no rows in a train split, only in {named}; prepare one."):
        training_data(recipe(), rows)


@pytest.mark.parametrize("tiny", [recipe(model=CL2CM), recipe(model={}, network="cross-lingual")])
def test_a_recipe_that_needs_translations(tiny: Any) -> None:
    with pytest.raises(UserError, match="learns from translations, .* in en only; .*: leccr translate DATA --to de."):
        training_data(tiny, splits(target_captions=None))
    with pytest.raises(UserError, match="learns from translations"):
        training_data(recipe(model=CL2CM, languages=["en"]), splits())


def test_texts_that_a_recipe_can_do_without_are_told() -> None:
    tiny, data = recipe(data="photos"), splits(target_captions=None, description=None)
    translate, describe = missing_texts(tiny, training_data(tiny, data))
    assert "in en only, so the model will search in no other language. Add" in translate
    assert translate.endswith("leccr translate photos --to de")
    pretrained = dataclasses.replace(tiny, text="e5")
    [translate, _] = missing_texts(pretrained, training_data(pretrained, data))
    assert "in other languages as far as e5 knows them. Translations teach it more: leccr translate photos" in translate
    assert "No training row has a description" in describe and describe.endswith("leccr describe photos")
    assert missing_texts(tiny, training_data(tiny, splits())) == []
    plain = recipe(model=DUAL_ENCODER)
    assert missing_texts(plain, training_data(plain, splits(description=None))) == []
    fusion = recipe(model={"num_slots": 0, "description_fusion": True})
    assert len(missing_texts(fusion, training_data(fusion, splits(description=None)))) == 1


def test_a_teachers_embeddings_are_found_beside_the_data(folder: Path) -> None:
    tiny = recipe(model=CL2CM, data=str(folder))
    with pytest.raises(UserError, match=f"make them with: leccr embed-captions {folder} --model TEACHER."):
        open_training_data(tiny)
    save_caption_embeddings(folder / EMBEDDINGS_FILE, ROWS, [torch.randn(6, 3).half() for _ in ROWS], teacher="t")
    embeddings = open_training_data(tiny).embeddings
    assert embeddings is not None and embeddings.teacher == "t"
    assert open_training_data(recipe(data=str(folder))).embeddings is None


def test_broken_pictures_are_left_out_where_the_recipe_says_so(folder: Path) -> None:
    rows = [{**ROWS[0], "image": {"bytes": b"text", "path": None}}, *ROWS[1:]]
    write_rows(folder, "train", rows)
    assert len(open_training_data(recipe(data=str(folder))).train) == 4
    assert len(open_training_data(recipe(data=str(folder), skip_broken=True)).train) == 3
    text_only = recipe(model={}, network="cross-lingual", data=str(folder), skip_broken=True)
    assert len(open_training_data(text_only).train) == 4
