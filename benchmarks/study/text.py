"""The first stage of CL2CM alone, on all of the shared text: sentence retrieval between English and de, fr, cs."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from leccr.data.training_data import training_data
from leccr.evaluation.evaluate import evaluate_sentences
from leccr.models.model_encoder import ModelEncoder
from leccr.training.train import make_trainer, save_retriever, train_recipe

from .data import TEXT, Library
from .rows import Row
from .run import read_results

RESULTS = Path(__file__).parent.parent / "results" / "study_text.jsonl"
LANGUAGES = ("cs", "de", "fr", "zh")
EVALUATED = ("cs", "de", "fr")
EVALUATION = {"eval_steps": 132, "save_steps": 132}
# Aligning words costs the square of the batch.
SMALL = {"per_device_train_batch_size": 128, "num_train_epochs": 3, **EVALUATION}
LARGE = {"per_device_train_batch_size": 512, "num_train_epochs": 8, **EVALUATION}
TEXT_ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sentences, batch 512": ({"word_weight": 0.0}, LARGE),
    "sentences, batch 128": ({"word_weight": 0.0}, SMALL),
    "sentences and words, batch 128": ({"word_weight": 0.1}, SMALL),
}


def run_text(library: Library, seed: int) -> None:
    """Train the first stage with and without word alignment, and measure it on Multi30K's validation sentences."""
    for name, (model, training) in TEXT_ROWS.items():
        if any((done["row"], done["seed"]) == (name, seed) for done in read_results(RESULTS)):
            continue
        data = library.open(TEXT)
        row = Row("text", name, "cross-lingual", data=TEXT, model=model, training=training, languages=LANGUAGES)
        folder = library.cache / "study" / "runs" / f"text-{name.replace(' ', '-')}-seed{seed}"
        recipe = dataclasses.replace(row.recipe(), seed=seed)
        trainer = make_trainer(recipe, training_data(recipe, data.splits), folder / "checkpoints")
        report = train_recipe(trainer, recipe)
        save_retriever(folder, trainer.model, trainer.processing_class, report, recipe)
        results = evaluate_sentences(
            ModelEncoder(trainer.model, trainer.processing_class), data.splits["multi30k"], EVALUATED
        )
        result = {
            "row": name,
            "seed": seed,
            "training_rows": len(data.splits["train"]),
            "steps": report["steps"],
            "seconds_a_step": round(report["seconds"] / report["steps"], 3),
            "figures": {figures.pop("language"): figures for figures in results},
        }
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
