"""Flickr8k-CN with descriptions by a small captioner that was trained on its training images.

    python -m benchmarks.captioner --shared ../shared --cache benchmarks/cache

A real automatic describer, if a weak one (benchmarks/captioner_model.py), trained on the English captions 0 to 2. No
training image is described by a captioner that has seen its captions: the images are dealt into folds, and each fold is
described, through `leccr describe`, by a captioner trained on the others. The validation images are described by the
first captioner.

What is finished is not repeated. The outcome is `flickr8k-cn-described` in the cache, with the captioner's text where
reserved captions would be.
"""

import argparse
import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from leccr.data.describe import run_description
from leccr.data.options import DescribeOptions, PrepareOptions
from leccr.data.prepare import run_preparation
from leccr.recipes import Recipe
from leccr.training.features import run_features
from processing.features import FeatureFile, features_paths
from processing.generation.write_back import copy_data, rewrite_column
from processing.storage import read_column, read_splits, write_rows
from processing.writing import atomic_folder

from .captioner_model import (
    PROMPTS_FILE,
    QUESTIONS,
    REPORT_FILE,
    Captions,
    build_captioner,
    perplexity,
    save_captioner,
    train_captioner,
)
from .study.data import Library

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "captioner.json"
TOWER = Path("weights", "mobilenet_v2_imagenet")


def prepare_maps(shared: Path, work: Path) -> Path:
    """Prepare the data set with all five captions, and its maps next to it."""
    data = work / "data"
    if not data.exists():
        run_preparation("flickr8k-cn", data, PrepareOptions(root=shared / "data" / "flickr8k-cn", embed_images=False))
    if not features_paths(data):
        run_features(str(data), Recipe("captioner", vision=str(shared / TOWER)))
    return data


def deal(names: Sequence[str], folds: int, seed: int) -> list[set[str]]:
    """Deal images into folds of equal size."""
    shuffled = random.Random(seed).sample(sorted(names), len(names))
    return [set(shuffled[fold::folds]) for fold in range(folds)]


def describe_images(data: Path, folder: Path, model: Path, chosen: Mapping[str, set[str]]) -> dict[str, str]:
    """Describe the chosen images of each split by `leccr describe`, and return the descriptions by image."""
    if not folder.exists():
        with atomic_folder(folder) as part:
            for split, names in chosen.items():
                rows = (row for row in read_splits(data)[split] if row["id"] in names)
                write_rows(part, split, rows, embed_images=False)
    options = DescribeOptions(model=str(model), prompts=str(model / PROMPTS_FILE), batch_size=64, device="cpu")
    run_description(str(folder), options)
    texts = read_column(folder, "description")
    return {name: text for split, names in read_column(folder, "id").items() for name, text in zip(names, texts[split])}


def write_described(reserved: Path, output: Path, descriptions: Mapping[str, str]) -> None:
    """Copy the data set with reserved captions, and replace them by the captioner's text."""
    with atomic_folder(output) as part:
        copy_data(reserved, part)
        rewrite_column(part, "description", ["id"], lambda row: descriptions.get(row["id"]))
        with (part / "README.md").open("a", encoding="utf-8") as card:
            card.write(
                "\n## Descriptions\n\nThe reserved captions are gone. Each description is the text of a small "
                "captioner that was not trained on this image: `python -m benchmarks.captioner`.\n"
            )


def score(folder: Path, references: Captions, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return BLEU, chrF and the variety of the answers to each question, against all captions of the images."""
    from sacrebleu import corpus_bleu, corpus_chrf

    lines = (folder / "descriptions.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {record["id"]: record["answers"] for record in map(json.loads, lines)}
    streams = [list(texts) for texts in zip(*(references[name] for name in names))]
    scores = {}
    for question in QUESTIONS:
        texts = [answers[name][question] or "" for name in names]
        scores[question] = {
            "bleu": round(corpus_bleu(texts, streams).score, 1),
            "chrf": round(corpus_chrf(texts, streams).score, 1),
            "words": round(sum(len(text.split()) for text in texts) / len(texts), 1),
            "different": len(set(texts)),
        }
    return scores


def train_fold(folder: Path, vision: Path, maps: FeatureFile, seen: Captions, unseen: Captions, options: Any) -> None:
    """Train a captioner on the captions of some images and save it, with its perplexity on those of others."""
    started = time.process_time()
    torch.manual_seed(options["seed"])
    model, processor = build_captioner(vision, [text for texts in seen.values() for text in texts])
    train_captioner(model, processor.tokenizer, maps, seen, **options)
    report: dict[str, Any] = {"images": len(seen), "cpu_seconds": round(time.process_time() - started)}
    sample = dict(sorted(seen.items())[:1000])
    for name, captions in (("validation", unseen), ("training", sample)):
        report[f"perplexity_{name}"] = round(perplexity(model, processor.tokenizer, maps, captions), 2)
    print(json.dumps(report))
    save_captioner(folder, model, processor, report)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, default=HERE / "cache")
    parser.add_argument("--captions", type=int, nargs="+", default=[0, 1, 2], help="numbers of the captions to learn")
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(given)
    output = arguments.cache / "flickr8k-cn-described"
    if output.exists():
        return print(f"{output} exists already; remove it to make it again.")
    work = arguments.cache / "captioner"
    data = prepare_maps(arguments.shared, work)
    numbers = "".join(map(str, arguments.captions))
    run = work / f"captions{numbers}-folds{arguments.folds}-epochs{arguments.epochs}-seed{arguments.seed}"
    run.mkdir(exist_ok=True)
    ids, texts = read_column(data, "id"), read_column(data, "source_captions")
    written = {name: captions for split in ids for name, captions in zip(ids[split], texts[split])}
    learned = {name: [captions[number] for number in arguments.captions] for name, captions in written.items()}
    validation = {name: learned[name] for name in ids["validation"]}
    descriptions: dict[str, str] = {}
    reports = []
    for fold, held_out in enumerate(deal(ids["train"], arguments.folds, arguments.seed)):
        folder = run / f"captioner-{fold}"
        if not folder.exists():
            seen = {name: learned[name] for name in ids["train"] if name not in held_out}
            options = {"epochs": arguments.epochs, "seed": arguments.seed + fold}
            train_fold(folder, arguments.shared / TOWER, FeatureFile(data), seen, validation, options)
        reports.append(json.loads((folder / REPORT_FILE).read_text(encoding="utf-8")))
        chosen = {"train": held_out, **({"validation": set(validation)} if fold == 0 else {})}
        descriptions |= describe_images(data, run / f"described-{fold}", folder, chosen)
    for name in ids["validation"][:8]:
        print(f"{name}: {descriptions[name]}\n    (by people: {written[name][0]})")
    result = {"captioners": reports, "answers": score(run / "described-0", written, ids["validation"])}
    print(json.dumps(result, indent=2))
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    library = Library(arguments.shared, arguments.cache, Recipe("captioner"))
    write_described(library.prepared("baidu"), output, descriptions)
    print(f"The data set is in {output}.")


if __name__ == "__main__":
    main()
