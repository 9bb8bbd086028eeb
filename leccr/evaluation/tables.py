"""Figures of evaluations as tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from hub_card.results import CUTOFFS
from hub_card.tables import markdown_table
from processing.screen import shown

from .metrics import IMAGE_DIRECTIONS


def format_table(
    rows: Sequence[Mapping[str, object]],
    label_columns: Sequence[str] = ("recipe", "language"),
    digits: int = 1,
    directions: tuple[str, str] = IMAGE_DIRECTIONS,
    more_columns: Sequence[str] = (),
) -> str:
    """Return a Markdown table, aligned for the terminal too: one row per entry, hit rates both ways and SumR.

    Args:
        rows: each holds the label columns and the hit rates and sum of `retrieval_metrics`; other keys are left
            out.
        label_columns: keys shown first, as they are.
        digits: digits after the point.
        directions: Names of the directions in the metrics, as `retrieval_metrics` took them.
        more_columns: keys shown last, as they are.

    Raises:
        ValueError: if a row lacks one of the columns.
    """
    titles = {direction: f"{direction.replace('_', '-')} hit@1/5/10" for direction in directions}
    lines = []
    for row in rows:
        try:
            rates = {
                title: " / ".join(f"{row[f'{direction}_hit_rate_{cutoff}']:5.{digits}f}" for cutoff in CUTOFFS)
                for direction, title in titles.items()
            }
            labels = {name: shown(row[name]) for name in label_columns}
            more = {name: shown(row[name]) for name in more_columns}
            lines.append({**labels, **rates, "SumR": f"{row['sum_of_hit_rates']:.{digits}f}", **more})
        except KeyError as error:
            raise ValueError(f"A row of the table lacks {error}: it has {', '.join(map(str, row))}.") from error
    return markdown_table(lines, len(label_columns), [*label_columns, *titles.values(), "SumR", *more_columns])


def evaluation_table(results: Sequence[Mapping[str, Any]], directions: tuple[str, str] = IMAGE_DIRECTIONS) -> str:
    """Return the table that `leccr evaluate` prints: one row for each model and language.

    Args:
        results: What `leccr.evaluation.evaluate.run_evaluation` returns.
        directions: As for `format_table`.
    """
    rows = []
    for result in results:
        sizes = {
            "parameters": _short(result["parameters"]),
            "texts/s": _rate(result["texts_per_second"]),
            "pictures/s": _rate(result.get("images_per_second")),
        }
        rows.append({**result, "model": result["protocol"]["checkpoint"], **sizes})
    several = len({row["model"] for row in rows}) > 1
    columns = [name for name in ("parameters", "texts/s", "pictures/s") if any(row[name] != "–" for row in rows)]
    return format_table(
        rows, ["model", "language"] if several else ["language"], directions=directions, more_columns=columns
    )


def _short(count: int) -> str:
    """Return a number of parameters as papers write it: 86.2M."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)


def _rate(per_second: float | None) -> str:
    return "–" if per_second is None else f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"
