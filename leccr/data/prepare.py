"""Turning a benchmark's own files into a data set: what `leccr prepare` does."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hub_card.data_card import count_rows
from hub_card.data_facts import CAPTIONS, DATA_SET, DataFacts, SplitCounts
from hub_card.tables import markdown_table
from processing.features import FEATURES_FILE, save_features
from processing.notes import note
from processing.readers import READERS, Collection, Rows, check_disjoint, check_splits, check_visuals, image_key
from processing.readers.files import FeatureSource
from processing.readers.roots import Roots
from processing.schema import ORIGIN_HUMAN
from processing.screen import shown_names
from processing.storage import read_column, write_rows
from processing.video import open_visual
from processing.writing import atomic_folder

from ..arguments import check_choice, check_new_folder
from ..errors import UserError
from .facts import SCENES, SCENES_FACTS, write_facts
from .options import PrepareOptions

DEFAULTS = PrepareOptions()
PLACES = ("images", "videos", "features", "descriptions")


def run_preparation(name: str, output: str | Path, options: PrepareOptions = DEFAULTS) -> dict[str, SplitCounts]:
    """Read a data set, check it, and write it as Parquet with a data card; print what was found.

    Args:
        name: Key of `processing.readers.READERS`, or `scenes`.
        output: Folder to write: new, or empty. It appears whole or not at all.
        options: Where the files are, what to leave out, and the reader's own options.

    Returns:
        The counts of each split.

    Raises:
        UserError: If the output folder is not empty, the name or an option is unknown, files are not in the published
            layout, or splits share images.
        FileNotFoundError: If files are missing.
    """
    output = Path(output)
    check_new_folder(output)
    given = options.given()
    folders = [root for root in (options.root, options.images, options.videos) if root is not None]
    roots = Roots(folders, options.skip_broken)
    collection = check_visuals(_read(name, options.root, given), options.allow_missing, roots)
    notes = [*collection.notes, *_check_overlap(collection, options.disjoint_from, options.allow_overlap)]
    splits = {
        split: _human_out(rows) if options.machine_only and split == "train" else rows
        for split, rows in collection.splits.items()
    }
    with atomic_folder(output) as partial:
        counts = {split: SplitCounts() for split in splits}
        for split, rows in splits.items():
            chosen = _unbroken(rows, split, notes) if options.skip_broken else rows
            write_rows(partial, split, _counted(chosen, counts[split]), embed_images=options.embed_images)
        if collection.features is not None:
            _write_features(partial / FEATURES_FILE, splits, collection.features)
        if "train" in counts and counts["train"].without_source:
            notes.append(f"train: {counts['train'].without_source} rows have no source caption, which training needs.")
        facts = _facts(name, counts, notes, given, options.machine_only)
        write_facts(partial, dataclasses.replace(facts, protocol=collection.protocol or facts.protocol))
    print(markdown_table(count_rows(counts)))
    for text in notes:
        note(f"Note: {text}")
    note(f"The data set is in {output}.")
    return counts


def _read(name: str, root: Path | None, options: Mapping[str, Any]) -> Collection:
    if name == SCENES:
        if options or root:
            raise UserError("scenes are drawn: they need no --root and take no options.")
        return _scenes()
    check_choice("The data set", name, [*READERS, SCENES])
    reader = READERS[name]
    if root is None:
        if reader.published is None:
            raise UserError("Say with --root which folder the images or videos are in.")
        raise UserError(
            f"Say with --root where the files of {reader.title} are; they are published at {reader.published}."
        )
    for option in options:
        if option not in reader.options:
            known = ", ".join(f"--{known.replace('_', '-')}" for known in reader.options) or "none"
            raise UserError(f"{name} takes no --{option.replace('_', '-')}; its options are {known}.")
    return reader.read(root, **options)


def _scenes() -> Collection:
    from datasets import Image

    from processing.scenes.build import build_scenes

    built = {split: rows.cast_column("image", Image(decode=False)) for split, rows in build_scenes().items()}
    return Collection(Rows.of(lambda split: built[split], built))


def _check_overlap(collection: Collection, others: Sequence[Path], allow: bool) -> list[str]:
    notes = check_splits(collection.splits, allow)
    if not others:
        return notes
    own = {split: frozenset(image_key(row["id"]) for row in rows) for split, rows in collection.splits.items()}
    for folder in others:
        shared = {split: frozenset(map(image_key, ids)) for split, ids in read_column(folder, "id").items()}
        for split, other in itertools.product(own, shared):
            notes += check_disjoint({split: own[split], f"{other} of {Path(folder).name}": shared[other]}, allow)
    return notes


def _human_out(rows: Rows) -> Rows:
    def without(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "target_captions": [kept for kept in row["target_captions"] if kept["origin"] != ORIGIN_HUMAN]}

    return Rows(lambda: map(without, rows))


def _unbroken(rows: Iterable[dict[str, Any]], split: str, notes: list[str]) -> Iterator[dict[str, Any]]:
    broken: list[str] = []
    for row in rows:
        try:
            if row["image"] is not None or row["video"] is not None:
                open_visual(row)
        except UserError:
            broken.append(str(row["id"]))
            continue
        yield row
    if broken:
        said = f"{len(broken)} rows whose image or video cannot be decoded: {shown_names(broken)}"
        notes.append(f"{split}: left out {said}.")


def _counted(rows: Iterable[dict[str, Any]], counts: SplitCounts) -> Iterator[dict[str, Any]]:
    for row in rows:
        counts.add(row)
        yield row


def _write_features(path: Path, splits: Mapping[str, Rows], features: FeatureSource) -> None:
    # Splits such as test and test_1k may share rows.
    ids = list(dict.fromkeys(row["id"] for rows in splits.values() for row in rows))
    save_features(path, ids, (torch.from_numpy(features[name]) for name in ids), tower="ready-made")


def _facts(
    name: str, counts: Mapping[str, SplitCounts], notes: Sequence[str], options: Mapping[str, Any], machine_only: bool
) -> DataFacts:
    chosen = {**options, "machine_only": True} if machine_only else options
    common: dict[str, Any] = {
        "options": {option: value for option, value in chosen.items() if option not in PLACES},
        "notes": list(notes),
        "splits": counts,
        "descriptions": _descriptions(counts, options),
    }
    if name == SCENES:
        return dataclasses.replace(SCENES_FACTS, **common)
    reader = READERS[name]
    return DataFacts(reader.title, name, reader.protocol, published=reader.published, **common)


def _descriptions(counts: Mapping[str, SplitCounts], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not any(split.descriptions for split in counts.values()):
        return []
    numbers = options.get("reserved_captions")
    return [{"source": CAPTIONS, "numbers": list(numbers)} if numbers else {"source": DATA_SET}]
