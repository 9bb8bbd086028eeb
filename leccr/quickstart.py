"""The main job: draw Scenes, train three recipes on it, compare them, and ask one query in each language."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModel, AutoProcessor

from processing.captions import captions_by_language, languages_of
from processing.images import open_image
from processing.scenes.build import build_scenes
from processing.writing import atomic_file, write_json

from .data.training_data import training_data
from .drawing.contact_sheet import ContactRow, contact_sheet
from .errors import UserError
from .evaluation.evaluate import evaluate_retrieval
from .evaluation.metrics import format_table
from .models.encoder import Encoder
from .recipes import load_recipe
from .training.train import CHECKPOINTS, make_trainer, save_retriever, train_recipe

RECIPES = ("dual-encoder", "late-fusion", "leccr")
SHOWN = 5


def run_quickstart(output: Path, seed: int = 0, recipes: Sequence[str] = RECIPES, **sizes: int) -> list[dict[str, Any]]:
    """Run the main job and print what it found.

    Args:
        output: Folder to write: the better model under `model`, `results.json`, the contact sheet `answers.png`,
            and some unseen scenes under `pictures` to try the model on.
        seed: Of the data and of training.
        recipes: Recipes to compare.
        **sizes: Sizes of Scenes, as `processing.scenes.build.build_scenes` takes them.

    Returns:
        Metrics by recipe and language on the unseen test scenes.

    Raises:
        UserError: If the folder has files in it.
    """
    output = Path(output)
    if output.exists() and any(output.iterdir()):
        raise UserError(f"{output} is not empty; choose another folder with --out, or remove it.")
    started = time.monotonic()
    print("Drawing the pictures and writing their captions in six languages ...")
    data = build_scenes(seed=seed, **sizes)
    trained, rows = {}, []
    for name in recipes:
        print(f"\nTraining {name} ...")
        trained[name], measured = _train_and_measure(name, data, output, seed)
        rows += [{"recipe": name, **result} for result in measured]
    print(f"\nUnseen scenes ({len(data['test'])}), queries without noise, in percent:\n\n{format_table(rows)}\n")
    write_json(output / "results.json", rows)
    best = max(recipes, key=lambda name: _mean_sum(rows, name))
    save_retriever(output / "model", *trained[best])
    print(f"{best} is the better model; it is saved in {output / 'model'} and loaded back through AutoModel.")
    _save_pictures(output / "pictures", data["test"])
    _answer_queries(output, data["test"])
    print(f"\nThe answers as a picture: {output / 'answers.png'}. Everything took {time.monotonic() - started:.0f} s.")
    print(_next_steps(output))
    return rows


def _train_and_measure(name: str, data: DatasetDict, output: Path, seed: int) -> tuple[tuple[Any, Any, Any], list[Any]]:
    recipe = dataclasses.replace(load_recipe(name, towers="scenes"), seed=seed)
    trainer = make_trainer(recipe, training_data(recipe, data), output / CHECKPOINTS / name)
    report = train_recipe(trainer, recipe)
    measured = evaluate_retrieval(Encoder(trainer.model, trainer.processing_class), data["test"])
    for result in measured:
        result["protocol"].update(data="scenes", split="test", selection="best validation SumR over languages")
    return (trainer.model, trainer.processing_class, report), measured


def _mean_sum(rows: list[dict[str, Any]], recipe: str) -> float:
    sums = [row["sum_of_hit_rates"] for row in rows if row["recipe"] == recipe]
    return sum(sums) / len(sums)


def _save_pictures(folder: Path, test: Dataset, count: int = 12) -> None:
    folder.mkdir()
    for number in range(min(count, len(test))):
        open_image(test[number]["image"]).save(folder / f"{number}.png")


def _answer_queries(output: Path, test: Dataset) -> None:
    model = AutoModel.from_pretrained(output / "model", trust_remote_code=True)
    encoder = Encoder(model, AutoProcessor.from_pretrained(output / "model", trust_remote_code=True))
    views = encoder.row_views(test)
    languages = languages_of(test)
    wanted = [len(test) * place // len(languages) for place in range(len(languages))]
    queries = [captions_by_language(test[place])[language][0] for place, language in zip(wanted, languages)]
    scores = torch.from_numpy(np.einsum("td,nkd->tnk", encoder.texts(queries), views).max(axis=-1))
    rows = []
    for place, language, query, score in zip(wanted, languages, queries, scores):
        order = score.topk(SHOWN).indices.tolist()
        rank = int((score >= score[place]).sum())
        print(f"  {language}  {query}  -> the scene it describes came {'first' if rank == 1 else f'at rank {rank}'}")
        pictures = [open_image(test[item]["image"]) for item in order]
        right = order.index(place) if place in order else None
        gloss = None if language == "en" else test[place]["source_captions"][0]
        rows.append(ContactRow(query, language, pictures, score[order].tolist(), right, gloss))
    with atomic_file(output / "answers.png") as part:
        contact_sheet(rows, title="One query in each language, on scenes never seen in training").save(part)


def _next_steps(output: Path) -> str:
    return (
        "\nWhat to type next:\n"
        f"  leccr evaluate {output / 'model'} scenes --split test\n"
        "  leccr train leccr --towers scenes --data scenes --out runs/scenes-leccr\n"
        "  leccr recipes"
    )
