"""The study's picture: weight of the whole image, number of slots, quality of descriptions, teacher's temperature."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PICTURE = Path(__file__).parent.parent / "results" / "pretrained.png"
MARKERS = {"zh": "o", "en": "s"}
NAMES = {"zh": "Chinese", "en": "English"}
QUALITIES = ("none described", "half described", "30 % wrong", "10 % wrong", "one sentence", "as trained")
DESCRIBED_ROWS = {"description alone": ":", "late fusion": "--", "sentence slots": "-"}
Results = Sequence[dict[str, Any]]


def plot_study(results: Results) -> None:
    """Draw four panels of SumR."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.4))
    _plot_alpha(axes[0, 0], results)
    _plot_counts(axes[0, 1], results)
    _plot_qualities(axes[1, 0], results)
    _plot_temperatures(axes[1, 1], results)
    for axis in axes.flat:
        # Rows that are not run yet.
        axis.set_visible(any(len(line.get_xdata()) for line in axis.lines))
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_ylabel("SumR")
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=120)
    plt.close(figure)


def _plot_alpha(axis: Any, results: Results) -> None:
    curves = [run["galleries"]["alpha"] for run in results if run["row"] == "sentence slots"]
    for language in MARKERS if curves else ():
        alphas = sorted(curves[0], key=float)
        means = [statistics.mean(curve[alpha][language] for curve in curves) for alpha in alphas]
        _line(axis, [float(alpha) for alpha in alphas], means, language)
    axis.set_title("Sentence slots: weight of the whole image at search time")
    axis.set_xlabel("α (0: best slot alone, 1: whole image alone)")


def _plot_counts(axis: Any, results: Results) -> None:
    rows = {f"attention slots, K = {count}": count for count in (1, 2, 8)} | {"attention slots": 4}
    _plot_numbers(axis, results, rows)
    axis.set_title("Attention slots: their number")
    axis.set_xlabel("K")


def _plot_temperatures(axis: Any, results: Results) -> None:
    rows = {f"cl2cm, weight 1, temperature {value}": value for value in (0.02, 0.03, 0.05, 0.1, 0.5)} | {"cl2cm": 0.2}
    _plot_numbers(axis, results, rows)
    axis.set_title("CL2CM: the teacher's temperature")
    axis.set_xlabel("τ")


def _plot_numbers(axis: Any, results: Results, rows: dict[str, float]) -> None:
    for language in MARKERS:
        points = {rows[run["row"]]: _sum(run, language) for run in results if run["row"] in rows and run["seed"] == 0}
        _line(axis, sorted(points), [points[number] for number in sorted(points)], language)


def _plot_qualities(axis: Any, results: Results) -> None:
    for name, style in DESCRIBED_ROWS.items():
        runs = [run for run in results if run["row"] == name and run["block"] == "methods"]
        if runs:
            means = [statistics.mean(_sum(run, "zh", quality) for run in runs) for quality in QUALITIES]
            axis.plot(range(len(QUALITIES)), means, f"k{style}", label=name)
    axis.set_xticks(range(len(QUALITIES)), [quality.replace(" ", "\n", 1) for quality in QUALITIES], fontsize=7)
    axis.set_title("Chinese, by the gallery's descriptions")


def _sum(run: dict[str, Any], language: str, gallery: str = "as trained") -> float:
    return float(run["galleries"][gallery][language]["sum_of_hit_rates"])


def _line(axis: Any, x: Sequence[float], y: Sequence[float], language: str) -> None:
    axis.plot(x, y, f"k{MARKERS[language]}-", label=NAMES[language], markerfacecolor="white")
