"""Flickr8k-CN, en→zh, with reserved-caption descriptions: four rows, several seeds.

    python -m benchmarks.flickr8k_cn --shared ../shared --seeds 0 1 2

Protocol: train on English captions 0 to 2 and their machine translation by Baidu; the description of an image is its
English captions 3 and 4; select the checkpoint on the validation images by SumR averaged over English and human
Chinese queries. Frozen MobileNetV2 features, a text encoder trained from scratch (benchmarks/mobilenet.yaml).
Each finished run is a line of ``results/flickr8k_cn.jsonl``; runs that are there already are not repeated.
"""

import argparse
import dataclasses
import json
import resource
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from leccr.data import load_data
from leccr.featuring import run_features
from leccr.metrics import CUTOFFS
from leccr.preparation import run_preparation
from leccr.recipes import Recipe, load_recipe
from leccr.training import make_trainer, save_retriever, train_recipe

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "flickr8k_cn.jsonl"
# Chosen on validation: shallow interactions, more weight on the slots, hard targets.
ANCHORED = {"slot_layers": 1, "interaction_layers": 1, "slot_weight": 0.1, "softened_weight": 0.0}
# Name of a row: its recipe, changes to the model, and epochs, all chosen on validation. Without descriptions the model
# converges more slowly.
ROWS: dict[str, tuple[str, dict[str, Any], int]] = {
    "dual-encoder": ("dual-encoder", {"token_dropout": 0.35}, 40),
    "late-fusion": ("late-fusion", {}, 24),
    "leccr (published slots)": ("leccr", {"slot_anchor": "none", "description_gradient": False}, 24),
    "leccr (anchored slots)": ("leccr", ANCHORED, 24),
}


def recipe_of(row: str) -> Recipe:
    name, changes, epochs = ROWS[row]
    recipe = load_recipe(name, towers=HERE / "mobilenet.yaml")
    return dataclasses.replace(
        recipe, model={**recipe.model, **changes}, training={**recipe.training, "num_train_epochs": epochs}
    )


def prepare(shared: Path, cache: Path) -> Path:
    data = cache / "flickr8k-cn"
    if not data.exists():
        run_preparation(
            "flickr8k-cn",
            root=shared / "data" / "flickr8k-cn",
            output=data,
            embed_images=False,
            reserved_captions=(3, 4),
        )
    if not (data / "features.safetensors").exists():
        run_features(str(data), recipe_of("dual-encoder"))
    return data


def train_row(row: str, seed: int, data: Path, runs: Path) -> dict[str, Any]:
    recipe = recipe_of(row)
    splits, features = load_data(str(data))
    output = runs / f"{recipe.name}-{'-'.join(row.split()[1:]).strip('()')}-seed{seed}"
    started = time.monotonic()
    trainer = make_trainer(recipe, splits, output / "checkpoints", ["zh"], features, seed)
    report = train_recipe(trainer, recipe)
    save_retriever(output, trainer.model, trainer.processing_class, report)
    return {
        "row": row,
        "seed": seed,
        "commit": subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip(),
        "seconds_a_step": round((time.monotonic() - started) / report["steps"], 2),
        "peak_memory_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        **report,
    }


def render(results: list[dict[str, Any]]) -> str:
    """Return a Markdown table: mean and spread over seeds of the selected checkpoints' figures."""
    header = ["row", "language", "text→image hit@1 / 5 / 10", "image→text hit@1 / 5 / 10", "SumR", "s a step", "GB"]
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for row in ROWS:
        runs = [result for result in results if result["row"] == row]
        for language in ("zh", "en") if runs else ():
            cells = [row, language]
            for direction in ("text_to_image", "image_to_text"):
                names = [f"eval_{language}_{direction}_hit_rate_{cutoff}" for cutoff in CUTOFFS]
                cells.append(" / ".join(f"{_mean(runs, name):.1f}" for name in names))
            sums = [run["validation"][f"eval_{language}_sum_of_hit_rates"] for run in runs]
            cells.append(f"**{statistics.mean(sums):.1f}** ± {statistics.pstdev(sums):.1f} ({len(sums)} seeds)")
            cells.append(f"{statistics.mean(run['seconds_a_step'] for run in runs):.2f}")
            cells.append(f"{max(run['peak_memory_gigabytes'] for run in runs):.1f}")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(runs: list[dict[str, Any]], name: str) -> float:
    return statistics.mean(run["validation"][name] for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, default=HERE / "cache")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    arguments = parser.parse_args()
    data = prepare(arguments.shared, arguments.cache)
    RESULTS.parent.mkdir(exist_ok=True)
    for seed in arguments.seeds:
        for row in arguments.rows:
            if any((done["row"], done["seed"]) == (row, seed) for done in read_results()):
                continue
            result = train_row(row, seed, data, arguments.cache / "runs")
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
    print(render(read_results()))


def read_results() -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
