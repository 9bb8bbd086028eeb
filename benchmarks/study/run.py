"""One run of the study: train a row with one seed, measure it, and keep figures and ranks."""

import dataclasses
import fcntl
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from leccr.data.training_data import training_data
from leccr.evaluation.metrics import retrieval_metrics
from leccr.evaluation.ranks import RetrievalRanks, retrieval_ranks
from leccr.models.encoder import Encoder
from leccr.models.model_encoder import ModelEncoder
from leccr.training.embed_captions import embed_rows, unique_rows
from leccr.training.train import make_trainer, save_retriever, train_recipe
from processing.caption_embeddings import CaptionEmbeddings, save_caption_embeddings
from processing.captions import captions_by_language

from ..memory import peak_megabytes
from .data import Library, StudyData, half_described, with_descriptions, with_targets
from .rows import Row

RESULTS = Path(__file__).parent.parent / "results" / "study.jsonl"
RANKS = RESULTS.with_name("study_ranks")
# Sentences only: aligning words costs the square of the batch, and took 9 s a step with 256 pairs.
TEACHER = {"word_weight": 0.0}
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)


def read_results(path: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the lines of all finished runs."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run_name(row: Row, seed: int) -> str:
    """Return the name of a run's files."""
    words = "".join(letter if letter.isalnum() else "-" for letter in f"{row.block}-{row.name}")
    return f"{words}-seed{seed}"


def run_row(row: Row, seed: int, library: Library) -> None:
    """Train and measure one row with one seed, unless that is done or another process is at it."""
    folder = library.cache / "study" / "runs" / run_name(row, seed)
    with claimed(folder) as free:
        if not free or any((r["block"], r["row"], r["seed"]) == (row.block, row.name, seed) for r in read_results()):
            return
        print(f"== {row.block}: {row.name}, seed {seed}", flush=True)
        data = library.open(row.data, row.descriptions, row.weighting, row.varied)
        data.splits["train"] = with_targets(data.splits["train"], row.languages)
        teacher = train_teacher(library, row, data) if row.needs_teacher else None
        result = _train(row, seed, data, teacher, folder)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


def commit_hash() -> str:
    """Return the commit of this checkout."""
    return subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()


@contextmanager
def claimed(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a folder for this process, and say whether it is held; the lock ends with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "claim").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def train_teacher(library: Library, row: Row, data: StudyData) -> Path:
    """Train the first stage once for each data set, and embed the row's captions with it."""
    source = row.teacher_data or row.data
    languages = "-".join(row.languages)
    folder = library.cache / "study" / "teachers" / f"{source}-{languages}".replace(" ", "-")
    with claimed(folder, wait=True):
        if not (folder / "training.json").exists():
            recipe = Row("teacher", folder.name, "cross-lingual", model=TEACHER).recipe()
            splits = data.splits if source == row.data else library.open(source).splits
            trainer = make_trainer(recipe, training_data(recipe, splits), folder / "checkpoints")
            save_retriever(folder, trainer.model, trainer.processing_class, train_recipe(trainer, recipe), recipe)
        path = folder / embeddings_name(row)
        if not path.exists():
            encoder = Encoder.load(folder, text_only=True)
            rows = unique_rows(data.splits)
            save_caption_embeddings(path, rows, embed_rows(encoder, rows), teacher=folder.name)
    return folder


def embeddings_name(row: Row) -> str:
    """Return the name of the file with a teacher's embeddings of a row's captions."""
    return f"{row.data}.safetensors".replace(" ", "-")


def _train(row: Row, seed: int, data: StudyData, teacher: Path | None, folder: Path) -> dict[str, Any]:
    recipe = dataclasses.replace(row.recipe(teacher), seed=seed)
    embeddings = (
        CaptionEmbeddings(teacher / embeddings_name(row)) if teacher and recipe.model.get("transfer_weight") else None
    )
    rows = training_data(recipe, data.splits, data.features, embeddings)
    trainer = make_trainer(recipe, rows, folder / "checkpoints")
    report = train_recipe(trainer, recipe)
    save_retriever(folder, trainer.model, trainer.processing_class, report, recipe)
    measured, ranks = _measure(ModelEncoder(trainer.model, trainer.processing_class), data, row)
    RANKS.mkdir(exist_ok=True)
    np.savez_compressed(RANKS / f"{run_name(row, seed)}.npz", **ranks)
    return {
        "block": row.block,
        "row": row.name,
        "seed": seed,
        "commit": commit_hash(),
        "data": row.data,
        "descriptions": row.descriptions,
        "steps": report["steps"],
        "seconds_a_step": round(report["seconds"] / report["steps"], 3),
        "peak_memory_gigabytes": round(peak_megabytes() / 1024, 2),
        "selection": report["selection"],
        "galleries": measured,
    }


def _measure(encoder: Encoder, data: StudyData, row: Row) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the figures by gallery and language, and the ranks of every query of the gallery as it is in training."""
    config = encoder.model.config
    rows = data.splits["validation"]
    galleries = {"as trained": rows}
    if row.descriptions != "none" and config.takes_descriptions:
        galleries["half described"] = half_described(rows)
        galleries["none described"] = with_descriptions(rows, {})
    queries = {language: queries_of(encoder, rows, language) for language in ("en", *row.languages)}
    figures: dict[str, Any] = {}
    ranks: dict[str, np.ndarray] = {}
    for gallery, images in galleries.items():
        views = torch.from_numpy(encoder.row_views(images, data.features))
        for language, (embeds, owners) in queries.items():
            ranked = retrieval_ranks(embeds, views, owners)
            figures.setdefault(gallery, {})[language] = retrieval_metrics(ranked)
            if images is rows:
                ranks.update(named_ranks(ranked, owners, language))
    if config.num_slots:
        figures["alpha"] = alpha_curve(encoder, rows, data.features, queries)
    return figures, ranks


def queries_of(encoder: Encoder, rows: Dataset, language: str) -> tuple[torch.Tensor, torch.Tensor]:
    captions = [captions_by_language(row).get(language, []) for row in rows]
    owners = [index for index, texts in enumerate(captions) for _ in texts]
    embeds = encoder.texts([text for texts in captions for text in texts])
    return torch.from_numpy(embeds), torch.tensor(owners)


def named_ranks(ranked: RetrievalRanks, owners: torch.Tensor, name: str) -> dict[str, np.ndarray]:
    return {
        f"{name}/text_to_image": ranked.text_to_image.numpy().astype(np.uint16),
        f"{name}/image_to_text": ranked.image_to_text.numpy().astype(np.uint16),
        f"{name}/owners": owners.numpy().astype(np.uint16),
    }


def alpha_curve(encoder: Any, rows: Dataset, features: Any, queries: Any) -> dict[str, Any]:
    """Return SumR by language when the trained model is searched with other weights of the whole image."""
    model, curve = encoder.model, {}
    trained, share = model.config.alpha, model.image.learned_alpha
    model.image.learned_alpha = None
    for alpha in ALPHAS:
        model.config.alpha = alpha
        views = torch.from_numpy(encoder.row_views(rows, features))
        curve[str(alpha)] = {
            language: retrieval_metrics(retrieval_ranks(embeds, views, owners))["sum_of_hit_rates"]
            for language, (embeds, owners) in queries.items()
        }
    model.config.alpha, model.image.learned_alpha = trained, share
    return curve
