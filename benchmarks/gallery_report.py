"""The table and the plot of `benchmarks.gallery`."""

from pathlib import Path
from typing import Any


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for form in dict.fromkeys(row["form"] for row in rows):
        line = [row for row in rows if row["form"] == form]
        [drawn] = axes.loglog(
            [row["views"] for row in line], [row["one_query"]["p50"] for row in line], "o-", label=f"{form}, gallery"
        )
        axes.loglog(
            [row["views"] for row in line],
            [row["one_query_bare"]["p50"] for row in line],
            "--",
            color=drawn.get_color(),
            label=f"{form}, bare FAISS call",
        )
    axes.set(xlabel="views", ylabel="milliseconds per query, median", title="One query, k = 10, two cores")
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| form | items | build s | MB | open s | peak MB | one query p50 / p99 ms | bare | ratio "
        "| 100 queries p50 ms | bare | ten best of fp32 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['form']} | {row['items']:,} | {row['write_seconds'] + row['convert_seconds']:.0f} | "
        f"{row['megabytes']:.0f} | {row['open_seconds']} | {row['peak_memory_megabytes']} | "
        f"{row['one_query']['p50']} / {row['one_query']['p99']} | "
        f"{row['one_query_bare']['p50']} / {row['one_query_bare']['p99']} | "
        f"{row['ratio_p50']:.2f} | {row['hundred_queries']['p50']:.0f} | "
        f"{row['hundred_queries_bare']['p50']:.0f} | {100 * row['top_10_of_fp32']:.1f} % |"
        for row in rows
    ]
    return "\n".join(lines)
