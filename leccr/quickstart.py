"""The main job: draw Scenes, train three recipes on it, compare them, and ask one query in each language."""

import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModel, AutoProcessor

from processing.captions import captions_by_language, languages_of
from processing.device import to_device
from processing.images import open_image
from processing.notes import note
from processing.scenes.build import build_scenes
from processing.writing import atomic_file, write_json

from . import __version__
from .arguments import QUICKSTART_FILE
from .data.facts import SCENES, training_facts
from .data.training_data import training_data
from .drawing.contact_sheet import ContactRow, contact_sheet
from .errors import UserError
from .evaluation.evaluate import evaluate_retrieval
from .evaluation.tables import format_table
from .models.model_encoder import ModelEncoder
from .recipes import load_recipe, override_training
from .training.device import device_settings
from .training.train import CHECKPOINTS, make_trainer, print_changes, save_retriever, train_recipe

RECIPES = ("dual-encoder", "late-fusion", "leccr")
RESULTS_FILE, ANSWERS_FILE = "results.json", "answers.png"
SHOWN = 5


def run_quickstart(
    output: Path,
    seed: int = 0,
    recipes: Sequence[str] = RECIPES,
    overwrite: bool = False,
    device: str = "auto",
    **sizes: int,
) -> list[dict[str, Any]]:
    """Run the main job and print what it found; a folder that holds the same job, finished, is only shown again.

    Args:
        output: Folder to write: the best model under `model`, `results.json`, the contact sheet `answers.png`,
            and some unseen scenes under `pictures` to try the model on.
        seed: Of the data and of training.
        recipes: Recipes to compare.
        overwrite: Start over if the folder holds another quickstart; other files in it stay.
        device: Where to train and to search, as for `processing.device.choose_device`.
        **sizes: Sizes of Scenes, as `processing.scenes.build.build_scenes` takes them.

    Returns:
        Metrics by recipe and language on the unseen test scenes.

    Raises:
        UserError: If the folder holds files of something else, or another quickstart that is not to be overwritten,
            or there is no such device.
    """
    device_settings(device)  # before anything is removed
    output = Path(output)
    job = {"leccr": __version__, "seed": seed, "recipes": list(recipes), **sizes}
    earlier = _earlier_job(output)
    if earlier == job and not overwrite:
        return _show_again(output, seed)
    if earlier and not overwrite:
        raise UserError(
            f"{output} holds another quickstart; start over with --overwrite, or choose another folder with --out."
        )
    if earlier == {}:
        note(f"The quickstart in {output} was stopped before its end; it starts over.")
    if earlier is None and output.exists() and any(output.iterdir()):
        raise UserError(f"{output} is not empty and holds no quickstart; choose another folder with --out.")
    _remove_parts(output)
    write_json(output / QUICKSTART_FILE, {})
    rows = _compare(output, seed, recipes, device, sizes)
    write_json(output / QUICKSTART_FILE, job)
    note(_next_steps(output))
    return rows


def _earlier_job(output: Path) -> dict[str, Any] | None:
    """Return what a finished quickstart in the folder was, `{}` for a stopped one, and None if there is none."""
    path = output / QUICKSTART_FILE
    if not path.is_file():
        return None
    try:
        job = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return job if isinstance(job, dict) else {}


def _show_again(output: Path, seed: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((output / RESULTS_FILE).read_text(encoding="utf-8"))
    print(f"{output} holds this quickstart already (seed {seed}). Unseen scenes, in percent:\n\n{format_table(rows)}")
    note("\nStart over with --overwrite, or choose another folder with --out.")
    note(_next_steps(output))
    return rows


def _remove_parts(output: Path) -> None:
    """Remove what a quickstart writes, the file that says what it was last."""
    for name in ("model", "pictures", CHECKPOINTS):
        shutil.rmtree(output / name, ignore_errors=True)
    for name in (RESULTS_FILE, ANSWERS_FILE, QUICKSTART_FILE):
        (output / name).unlink(missing_ok=True)
    output.mkdir(parents=True, exist_ok=True)


def _compare(
    output: Path, seed: int, recipes: Sequence[str], device: str, sizes: dict[str, int]
) -> list[dict[str, Any]]:
    started = time.monotonic()
    note("Drawing the pictures and writing their captions in six languages ...")
    data = build_scenes(seed=seed, **sizes)
    trained, rows = {}, []
    for name in recipes:
        note(f"\nTraining {name} ...")
        trained[name], measured = _train_and_measure(name, data, output, seed, device)
        rows += [{"recipe": name, **result} for result in measured]
    print(f"\nUnseen scenes ({len(data['test'])}), queries without noise, in percent:\n\n{format_table(rows)}\n")
    write_json(output / RESULTS_FILE, rows)
    best = max(recipes, key=lambda name: _mean_sum(rows, name))
    save_retriever(output / "model", *trained[best])
    note(f"{best} is the best model; it is saved in {output / 'model'} and loaded back through AutoModel.")
    _save_pictures(output / "pictures", data["test"])
    _answer_queries(output, data["test"], device)
    note(f"\nThe answers as a picture: {output / ANSWERS_FILE}. Finished in {time.monotonic() - started:.0f} s.")
    return rows


def _train_and_measure(
    name: str, data: DatasetDict, output: Path, seed: int, device: str
) -> tuple[tuple[Any, ...], list[Any]]:
    """Return what `save_retriever` takes of a trained model, and its figures by language."""
    recipe = dataclasses.replace(load_recipe(name, towers="scenes"), data=SCENES, seed=seed)
    recipe = override_training(recipe, device_settings(device))
    checked = training_data(recipe, data)
    recipe = dataclasses.replace(recipe, languages=checked.languages)
    print_changes(recipe)
    trainer = make_trainer(recipe, checked, output / CHECKPOINTS / name)
    report = train_recipe(trainer, recipe)
    report["data"] = training_facts(SCENES, checked.used)
    measured = evaluate_retrieval(ModelEncoder(trainer.model, trainer.processing_class), data["test"])
    for result in measured:
        result["protocol"].update(data=SCENES, split="test", selection="best validation SumR over languages")
    return (trainer.model, trainer.processing_class, report, recipe), measured


def _mean_sum(rows: list[dict[str, Any]], recipe: str) -> float:
    sums = [row["sum_of_hit_rates"] for row in rows if row["recipe"] == recipe]
    return sum(sums) / len(sums)


def _save_pictures(folder: Path, test: Dataset, count: int = 12) -> None:
    folder.mkdir()
    lines = []
    for number in range(min(count, len(test))):
        name, row = f"{number}.png", test[number]
        open_image(row["image"]).save(folder / name)
        lines.append(json.dumps({"id": name, "description": row["description"]}, ensure_ascii=False))
    # The model's confidence is calibrated on pictures with descriptions.
    (folder / "descriptions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _answer_queries(output: Path, test: Dataset, device: str) -> None:
    model = AutoModel.from_pretrained(output / "model", trust_remote_code=True)
    encoder = ModelEncoder(
        to_device(model, device), AutoProcessor.from_pretrained(output / "model", trust_remote_code=True)
    )
    views = encoder.row_views(test)
    languages = languages_of(test)
    asked = [len(test) * number // len(languages) for number in range(len(languages))]
    queries = [captions_by_language(test[index])[language][0] for index, language in zip(asked, languages)]
    scores = torch.from_numpy(np.einsum("td,nkd->tnk", encoder.texts(queries), views).max(axis=-1))
    rows = []
    for index, language, query, score in zip(asked, languages, queries, scores):
        order = score.topk(SHOWN).indices.tolist()
        rank = int((score >= score[index]).sum())
        print(f"  {language}  {query}  -> the scene it describes came {'first' if rank == 1 else f'at rank {rank}'}")
        pictures = [open_image(test[item]["image"]) for item in order]
        right = order.index(index) if index in order else None
        gloss = None if language == "en" else test[index]["source_captions"][0]
        rows.append(ContactRow(query, language, pictures, score[order].tolist(), right, gloss))
    with atomic_file(output / ANSWERS_FILE) as part:
        contact_sheet(rows, title="One query in each language, on scenes never seen in training").save(part)


def _next_steps(output: Path) -> str:
    model, gallery = output / "model", output / "gallery"
    return (
        "\nWhat to type next:\n"
        f"  leccr index {output / 'pictures'} --model {model} --out {gallery}\n"
        f'  leccr search {gallery} "Ein braunes Haus am Strand" -k 3\n'
        f"  leccr demo --gallery {gallery}\n"
        f"  leccr evaluate {model} scenes --split test\n"
        "  leccr recipes"
    )
