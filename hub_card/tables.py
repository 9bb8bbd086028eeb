"""Markdown tables, which also line up in a terminal."""

from collections.abc import Mapping, Sequence


def markdown_table(rows: Sequence[Mapping[str, str]], labels: int = 1, columns: Sequence[str] = ()) -> str:
    """Return a Markdown table whose first columns are aligned to the left, and the others to the right.

    Args:
        rows: Cells by column, with the same columns in each row.
        labels: Number of columns that are aligned to the left.
        columns: Columns of a table that may have no row; by default those of the first row, and no table without one.
    """
    names = list(columns or (rows[0] if rows else ()))
    if not names:
        return ""
    widths = [max(len(name), *(len(row[name]) for row in rows)) if rows else len(name) for name in names]
    rule = ["-" * width if index < labels else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    lines = [names, rule, *([row[name] for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(_aligned(line, widths, labels))} |" for line in lines)


def _aligned(cells: Sequence[str], widths: Sequence[int], labels: int) -> list[str]:
    return [
        cell.ljust(width) if index < labels else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths))
    ]
