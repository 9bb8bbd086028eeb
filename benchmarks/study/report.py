"""Tables, paired differences and plots of the finished runs."""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from leccr.evaluation.metrics import CUTOFFS

from .rows import ROWS, Row
from .run import RANKS, read_results, run_name
from .text import RESULTS as TEXT_RESULTS

HERE = Path(__file__).parent.parent
RESULTS_PAGE = HERE / "RESULTS-from-scratch.md"
PLOTS = HERE / "results"
START, END = "<!-- study: written by `python -m benchmarks.study` -->", "<!-- end of study -->"
LANGUAGE_NAMES = {"zh": "Chinese", "en": "English"}
# Pairs of rows of the block "recipes" (or of others) whose difference the study asks for.
COMPARISONS = [
    ("recipes/leccr", "recipes/late-fusion"),
    ("recipes/cl2cm", "recipes/dual-encoder"),
    ("recipes/leccr-cl2cm", "recipes/leccr"),
    ("recipes/leccr-cl2cm", "recipes/late-fusion"),
    ("descriptions/leccr, none", "recipes/dual-encoder"),
    ("descriptions/late-fusion, captioner", "recipes/dual-encoder"),
    ("descriptions/leccr, captioner", "descriptions/leccr, none"),
    ("descriptions/leccr, captioner", "descriptions/late-fusion, captioner"),
    ("descriptions/leccr, captioner, gates from zero", "descriptions/leccr, none"),
    ("teacher/cl2cm, teacher of other captions", "recipes/dual-encoder"),
    ("teacher/leccr, warm start", "recipes/leccr"),
    ("teacher/leccr-cl2cm, warm start", "recipes/leccr"),
    ("teacher/leccr-cl2cm, warm start", "teacher/leccr, warm start"),
]
RESAMPLES = 10_000


def write_report() -> None:
    """Put the tables between the study's marks in RESULTS-from-scratch.md, and draw the plots."""
    results = read_results()
    if not results:
        print("There are no finished runs yet.")
        return
    parts = [table(results, block) for block in dict.fromkeys(row.block for row in ROWS)]
    parts += [gallery_table(results), comparison_table(results), text_table()]
    text = "\n\n".join(part for part in parts if part)
    page = RESULTS_PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    after = rest.partition(END)[2]
    RESULTS_PAGE.write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    plot_recipes(results)
    plot_curves(results)
    print(text)


def table(results: list[dict[str, Any]], block: str) -> str:
    """Return a Markdown table of one block: means over seeds of the selected checkpoints."""
    header = ["row", "language", "text→image hit@1 / 5 / 10", "image→text hit@1 / 5 / 10", "SumR", "s a step"]
    lines = []
    for row in (row for row in ROWS if row.block == block):
        runs = _runs(results, row.block, row.name)
        for language in (*sorted(row.languages, reverse=True), "en") if runs else ():
            figures = [run["galleries"]["as trained"][language] for run in runs]
            cells = [row.name, language]
            cells += rate_cells(figures)
            cells.append(f"{statistics.mean(run['seconds_a_step'] for run in runs):.2f}")
            lines.append(cells)
    return f"**{block.capitalize()}**\n\n{markdown(header, lines)}" if lines else ""


def rate_cells(figures: list[dict[str, float]]) -> list[str]:
    """Return the hit rates of both directions, means over runs, and SumR with its spread."""
    cells = []
    for direction in ("text_to_image", "image_to_text"):
        means = [statistics.mean(f[f"{direction}_hit_rate_{cutoff}"] for f in figures) for cutoff in CUTOFFS]
        cells.append(" / ".join(f"{mean:.1f}" for mean in means))
    return [*cells, spread([f["sum_of_hit_rates"] for f in figures])]


def gallery_table(results: list[dict[str, Any]]) -> str:
    """Return SumR of galleries of which all, half or no pictures have a description."""
    names = ("as trained", "half described", "none described")
    lines = []
    for row in ROWS:
        runs = [run for run in _runs(results, row.block, row.name) if "half described" in run["galleries"]]
        if runs and row.block in ("recipes", "descriptions"):
            cells = [row.name]
            for language in ("zh", "en"):
                sums = [[run["galleries"][name][language]["sum_of_hit_rates"] for run in runs] for name in names]
                cells.append(" / ".join(f"{statistics.mean(values):.1f}" for values in sums))
            lines.append(cells)
    header = ["row", "zh SumR: all / half / none described", "en SumR: all / half / none described"]
    return f"**Galleries**\n\n{markdown(header, lines)}" if lines else ""


def comparison_table(results: list[dict[str, Any]]) -> str:
    """Return paired differences in SumR with bootstrap intervals over the validation images and their queries."""
    lines = []
    for first, second in COMPARISONS:
        pair = [_find(name) for name in (first, second)]
        seeds = sorted(set.intersection(*({run["seed"] for run in _runs(results, r.block, r.name)} for r in pair)))
        if not seeds:
            continue
        cells = [f"{pair[0].name} − {pair[1].name}", str(len(seeds))]
        for language in ("zh", "en"):
            shares = [
                np.mean([image_shares(RANKS / f"{run_name(row, seed)}.npz", language) for seed in seeds], axis=0)
                for row in pair
            ]
            mean, low, high = bootstrap(shares[0] - shares[1])
            cells.append(f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]")
        lines.append(cells)
    header = ["difference in SumR", "seeds", "zh, 95 % interval", "en, 95 % interval"]
    return f"**Paired differences**\n\n{markdown(header, lines)}" if lines else ""


def image_shares(path: Path, language: str) -> np.ndarray:
    """Return for each image its share of SumR, so that SumR is the mean over images."""
    ranks = np.load(path)
    owners, texts, images = (ranks[f"{language}/{name}"] for name in ("owners", "text_to_image", "image_to_text"))
    shares = np.zeros(len(images))
    for cutoff in CUTOFFS:
        # Each caption counts alike, and images that have more captions weigh more in this direction.
        hits = np.bincount(owners.astype(np.int64), weights=texts <= cutoff, minlength=len(images))
        shares += 100 * hits * len(images) / len(owners) + 100 * (images <= cutoff)
    return shares


def bootstrap(differences: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean over images and the 95 % percentile interval of the mean of resampled images."""
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(len(differences), np.full(len(differences), 1 / len(differences)), RESAMPLES)
    means = weights @ differences / len(differences)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


def text_table() -> str:
    """Return hit@1 of the first stage alone between English and each other language of Multi30K."""
    lines = [
        [
            result["row"],
            *(
                f"{figures['source_to_target_hit_rate_1']:.1f} / {figures['target_to_source_hit_rate_1']:.1f}"
                for figures in result["figures"].values()
            ),
            f"{result['seconds_a_step']:.2f}",
        ]
        for result in read_results(TEXT_RESULTS)
    ]
    header = ["row", *(f"en→{code} / {code}→en hit@1" for code in ("cs", "de", "fr")), "s a step"]
    return f"**Text alone**\n\n{markdown(header, lines)}" if lines else ""


def plot_recipes(results: list[dict[str, Any]]) -> None:
    """Draw SumR of the recipes, one mark a seed, both languages."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
    rows = [row for row in ROWS if row.block in ("recipes", "descriptions") and _runs(results, row.block, row.name)]
    for axis, language in zip(axes, ("zh", "en")):
        for height, row in enumerate(rows):
            runs = _runs(results, row.block, row.name)
            sums = [run["galleries"]["as trained"][language]["sum_of_hit_rates"] for run in runs]
            axis.barh(height, statistics.mean(sums), color="0.8")
            axis.plot(sums, [height] * len(sums), "k|", markersize=9)
        axis.set_title(f"{LANGUAGE_NAMES[language]} queries")
        axis.set_xlabel("SumR on 1,000 validation photos")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(rows)), [row.name for row in rows])
    axes[0].invert_yaxis()
    _save(figure, "study_recipes.png")


def plot_curves(results: list[dict[str, Any]]) -> None:
    """Draw SumR against the weight of the whole image at search time, and against the number of slots."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    for name, marker in (("leccr", "o"), ("leccr-cl2cm", "s")):
        curves = [run["galleries"]["alpha"] for run in _runs(results, "recipes", name)]
        if curves:
            alphas = sorted(curves[0], key=float)
            means = [statistics.mean(curve[alpha]["zh"] for curve in curves) for alpha in alphas]
            left.plot([float(alpha) for alpha in alphas], means, f"k{marker}-", label=name, markerfacecolor="white")
    left.set_title("Weight of the whole image at search time")
    left.set_xlabel("α (0: best slot alone, 1: whole image alone)")
    counts = [(int(run["row"].split("=")[1]), run) for run in results if run["row"].startswith("leccr, K =")]
    for language, marker in (("zh", "o"), ("en", "s")):
        points = sorted((count, run["galleries"]["as trained"][language]["sum_of_hit_rates"]) for count, run in counts)
        if points:
            base = points[0][1]
            right.plot(
                [count for count, _ in points],
                [value - base for _, value in points],
                f"k{marker}-",
                label=LANGUAGE_NAMES[language],
                markerfacecolor="white",
            )
    right.set_title("Number of slots")
    right.set_xlabel("K")
    left.set_ylabel("SumR, Chinese")
    right.set_ylabel("SumR less that of K = 1")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False)
    _save(figure, "study_curves.png")


def _save(figure: Any, name: str) -> None:
    figure.tight_layout()
    figure.savefig(PLOTS / name, dpi=120)
    plt.close(figure)


def _runs(results: Iterable[dict[str, Any]], block: str, name: str) -> list[dict[str, Any]]:
    return [run for run in results if (run["block"], run["row"]) == (block, name)]


def _find(name: str) -> Row:
    return next(row for row in ROWS if f"{row.block}/{row.name}" == name)


def spread(values: list[float]) -> str:
    """Return a mean in bold, with its deviation over seeds."""
    mean = f"**{statistics.mean(values):.1f}**"
    return f"{mean} ± {statistics.stdev(values):.1f} ({len(values)} seeds)" if len(values) > 1 else f"{mean} (1 seed)"


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """Return a table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
