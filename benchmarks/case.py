"""How many queries find their picture however they are typed: python -m benchmarks.case MODEL.

The model is one trained on Scenes, such as the quickstart's. It prints the table in RESULTS.md.
"""

import argparse
import unicodedata
from collections.abc import Callable
from typing import Any

from datasets import Dataset

from leccr.evaluation.evaluate import evaluate_retrieval
from leccr.models.encoder import Encoder
from processing.captions import languages_of
from processing.scenes.build import build_scenes

FULL_WIDTH = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}
WAYS: dict[str, Callable[[str], str]] = {
    "as written": str,
    "lower case": str.lower,
    "capitals": str.upper,
    "decomposed letters": lambda text: unicodedata.normalize("NFD", text),
    "full-width letters": lambda text: text.translate(FULL_WIDTH),
}


def typed(rows: Dataset, change: Callable[[str], str]) -> Dataset:
    """Return the rows with all their captions, but not their descriptions, typed in another way."""

    def changed(row: dict[str, Any]) -> dict[str, Any]:
        targets = [{**target, "text": change(target["text"])} for target in row["target_captions"]]
        return {"source_captions": [change(text) for text in row["source_captions"]], "target_captions": targets}

    return rows.map(changed, features=rows.features)


def measure(encoder: Encoder, rows: Dataset) -> dict[str, dict[str, float]]:
    """Return the hit rate at 1, in percent, by way of typing and language."""
    found = {}
    for way, change in WAYS.items():
        results = evaluate_retrieval(encoder, typed(rows, change))
        found[way] = {result["language"]: result["text_to_image_hit_rate_1"] for result in results}
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the figures as a Markdown table."""
    languages = list(found["as written"])
    lines = ["| queries | " + " | ".join(languages) + " |", "| --- |" + " ---: |" * len(languages)]
    for way, figures in found.items():
        cells = [f"{figures[language]:.1f}" for language in languages]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure a model and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="Folder of a model trained on Scenes.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of Scenes.")
    arguments = parser.parse_args()
    rows = build_scenes(seed=arguments.seed)["test"]
    print(f"Scenes (seed {arguments.seed}), {len(rows)} unseen scenes, {', '.join(languages_of(rows))}.\n")
    print(table(measure(Encoder.load(arguments.model), rows)))


if __name__ == "__main__":
    main()
