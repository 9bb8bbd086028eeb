import dataclasses
from pathlib import Path

import pytest

from hub_card.data_facts import DataFacts
from leccr.data.facts import (
    count_splits,
    read_facts,
    record_descriptions,
    record_translations,
    training_facts,
    write_facts,
)
from leccr.errors import UserError
from processing.generation.write_back import rewrite_column

from ..generation_data import build_data

FACTS = DataFacts("Mine", "folder", "As you like.", descriptions=[{"source": "captions", "numbers": [2]}])
SETTINGS = {"model": "org/vlm", "revision": None, "prompts": "views"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = build_data(tmp_path / "data", rows=8, pictures=False)
    write_facts(folder, dataclasses.replace(FACTS, splits=count_splits(folder)))
    return folder


def descriptions(folder: Path) -> list[dict[str, object]]:
    facts = read_facts(folder)
    assert facts is not None
    return [dict(source) for source in facts.descriptions]


def test_a_description_by_a_model_renews_counts_and_card_and_keeps_a_persons_text(data: Path) -> None:
    card = data / "README.md"
    assert "reserved captions" in card.read_text()
    card.write_text(card.read_text() + "\nMine.\n")
    rewrite_column(data, "description", ["id"], lambda row: "A dog.")
    record_descriptions(data, SETTINGS, others_left=False)
    text = card.read_text()
    assert "| train |" in text and text.endswith("\nMine.\n")
    assert "`org/vlm`" in text and "reserved captions" not in text
    facts = read_facts(data)
    assert facts is not None and facts.splits["train"].descriptions == 2 and facts.splits["test"].descriptions == 6


def test_descriptions_from_elsewhere_stay_named_while_some_are_left(data: Path) -> None:
    for _ in range(2):
        record_descriptions(data, SETTINGS, others_left=True)
    assert [source["source"] for source in descriptions(data)] == ["captions", "model"]
    record_descriptions(data, {**SETTINGS, "prompts": "single"}, others_left=False)
    assert [source["prompts"] for source in descriptions(data)] == ["single"]


def test_languages_of_a_translating_system_add_up(data: Path) -> None:
    for languages in (["de"], ["fr", "de"]):
        record_translations(data, "nllb", languages, {"model": "org/nllb", "back_translated": True})
    record_translations(data, "opus", ["cs"], {"model": "org/opus"})
    text = (data / "README.md").read_text()
    assert "`machine:nllb` were translated by `org/nllb` into de, fr, weighted" in text
    assert "`machine:opus` were translated by `org/opus` into cs." in text


def test_folders_above_a_model_are_not_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "secret" / "captioner").mkdir(parents=True)
    model = str(tmp_path / "secret" / "captioner")
    record_descriptions(data, {**SETTINGS, "model": model}, others_left=False)
    record_translations(data, "x", ["de"], {"model": model})
    assert "captioner" in (data / "README.md").read_text()
    assert not any("secret" in (data / name).read_text() for name in ("README.md", "facts.json"))


def test_data_without_facts_get_neither_facts_nor_a_card(tmp_path: Path) -> None:
    folder = build_data(tmp_path / "data", rows=8, pictures=False)
    record_descriptions(folder, SETTINGS, others_left=False)
    record_translations(folder, "nllb", ["de"], SETTINGS)
    assert all(path.suffix == ".parquet" for path in folder.iterdir())
    assert training_facts(folder, {"train": [1]}) == {"rows": {"train": 1}}


@pytest.mark.parametrize("content", ["{", "[]", '{"title": 1}', '{"title": 1, "splits": []}', "\0"])
def test_broken_facts_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "facts.json").write_text(content)
    with pytest.raises(UserError, match=r"facts.json is not what `leccr prepare` writes"):
        read_facts(tmp_path)
