"""What is known about a prepared data set, kept in `facts.json` in its folder, and the card that is written from it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from hub_card.data_card import data_card
from hub_card.data_facts import MODEL, DataFacts, SplitCounts
from hub_card.names import public_name
from hub_card.sections import merge_cards
from processing.parquet_guard import check_parquet
from processing.storage import find_shards
from processing.writing import write_json, write_text

from ..arguments import SCENES
from ..errors import UserError

FACTS_FILE, CARD = "facts.json", "README.md"
COUNTED = ("video", "source_language", "source_captions", "target_captions", "description")
SCENES_FACTS = DataFacts(
    title="Scenes",
    reader=SCENES,
    protocol="Drawn scenes with captions in six languages. A share of the training translations has an error; "
    "validation and test captions are correct.",
)


def read_facts(folder: str | Path) -> DataFacts | None:
    """Return what is known about a data set; None if its folder has no `facts.json`.

    Raises:
        UserError: If the file holds something else.
    """
    path = Path(folder) / FACTS_FILE
    if not path.is_file():
        return None
    try:
        return DataFacts.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not what `leccr prepare` writes; prepare the data again, or delete it.") from error


def write_facts(folder: str | Path, facts: DataFacts) -> None:
    """Write a data set's facts and its card, and keep what a person wrote into the card."""
    write_json(Path(folder) / FACTS_FILE, facts.to_dict())
    write_text(Path(folder) / CARD, current_card(folder, facts))


def current_card(folder: str | Path, facts: DataFacts) -> str:
    """Return a data set's card as its facts have it, with what a person wrote into the one in its folder."""
    path, card = Path(folder) / CARD, data_card(facts)
    return merge_cards(path.read_text(encoding="utf-8"), card, str(path)) if path.is_file() else card


def record_descriptions(folder: str | Path, settings: Mapping[str, Any], others_left: bool) -> None:
    """Say in a data set's facts and card that a model described it; without facts nothing is written.

    Args:
        folder: The data set, whose descriptions are written already.
        settings: The model's name and settings.
        others_left: Whether some rows keep a description from elsewhere.
    """
    facts = read_facts(folder)
    if facts is None:
        return
    source = {"source": MODEL, **settings, "model": public_name(str(settings["model"]))}
    earlier = [entry for entry in facts.descriptions if entry != source] if others_left else []
    _update(folder, facts, descriptions=[*earlier, source])


def record_translations(folder: str | Path, name: str, languages: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Say in a data set's facts and card which model a translating system is; without facts nothing is written.

    Args:
        folder: The data set, whose translations are written already.
        name: Name of the system in the captions' origin.
        languages: Languages that it translated into.
        settings: The model's name and settings.
    """
    facts = read_facts(folder)
    if facts is None:
        return
    earlier = facts.translations.get(name, {}).get("languages", [])
    system = {
        **settings,
        "model": public_name(str(settings["model"])),
        "languages": sorted({*earlier, *languages}),
    }
    _update(folder, facts, translations={**facts.translations, name: system})


def _update(folder: str | Path, facts: DataFacts, **changes: Any) -> None:
    write_facts(folder, dataclasses.replace(facts, splits=count_splits(folder), **changes))


def count_splits(folder: str | Path) -> dict[str, SplitCounts]:
    """Count what each split of a prepared data set holds, without opening its pictures."""
    splits = {split: SplitCounts() for split in find_shards(folder)}
    for split, shards in find_shards(folder).items():
        for shard in shards:
            check_parquet(shard)
            with parquet.ParquetFile(shard) as reader:
                for batch in reader.iter_batches(columns=list(COUNTED)):
                    for row in batch.to_pylist():
                        splits[split].add(row)
    return splits


def training_facts(data: str | Path, splits: Mapping[str, Sized]) -> dict[str, Any]:
    """Return what a training report says about its data, for the model's card.

    Args:
        data: Folder that `leccr prepare` wrote, or `scenes`.
        splits: The rows that were trained on and selected by.
    """
    facts = data_facts(data)
    return {**facts, "rows": {name: len(rows) for name, rows in splits.items() if len(rows)}}


def data_facts(data: str | Path) -> dict[str, Any]:
    """Return what a model's card says about its data; nothing if their folder has no `facts.json`.

    Args:
        data: Folder that `leccr prepare` wrote, or `scenes`.
    """
    facts = SCENES_FACTS if str(data) == SCENES else read_facts(data)
    if facts is None:
        return {}
    content = {
        "title": facts.title,
        "reader": facts.reader,
        "options": dict(facts.options),
        "published": facts.published,
        "languages": facts.languages,
        "descriptions": list(facts.descriptions),
        "translations": dict(facts.translations),
    }
    return {name: value for name, value in content.items() if value}
