"""The card of a prepared data set: what it holds, where it is from, and how figures on it are to be made."""

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import DatasetCardData

from .sections import join_card, split_card

PREPARED = "Prepared by "
ORIGIN = "Its own files, their licence and how to cite them: "

# Of the Hub: https://huggingface.co/docs/hub/datasets-cards
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGEST = "1M<n<10M"


def data_card(
    *,
    title: str,
    reader: str,
    protocol: str,
    table: Sequence[Mapping[str, str]],
    rows_by_split: Mapping[str, int],
    languages: Sequence[str],
    published: str | None = None,
    options: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Return a `README.md` that the Hub understands, its front matter naming the Parquet files of each split.

    Args:
        title: Name of the data set.
        reader: Name under which `leccr prepare` knows it.
        protocol: What to train on, select by and test with.
        table: Counts, one mapping a split.
        rows_by_split: Number of images or videos by split.
        languages: Languages of the captions, the source language first.
        published: Where the data set's own files are published.
        options: Options that it was prepared with.
        notes: What was left out or repaired.
    """
    data = DatasetCardData(
        pretty_name=title,
        language=list(languages),
        task_categories=["image-to-text", "feature-extraction"],
        tags=["leccr", "cross-lingual", "cross-modal-retrieval"],
        size_categories=[_size(sum(rows_by_split.values()))],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}-*-of-*.parquet"} for split in rows_by_split],
            }
        ],
    )
    chosen = ", ".join(f"{name} = {_shown(value)}" for name, value in (options or {}).items())
    parts = [
        f"# {title}",
        f"{PREPARED}`leccr prepare {reader}`" + (f" with {chosen}." if chosen else "."),
        f"{ORIGIN}{published}." if published else "",
        "## Content",
        markdown_table(table),
        "An origin is `human`, or `machine:` and the system that translated. A target caption's `source_number` is the "
        "place among `source_captions` of the caption that it translates, and null if it was written independently.",
        "## Protocol",
        protocol,
        "## Left out or repaired" if notes else "",
        "\n".join(f"- {note}" for note in notes),
    ]
    return join_card(data.to_dict(), {"data": "\n\n".join(part for part in parts if part)})


def read_data_card(card: str) -> dict[str, Any]:
    """Return what a data card tells a model card, if it does: `title`, `languages`, `published`, `prepared`.

    Args:
        card: What `data_card` returned, or any other card.

    Raises:
        ValueError: If its front matter is no YAML mapping.
    """
    fields, body = split_card(card, "the data card")
    told = {
        start: [line.removeprefix(start).rstrip(".") for line in body.splitlines() if line.startswith(start)]
        for start in (ORIGIN, PREPARED)
    }
    languages = fields.get("language") or []
    facts = {
        "title": fields.get("pretty_name"),
        "languages": [languages] if isinstance(languages, str) else list(languages),
        "published": "".join(told[ORIGIN][:1]),
        "prepared": "".join(told[PREPARED][:1]),
    }
    return {name: value for name, value in facts.items() if value}


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a Markdown table, aligned for the terminal too: the first column to the left, others to the right.

    Args:
        rows: Cells by column, with the same columns in each row.
    """
    names = list(rows[0]) if rows else []
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
    rule = ["-" * width if place == 0 else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    lines = [names, rule, *([row[name] for name in names] for row in rows)]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(zip(line, widths))
        )
        + " |"
        for line in lines
    )


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _size(count: int) -> str:
    return next((name for limit, name in _SIZES if count < limit), _LARGEST)
