"""Tables of the finished runs, written between the study's marks in RESULTS.md."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study.report import bootstrap, image_shares, markdown, rate_cells, spread
from benchmarks.study.run import read_results

from .galleries import undescribed
from .plots import plot_study
from .rows import COMPARISONS, ROWS, Row
from .run import RANKS, RESULTS

RESULTS_PAGE = Path(__file__).parent.parent / "RESULTS.md"
START, END = "<!-- pretrained: written by `python -m benchmarks.pretrained` -->", "<!-- end of pretrained -->"
LANGUAGES = ("zh", "en")
INTERVALS = ("zh, 95 % interval", "en, 95 % interval")
GALLERIES = ("as trained", "one sentence", "10 % wrong", "30 % wrong", "half described", "none described")
Results = Sequence[dict[str, Any]]


def write_report() -> None:
    """Put the tables between the study's marks in RESULTS.md, and draw the plots."""
    results = read_results(RESULTS)
    if not results:
        print("There are no finished runs yet.")
        return
    parts = [
        methods_table(results),
        comparison_table(results),
        galleries_table(results),
        undescribed_table(results),
        *(settings_table(results, block) for block in ("transfer", "slots", "translations")),
        languages_table(results),
    ]
    text = "\n\n".join(part for part in parts if part)
    page = RESULTS_PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    RESULTS_PAGE.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    plot_study(results)
    print(text)


def methods_table(results: Results) -> str:
    """Return hit rates and SumR of the methods, means over seeds, and what a run costs."""
    header = ["row", "language", "text→image hit@1 / 5 / 10", "image→text hit@1 / 5 / 10", "SumR", "minutes"]
    lines = []
    for row in _rows("methods"):
        runs = runs_of(results, row)
        for language in LANGUAGES if runs else ():
            figures = [run["galleries"]["as trained"][language] for run in runs]
            cells = [row.name, language]
            cells += rate_cells(figures)
            cells.append(f"{statistics.mean(run['seconds'] for run in runs) / 60:.1f}")
            lines.append(cells)
    return _titled("Methods", header, lines)


def comparison_table(results: Results) -> str:
    """Return paired differences in SumR, with bootstrap intervals over the validation images and their queries."""
    lines = []
    for names in COMPARISONS:
        first, second = (next(row for row in _rows("methods") if row.name == name) for name in names)
        seeds = shared_seeds(results, first, second)
        if seeds:
            shares = [[shares_of(row, seeds, f"as trained/{code}") for row in (first, second)] for code in LANGUAGES]
            lines.append([" − ".join(names), str(len(seeds)), *(difference(a, b) for a, b in shares)])
    return _titled("Paired differences", ["difference in SumR", "seeds", *INTERVALS], lines)


def galleries_table(results: Results) -> str:
    """Return SumR on galleries whose descriptions are fewer or wrong."""
    lines = []
    for row in _rows("methods"):
        for language in LANGUAGES:
            figures = [run["galleries"] for run in runs_of(results, row)]
            sums = [[f[name][language]["sum_of_hit_rates"] for f in figures if name in f] for name in GALLERIES]
            if figures:
                lines.append([row.name, language, *(f"{statistics.mean(s):.1f}" if s else "–" for s in sums)])
    return _titled("Descriptions as they will be", ["row", "language", *GALLERIES], lines)


def undescribed_table(results: Results) -> str:
    """Return, for the images of a half-described gallery without a description, the difference to image alone."""
    alone, *others = _rows("methods")
    lines = []
    for row in others:
        seeds = shared_seeds(results, row, alone)
        runs = [run for run in runs_of(results, row) if "half described" in run["galleries"]]
        if not seeds or not runs:
            continue
        cells = [row.name]
        for language in LANGUAGES:
            own = shares_of(row, seeds, f"half described/{language}")
            other = shares_of(alone, seeds, f"as trained/{language}")
            cells.append(difference(own[undescribed(len(own))], other[undescribed(len(own))]))
        lines.append(cells)
    return _titled("The undescribed half, against image alone", ["row", *INTERVALS], lines)


def settings_table(results: Results, block: str) -> str:
    """Return SumR of a block's rows."""
    lines = []
    for row in _rows(block):
        runs = runs_of(results, row)
        if runs:
            sums = [[run["galleries"]["as trained"][code]["sum_of_hit_rates"] for run in runs] for code in LANGUAGES]
            lines.append([row.name, *(spread(values) for values in sums)])
    return _titled(block.capitalize(), ["row", "SumR zh", "SumR en"], lines)


def languages_table(results: Results) -> str:
    """Return SumR of Multi30K's captions of the validation images, and its share of that of rows trained on them."""
    codes = ("en", "zh", "de", "fr", "cs")
    lines = []
    for row in ROWS:
        figures = [run["galleries"].get("other languages") for run in runs_of(results, row)]
        figures = [each for each in figures if each]
        if figures:
            sums = [statistics.mean(each[code]["sum_of_hit_rates"] for each in figures) for code in codes]
            lines.append([row.name, ", ".join(row.languages), *(f"{value:.1f}" for value in sums)])
    return _titled("Languages", ["row", "trained on English and", *codes], lines)


def runs_of(results: Results, row: Row) -> list[dict[str, Any]]:
    """Return the finished runs of a row."""
    return [run for run in results if (run["block"], run["row"]) == (row.block, row.name)]


def shared_seeds(results: Results, *rows: Row) -> list[int]:
    """Return the seeds that all of the rows have finished."""
    return sorted(set.intersection(*({run["seed"] for run in runs_of(results, row)} for row in rows)))


def shares_of(row: Row, seeds: Sequence[int], queries: str) -> np.ndarray:
    """Return each image's share of SumR, the mean over seeds."""
    return np.mean([image_shares(RANKS / f"{row.key}-seed{seed}.npz", queries) for seed in seeds], axis=0)


def difference(first: np.ndarray, second: np.ndarray) -> str:
    """Return the mean difference of two rows with its interval."""
    mean, low, high = bootstrap(first - second)
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _rows(block: str) -> list[Row]:
    return [row for row in ROWS if row.block == block]


def _titled(title: str, header: list[str], lines: list[list[str]]) -> str:
    return f"**{title}**\n\n{markdown(header, lines)}" if lines else ""
