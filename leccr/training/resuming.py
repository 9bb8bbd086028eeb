"""Resuming a run: it has to be the same run, and its last checkpoint a whole one."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from processing.notes import is_main_process, note
from processing.writing import write_json, write_text

from ..errors import UserError
from ..recipes import Recipe, load_recipe
from ..recipes.recipe import RECIPE_FILE
from .processes import check_agreement
from .settings import differences

DATA_FILE = "data.json"
CHECKPOINTS = "checkpoints"
STATE_FILE = "trainer_state.json"


def begin_run(
    output: Path, recipe: Recipe, used: Mapping[str, Dataset], resume: bool, layout: Mapping[str, int]
) -> None:
    """Write down what a run is before its first step, or make sure that a resumed one is the same.

    Of several processes, all compare and only the main one writes.

    Args:
        output: The run's folder.
        recipe: The recipe with its data, languages and seed.
        used: The rows that it trains and chooses by.
        resume: Whether it resumes what the folder holds.
        layout: What else has to be the same, by its name; see `leccr.training.processes.layout`.

    Raises:
        UserError: If it is another run than the one in the folder; the message says in what they differ.
    """
    digests = {split: _digest(rows) for split, rows in used.items()}
    check_agreement({f"{split} rows": digest for split, digest in digests.items()})
    if resume:
        _check_same(output, recipe, digests, layout)
    if is_main_process():
        write_text(output / RECIPE_FILE, recipe.to_yaml())
        write_json(output / CHECKPOINTS / DATA_FILE, {**digests, **layout})


def _check_same(output: Path, recipe: Recipe, digests: Mapping[str, Any], layout: Mapping[str, int]) -> None:
    other = "resume with the same, or choose another --out"
    if (output / RECIPE_FILE).is_file():
        found = differences(load_recipe(output / RECIPE_FILE), recipe)
        if found:
            raise UserError(f"The run in {output} was begun with {'; '.join(found[:5])}; {other}.")
    path = output / CHECKPOINTS / DATA_FILE
    if path.is_file():
        before = _read(path)
        for name, number in layout.items():
            if before.get(name) != number:
                raise UserError(
                    f"The run in {output} was begun with {before.get(name)} {name}, not {number}; resume with the same "
                    "number of processes, --per_device_train_batch_size and --dataloader_num_workers."
                )
        for split, digest in digests.items():
            if before.get(split) != digest:
                raise UserError(
                    f"The run in {output} was begun with other {split} rows than {recipe.data} has; {other}."
                )


def last_checkpoint(folder: Path) -> str | None:
    """Return the last checkpoint that was written to its end, and remove those that were not.

    The state of the trainer is written after everything else in a checkpoint.

    Args:
        folder: Folder of checkpoints; it need not exist.
    """
    numbered = [
        (int(number), path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        for prefix, _, number in [path.name.rpartition("-")]
        if prefix == PREFIX_CHECKPOINT_DIR and number.isdigit() and path.is_dir()
    ]
    for _, path in sorted(numbered, reverse=True):
        if _read(path / STATE_FILE):
            return str(path)
        if is_main_process():
            note(f"Note: {path.name} was not written to its end; the run resumes from what was before it.")
            shutil.rmtree(path, ignore_errors=True)
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _digest(rows: Dataset) -> str:
    """Return what changes with the rows' ids, captions and descriptions, and not with their pictures."""
    names = ("id", "source_language", "source_captions", "target_captions", "description")
    digest = hashlib.blake2b(digest_size=16)
    for row in rows.select_columns([name for name in names if name in rows.column_names]):
        digest.update(json.dumps(row, sort_keys=True).encode())
    return f"{len(rows)} rows, {digest.hexdigest()}"
