"""One run of the study: train a row with one seed, measure it on several galleries, and keep figures and ranks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from benchmarks.study.run import alpha_curve, claimed, commit_hash, named_ranks, queries_of, read_results
from leccr.data.training_data import training_data
from leccr.evaluation.metrics import retrieval_metrics
from leccr.evaluation.ranks import retrieval_ranks
from leccr.models.encoder import Encoder
from leccr.models.model_encoder import ModelEncoder
from leccr.training.train import make_trainer, train_recipe

from .data import OTHERS, Study
from .galleries import disturbed
from .rows import Row
from .translations import likeness, trusted

RESULTS = Path(__file__).parent.parent / "results" / "pretrained.jsonl"
RANKS = RESULTS.with_name("pretrained_ranks")
# Rows that are also asked in languages that they never trained on.
ASKED_IN_OTHERS = ("image alone", "description alone", "late fusion", "sentence slots")


def run_row(row: Row, seed: int, study: Study) -> None:
    """Train and measure one row with one seed, unless that is done or another process is at it."""
    folder = study.cache / "runs" / f"{row.key}-seed{seed}"
    with claimed(folder) as free:
        if not free or any(
            (r["block"], r["row"], r["seed"]) == (row.block, row.name, seed) for r in read_results(RESULTS)
        ):
            return
        print(f"== {row.block}: {row.name}, seed {seed}", flush=True)
        result = _train(row, seed, study, folder)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


def _train(row: Row, seed: int, study: Study, folder: Path) -> dict[str, Any]:
    recipe = row.recipe(study.towers, seed)
    texts, features = study.texts(recipe), study.features()
    embeddings = None if row.teacher is None else study.teacher_embeddings(row)
    splits = study.splits(row)
    if row.translations != "all":
        worst = row.translations if isinstance(row.translations, float) else None
        splits["train"] = trusted(splits["train"], likeness(splits["train"], recipe, texts), worst)
    rows = training_data(recipe, splits, features, embeddings, texts)
    trainer = make_trainer(recipe, rows, folder / "checkpoints")
    report = train_recipe(trainer, recipe)
    figures, ranks = measure(ModelEncoder(trainer.model, trainer.processing_class), study, row, features)
    RANKS.mkdir(exist_ok=True)
    np.savez_compressed(RANKS / f"{row.key}-seed{seed}.npz", **ranks)
    return {
        "block": row.block,
        "row": row.name,
        "seed": seed,
        "commit": commit_hash(),
        "steps": report["steps"],
        "seconds": report["seconds"],
        "learned": learned(trainer.model),
        "galleries": figures,
    }


def learned(model: Any) -> dict[str, float]:
    """Return the gates, the weight of the whole image and the temperature after training."""
    gates = {name: weight for name, weight in model.named_parameters() if weight.dim() == 0}
    values = {name.removesuffix(".weight"): round(weight.item(), 3) for name, weight in gates.items()}
    if model.config.learn_alpha:
        values["alpha"] = round(model.image.learned_alpha().item(), 3)
    return values


def measure(encoder: Encoder, study: Study, row: Row, features: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the figures by gallery and language, and the ranks of every query."""
    rows = study.splits(row)["validation"]
    galleries = {"as trained": rows}
    if encoder.model.config.takes_descriptions:
        galleries |= disturbed(rows)
    queries = {language: queries_of(encoder, rows, language) for language in ("en", "zh")}
    figures: dict[str, Any] = {}
    ranks: dict[str, np.ndarray] = {}
    for name, gallery in galleries.items():
        figures[name], more = _searched(encoder, gallery, features, queries, name)
        ranks |= more
    if row.block == "languages" or row.name in ASKED_IN_OTHERS:
        figures["other languages"], more = _other_languages(encoder, study, features)
        ranks |= more
    if encoder.model.config.has_slots:
        figures["alpha"] = alpha_curve(encoder, rows, features, queries)
    return figures, ranks


def _other_languages(encoder: Encoder, study: Study, features: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the figures of Multi30K's captions of the validation images, and English ones of the same images."""
    rows = study.other_languages()
    queries = {language: queries_of(encoder, rows, language) for language in ("en", "zh", *OTHERS)}
    return _searched(encoder, rows, features, queries, "other languages")


def _searched(
    encoder: Encoder, gallery: Dataset, features: Any, queries: Any, name: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the figures of a gallery by language, and the ranks of every query under the gallery's name."""
    views = torch.from_numpy(encoder.row_views(gallery, features))
    figures: dict[str, Any] = {}
    ranks: dict[str, np.ndarray] = {}
    for language, (embeds, owners) in queries.items():
        ranked = retrieval_ranks(embeds, views, owners)
        figures[language] = retrieval_metrics(ranked)
        ranks |= named_ranks(ranked, owners, f"{name}/{language}")
    return figures, ranks
