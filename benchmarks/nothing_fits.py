"""How well a gallery tells that nothing fits, on Flickr8k-CN: captions of photos that are there, and that are not.

    python -m benchmarks.nothing_fits --shared ../shared

A `late-fusion` of the study is trained for a few epochs, on one thread. Its validation photos are dealt into three
parts of equal size: one calibrates, one is the gallery, and one is taken out; then the parts change places, so that
each is each once. The captions of the gallery and of what was taken out are the queries, English and human Chinese
ones, and their language is guessed as `leccr search` does. Without labels, the captions of
`leccr/gallery/unrelated.yaml` take the place of the calibration. It writes `results/nothing_fits.json` and prints the
table of RESULTS.md.
"""

import argparse
import dataclasses
import json
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from benchmarks.study.data import Library, StudyData
from benchmarks.study.rows import Row
from hub_card.tables import markdown_table
from leccr.data.training_data import training_data
from leccr.evaluation.calibrate import fit_calibration
from leccr.gallery.confidence import guess_language, unrelated_captions
from leccr.models.encoder import Encoder
from leccr.models.model_encoder import ModelEncoder
from leccr.training.train import make_trainer, save_retriever, train_recipe
from processing.captions import captions_by_language

RESULTS = Path(__file__).parent / "results" / "nothing_fits.json"
LANGUAGES = ("en", "zh")
CUTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SHORT = {"num_train_epochs": 10, "eval_steps": 60, "save_steps": 60}


@dataclasses.dataclass
class Queries:
    """The captions of one language.

    Attributes:
        texts: (Q,)
        embeds: (Q, D)
        owners: (Q,) the photo of each.
    """

    texts: list[str]
    embeds: torch.Tensor
    owners: torch.Tensor

    def of(self, photos: np.ndarray) -> "Queries":
        """Return the captions of some photos; owners count among them."""
        place = torch.full((int(max(self.owners.max(), photos.max())) + 1,), -1)
        place[torch.from_numpy(photos)] = torch.arange(len(photos))
        own = place[self.owners] >= 0
        texts = [text for text, is_own in zip(self.texts, own.tolist()) if is_own]
        return Queries(texts, self.embeds[own], place[self.owners[own]])


def train(data: StudyData, folder: Path) -> Encoder:
    """Return the model, trained now or by an earlier call."""
    if not (folder / "training.json").exists():
        recipe = dataclasses.replace(Row("nothing fits", "late-fusion", "late-fusion", training=SHORT).recipe(), seed=0)
        trainer = make_trainer(recipe, training_data(recipe, data.splits, data.features), folder / "checkpoints")
        report = train_recipe(trainer, recipe)
        save_retriever(folder, trainer.model, trainer.processing_class, report, recipe)
    return Encoder.load(folder)


def read_queries(encoder: Encoder, rows: Dataset) -> dict[str, Queries]:
    """Return the captions of all rows by language."""
    found = {}
    for language in LANGUAGES:
        captions = [captions_by_language(row)[language] for row in rows.remove_columns(["image", "video"])]
        texts = [text for own in captions for text in own]
        owners = torch.tensor([photo for photo, own in enumerate(captions) for _ in own])
        found[language] = Queries(texts, torch.from_numpy(encoder.texts(texts)), owners)
    return found


def answers(
    encoder: Encoder, views: torch.Tensor, queries: Mapping[str, Queries], seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Return, by language, for each query in three rounds whether its photo is out, and its best answer.

    That is `out` and `right`, whether the best answer is the caption's own photo, and its confidence, `calibrated` and
    by `unrelated` captions.
    """
    parts = np.array_split(np.random.default_rng(seed).permutation(len(views)), 3)
    strangers = {code: torch.from_numpy(encoder.texts(unrelated_captions()[code])) for code in LANGUAGES}
    found: dict[str, list[dict[str, np.ndarray]]] = {language: [] for language in LANGUAGES}
    for turn in range(3):
        labelled, there, taken_out = (np.sort(parts[(turn + place) % 3]) for place in range(3))
        captions = {code: queries[code].of(labelled) for code in LANGUAGES}
        labels = {code: (own.embeds, own.owners) for code, own in captions.items()}
        calibration = fit_calibration(labels, views[labelled])
        assert calibration is not None
        gallery = views[there]
        lower = {code: np.sort(_best(embeds, gallery)[0]) for code, embeds in strangers.items()}
        lower[""] = np.sort(np.concatenate(list(lower.values())))
        for language in LANGUAGES:
            for photos in (there, taken_out):
                own = queries[language].of(photos)
                scores, best = _best(own.embeds, gallery)
                guesses = [guess_language(text, LANGUAGES) for text in own.texts]
                is_out = photos is taken_out
                found[language].append(
                    {
                        "out": np.full(len(scores), is_out),
                        "right": (best == own.owners.numpy()) & ~np.array(is_out),
                        "calibrated": np.array(
                            [calibration.confidence(score, guess) for score, guess in zip(scores, guesses)]
                        ),
                        "unrelated": np.array(
                            [
                                np.searchsorted(lower[guess or ""], score) / len(lower[guess or ""])
                                for score, guess in zip(scores, guesses)
                            ]
                        ),
                    }
                )
    return {
        language: {name: np.concatenate([each[name] for each in rounds]) for name in rounds[0]}
        for language, rounds in found.items()
    }


def _best(embeds: torch.Tensor, views: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the score (Q,) and the index (Q,) of the best photo of each query."""
    scores = torch.einsum("qd,nkd->qnk", embeds, views).amax(2)
    best = scores.max(1)
    return best.values.numpy(), best.indices.numpy()


def measure(confidence: np.ndarray, right: np.ndarray, out: np.ndarray, cut: float) -> dict[str, float]:
    """Return what a cut-off does, in percent.

    Args:
        confidence: (Q,) of the best answers.
        right: (Q,) whether they are right.
        out: (Q,) whether the photo was taken out.
        cut: Answers below are left out.

    Returns:
        `precision`, how many of the answers that stay are right; `recall`, how many of the right ones stay;
        `told_precision`, in how many of the cases in which nothing is said to fit the photo is out; and `told_recall`,
        how often that is said where it is out. NaN where there is no such case.
    """
    stays = confidence >= cut
    return {
        "precision": _share(right, stays),
        "recall": _share(stays, right),
        "told_precision": _share(out, ~stays),
        "told_recall": _share(~stays, out),
    }


def _share(chosen: np.ndarray, among: np.ndarray) -> float:
    return 100 * float(chosen[among].mean()) if among.any() else float("nan")


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error: how far confidence is from the share of right answers, in points."""
    numbers = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (numbers == number).mean() * abs(confidence[numbers == number].mean() - right[numbers == number].mean())
        for number in np.unique(numbers)
    ]
    return 100 * float(sum(gaps))


def table(results: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    rows = [
        {
            "confidence": result["confidence"],
            "language": result["language"],
            "cut-off": f"{result['cut']:g}",
            "answers: precision / recall": f"{result['precision']:.1f} / {result['recall']:.1f}",
            "nothing fits: precision / recall": f"{result['told_precision']:.1f} / {result['told_recall']:.1f}",
        }
        for result in results
    ]
    return markdown_table(rows, 2)


def main() -> None:
    """Train, measure, write the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, default=Path(__file__).parent / "cache")
    parser.add_argument("--seed", type=int, default=0, help="Of the three parts.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tower = Row("nothing fits", "late-fusion", "late-fusion").recipe()
    data = Library(arguments.shared, arguments.cache, tower).open("both")
    started = time.process_time()
    encoder = train(data, arguments.cache / "nothing-fits")
    seconds = time.process_time() - started
    assert isinstance(encoder, ModelEncoder)
    rows = data.splits["validation"]
    views = torch.from_numpy(encoder.row_views(rows, data.features))
    found = answers(encoder, views, read_queries(encoder, rows), arguments.seed)
    results = [
        {"confidence": kind, "language": language, "cut": cut, **measure(own[kind], own["right"], own["out"], cut)}
        for kind in ("calibrated", "unrelated")
        for language, own in found.items()
        for cut in CUTS
    ]
    summary = {
        language: {
            "queries": len(own["out"]),
            "right": 100 * float(own["right"][~own["out"]].mean()),
            "calibration_error": calibration_error(own["calibrated"], own["right"]),
        }
        for language, own in found.items()
    }
    here = Path(__file__).parent
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=here, text=True).strip()
    record = {
        "machine": f"{platform.machine()}, one thread, torch {torch.__version__}",
        "commit": commit,
        "photos": {"calibrating": len(rows) // 3, "gallery": len(rows) // 3, "taken out": len(rows) // 3},
        "training_seconds": round(seconds, 1),
        "summary": summary,
        "results": results,
    }
    # JSON has no NaN.
    record["results"] = [{name: None if value != value else value for name, value in row.items()} for row in results]
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=1))
    print(table(results))


if __name__ == "__main__":
    main()
