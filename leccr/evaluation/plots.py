"""Plots of an evaluation: `leccr evaluate --plots DIR`. All of them read without colour."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor

from processing.notes import note
from processing.video import open_visual

from ..drawing.contact_sheet import ContactRow, contact_sheet
from ..drawing.figures import drawn, finish_grid, in_font, line_styles, save
from ..errors import UserError
from .ranked import RankedQueries
from .ranks import RetrievalRanks

HIT_RATES, RANKS, WORST = "hit_rates.png", "ranks.png", "worst_queries.png"
CURVE_LENGTH = 20
SAMPLE = 12
WORST_QUERIES, WRONG_ANSWERS = 12, 4
LABEL_LENGTH = 48


def plot_evaluation(
    folder: Path, rankings: Sequence[RankedQueries], rows: Dataset | None, directions: tuple[str, str]
) -> list[Path]:
    """Draw hit rates by language, ranks, similarities of a sample, and the worst queries with their pictures.

    Args:
        folder: Folder for the pictures; files of the same names are replaced.
        rankings: What the evaluation ranked, one entry a language; the protocols name checkpoint, data and split.
        rows: The rows that were ranked, for their pictures; None if there are only texts.
        directions: Names of the directions in the metrics, that of the captions as queries first.

    Returns:
        The files written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plot_hit_rates(folder / HIT_RATES, rankings, directions)
    plot_ranks(folder / RANKS, rankings, directions)
    written = [folder / HIT_RATES, folder / RANKS]
    for ranking in rankings:
        # A data set may call its languages what it likes.
        language = re.sub(r"[^\w-]", "_", ranking.result["language"])
        path = folder / f"similarity_{language}.png"
        plot_similarity(path, ranking, "picture" if rows is not None else "row")
        written.append(path)
    sheet = worst_queries(rankings, rows) if rows is not None else None
    if sheet is not None:
        save(sheet, folder / WORST)
        written.append(folder / WORST)
    elif rows is not None:
        print(
            "There is no picture of worst queries: every query finds its picture first, or the data have no pictures."
        )
    note(f"The plots are in {folder}: {', '.join(path.name for path in written)}.")
    return written


def plot_hit_rates(path: Path, rankings: Sequence[RankedQueries], directions: tuple[str, str]) -> None:
    """Draw the share of queries with a right answer among the first k, both ways, one line a language."""
    languages = [ranking.result["language"] for ranking in rankings]
    most = min(CURVE_LENGTH, max(len(ranking.views) for ranking in rankings))
    with drawn(path, "Hit rate by language", protocol(rankings), (10, 4.6), columns=2, sharey=True) as axes:
        for axis, side, direction in zip(axes, (0, 1), directions):
            for ranking, style in zip(rankings, line_styles(len(rankings))):
                rates = hit_rates(both_ranks(ranking.ranks)[side], most)
                axis.plot(range(1, most + 1), rates, label=ranking.result["language"], **style)
            axis.set_title(readable(direction))
            axis.set_xlabel("k, answers looked at (count)")
            axis.set_xlim(0.5, most + 0.5)
            axis.set_xticks([1, *range(5, most + 1, 5)])
            axis.grid(axis="y", color="0.9")
        axes[0].set_ylabel("queries with a right answer among the first k (%)")
        axes[0].set_ylim(10 * (min(axes[0].get_ylim()[0], 99) // 10), 101)
        # Several columns for many languages.
        axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=1 + len(languages) // 18)


def plot_ranks(path: Path, rankings: Sequence[RankedQueries], directions: tuple[str, str]) -> None:
    """Draw how often the right answer came first, second, third to fifth and so on, one panel a language."""
    columns = min(3, len(rankings))
    lines = -(-len(rankings) // columns)
    longest = max(int(ranks.max()) for ranking in rankings for ranks in both_ranks(ranking.ranks))
    edges = rank_edges(longest)
    labels = [str(low) if high == low else f"{low}–{high}" for low, high in edges]
    size = (4 * columns + 1, 2.4 * lines + 1.6)
    title = "Rank of the right answer"
    with drawn(path, title, protocol(rankings), size, lines, columns, sharex=True, sharey=True) as axes:
        for axis, ranking in zip(axes, rankings):
            medians = []
            for side, direction in enumerate(directions):
                ranks = both_ranks(ranking.ranks)[side]
                shares = [100 * float(((ranks >= low) & (ranks <= high)).double().mean()) for low, high in edges]
                look = {"color": "0.25"} if side == 0 else {"color": "white", "edgecolor": "0.25", "hatch": "////"}
                positions = np.arange(len(edges)) + 0.4 * (side - 0.5)
                bars = axis.bar(positions, shares, width=0.4, label=readable(direction), **look)
                # Few queries come far behind, and they are what one looks for.
                axis.bar_label(bars, [percent(share) for share in shares], fontsize=6, padding=1)
                medians.append(f"{ranking.result[f'{direction}_median_rank']:g}")
            axis.set_title(f"{ranking.result['language']}: median rank {' and '.join(medians)}")
            axis.set_xticks(range(len(edges)), labels, rotation=45, ha="right")
        for axis in axes[::columns]:
            axis.set_ylabel("queries (%)")
        axes[0].legend(frameon=False, fontsize=8)
        finish_grid(axes, len(rankings), columns, "rank of the first right answer (1 is best)")


def plot_similarity(path: Path, ranking: RankedQueries, noun: str) -> None:
    """Draw the scores of a few queries with the pictures they belong to, spread evenly over the gallery."""
    texts, images = sample(ranking.owners, SAMPLE)
    scores = pair_scores(ranking.text_embeds[texts], ranking.views[images]).numpy()
    language = ranking.result["language"]
    with drawn(path, f"Similarity of {language} queries and {noun}s", protocol([ranking]), (9, 6.4)) as axes:
        axis = axes[0]
        heat = axis.imshow(scores, cmap="gray_r", aspect="auto")
        axis.figure.colorbar(heat, ax=axis, label="score (largest inner product over views, no unit)")
        best = scores.argmax(axis=1)
        middle = (scores.min() + scores.max()) / 2
        for line, column in enumerate(best):
            color = "white" if scores[line, column] > middle else "black"
            axis.text(column, line, "✓" if column == line else "×", color=color, ha="center", va="center")
        axis.set_xticks(range(len(images)), [str(int(image)) for image in images])
        queries = [in_font(shortened(ranking.queries[text]), language, 8) for text in texts]
        axis.set_yticks(range(len(texts)), [text for text, _ in queries])
        for label, (_, font) in zip(axis.get_yticklabels(), queries):
            label.set_fontproperties(font)
        axis.tick_params(axis="both", length=0)
        axis.tick_params(axis="x", labelsize=8)
        axis.set_xlabel(
            f"{noun} (its number in the gallery); the right one is on the diagonal\n"
            "✓ the best of a line is the right one, × it is another"
        )
        axis.set_ylabel("query (text)")


def worst_queries(rankings: Sequence[RankedQueries], rows: Dataset) -> Image.Image | None:
    """Return a contact sheet of each language's queries whose picture came last, or None if there is nothing to show.

    The right picture comes first, and then the best of those that came before it.
    """
    each = max(1, WORST_QUERIES // len(rankings))
    lines = [
        line
        for ranking in rankings
        for text in ranking.ranks.text_to_image.argsort(descending=True, stable=True)[:each].tolist()
        if (line := _worst_row(ranking, text, rows)) is not None
    ]
    if not lines:
        return None
    facts = rankings[0].result["protocol"]
    title = f"Worst queries, right picture first: {_name(facts['data'])}, {facts['split']} split"
    return contact_sheet(lines, title)


def _worst_row(ranking: RankedQueries, text: int, rows: Dataset) -> ContactRow | None:
    rank, owner, language = (
        int(ranking.ranks.text_to_image[text]),
        int(ranking.owners[text]),
        ranking.result["language"],
    )
    right = _picture(rows[owner])
    if rank == 1 or right is None:
        return None
    scores = pair_scores(ranking.text_embeds[text : text + 1], ranking.views)[0]
    order = [index for index in scores.argsort(descending=True).tolist() if index != owner]
    wrong = order[: min(WRONG_ANSWERS, rank - 1)]
    missing = Image.new("RGB", (8, 8), "white")
    pictures = [right, *(_picture(rows[index]) or missing for index in wrong)]
    note = f"rank {rank:,} of {len(ranking.views):,}"
    query = ranking.queries[text]
    return ContactRow(query, language, pictures, scores[[owner, *wrong]].tolist(), 0, _gloss(rows[owner], query), note)


def _gloss(row: Mapping[str, Any], query: str) -> str | None:
    """Return the source caption that the query is a translation of, if it is one."""
    numbers = [target["source_number"] for target in row["target_captions"] or [] if target["text"] == query]
    return row["source_captions"][numbers[0]] if numbers and numbers[0] is not None else None


def _picture(row: Mapping[str, Any]) -> Image.Image | None:
    """Return the picture, or the frame in the middle of the video, or None if only its features are left."""
    try:
        return open_visual(row, num_frames=1)[0]
    except UserError:
        return None


def hit_rates(ranks: Tensor, most: int) -> list[float]:
    """Return the percentages of ranks that are at most 1, 2, ... `most`."""
    return [100 * float((ranks <= k).double().mean()) for k in range(1, most + 1)]


def rank_edges(longest: int) -> list[tuple[int, int]]:
    """Return the first and last rank of each bar: 1, 2, 3–5, 6–10, 11–20, 21–50, ... until `longest` is covered."""
    edges: list[tuple[int, int]] = []
    low = 1
    for factor in (10**power for power in range(20)):
        for high in (1 * factor, 2 * factor, 5 * factor):
            if low > longest:
                return edges
            edges.append((low, high))
            low = high + 1
    return edges


def percent(share: float) -> str:
    """Return two digits of a percentage, and nothing for zero."""
    return f"{share:.0f}" if share >= 10 else f"{share:.2g}" if share else ""


def both_ranks(ranks: RetrievalRanks) -> tuple[Tensor, Tensor]:
    """Return the ranks in both directions, without images that no caption belongs to."""
    return ranks.text_to_image, ranks.image_to_text[ranks.image_to_text > 0]


def sample(owners: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return up to `size` texts of different images, spread evenly over the gallery, and their images."""
    images = owners.unique()
    images = images[torch.linspace(0, len(images) - 1, min(size, len(images))).round().long()]
    texts = torch.stack([(owners == image).nonzero()[0, 0] for image in images])
    return texts, images


def pair_scores(text_embeds: Tensor, views: Tensor) -> Tensor:
    """Return the (t, n) scores of t texts and n images."""
    return torch.einsum("td,nkd->tnk", text_embeds, views).amax(dim=2)


def protocol(rankings: Sequence[RankedQueries]) -> str:
    """Return what the figures are based on, in words."""
    facts = rankings[0].result["protocol"]
    size = f"{facts['images']:,} pictures" if "images" in facts else f"{facts['rows']:,} rows of captions"
    counts = sorted({len(ranking.queries) for ranking in rankings})
    captions = " to ".join(f"{count:,}" for count in (counts[0], counts[-1])[: len(counts)])
    queries = f"{captions} queries" if len(rankings) == 1 else f"{captions} queries per language"
    return (
        f"Data: {_name(facts['data'])}, {facts['split']} split, {size}, {queries}. "
        f"Model: {_name(facts['checkpoint'])}, selected by: {_selection(facts['checkpoint'])}. "
        "Ties count against the model."
    )


def _selection(checkpoint: str) -> str:
    path = Path(checkpoint) / "training.json"
    if not path.is_file():
        return "not recorded"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        report = None
    if not isinstance(report, dict):
        # The figures are right all the same, so this costs no plot.
        return "unknown (training.json is broken)"
    return report.get("selection", "not recorded")


def _name(path: str) -> str:
    """Return the last two parts of a path: a picture goes to other machines, and long lines do not fit."""
    return "/".join(Path(path).parts[-2:])


def readable(direction: str) -> str:
    """Return `text to image` for `text_to_image`."""
    return direction.replace("_", " ")


def shortened(text: str) -> str:
    """Return a text in one line, cut where it is too long for a label."""
    text = " ".join(text.split())
    return text if len(text) <= LABEL_LENGTH else text[: LABEL_LENGTH - 1].rstrip() + "…"
