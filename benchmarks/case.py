"""How many queries find their picture as written, in lower case and in capitals: python -m benchmarks.case MODEL.

The model is one trained on Scenes, such as the quickstart's. It prints the table in RESULTS.md.
"""

import argparse
from collections.abc import Callable
from typing import Any

from datasets import Dataset

from leccr.evaluation.evaluate import evaluate_retrieval
from leccr.models.encoder import Encoder
from processing.captions import languages_of
from processing.scenes.build import build_scenes

CASES: dict[str, Callable[[str], str]] = {"as written": str, "lower case": str.lower, "capitals": str.upper}


def in_case(rows: Dataset, change: Callable[[str], str]) -> Dataset:
    """Return the rows with all their captions, but not their descriptions, in another case."""

    def changed(row: dict[str, Any]) -> dict[str, Any]:
        targets = [{**target, "text": change(target["text"])} for target in row["target_captions"]]
        return {"source_captions": [change(text) for text in row["source_captions"]], "target_captions": targets}

    return rows.map(changed, features=rows.features)


def measure(encoder: Encoder, rows: Dataset) -> dict[str, dict[str, float]]:
    """Return the hit rate at 1, in percent, by case and language."""
    found = {}
    for case, change in CASES.items():
        results = evaluate_retrieval(encoder, in_case(rows, change))
        found[case] = {result["language"]: result["text_to_image_hit_rate_1"] for result in results}
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the figures as a Markdown table, and what lower case and capitals lose."""
    languages = list(found["as written"])
    lines = ["| queries | " + " | ".join(languages) + " |", "| --- |" + " ---: |" * len(languages)]
    for case, figures in found.items():
        cells = [f"{figures[language]:.1f}" for language in languages]
        lines.append(f"| {case} | {' | '.join(cells)} |")
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
