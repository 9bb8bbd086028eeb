"""The card of a prepared data set: what it holds, where it is from, and how figures on it are to be made."""

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import DatasetCardData

from .data_facts import DataFacts, SplitCounts, description_sentence, prepare_command, translation_sentence
from .sections import join_card
from .tables import markdown_table

# Of the Hub: https://huggingface.co/docs/hub/datasets-cards
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGEST = "1M<n<10M"


def data_card(facts: DataFacts) -> str:
    """Return a `README.md` that the Hub understands, its front matter naming the Parquet files of each split."""
    data = DatasetCardData(
        pretty_name=facts.title,
        language=facts.languages,
        task_categories=["image-to-text", "feature-extraction"],
        tags=["leccr", "cross-lingual", "cross-modal-retrieval"],
        size_categories=[_size(sum(counts.rows for counts in facts.splits.values()))],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"{split}-*-of-*.parquet"} for split in facts.splits],
            }
        ],
    )
    made = [
        *map(description_sentence, facts.descriptions),
        *(translation_sentence(name, system) for name, system in facts.translations.items()),
    ]
    parts = [
        f"# {facts.title}",
        f"Prepared by `{prepare_command(facts.reader, facts.options)}`.",
        f"Its own files, their licence and how to cite them: {facts.published}." if facts.published else "",
        "## Content",
        markdown_table(count_rows(facts.splits)),
        "An origin is `human`, or `machine:` and the system that translated. A target caption's `source_number` is the "
        "index (from 0) of the source caption that it translates, and null if it was written independently.",
        _list(made),
        "## Protocol",
        facts.protocol,
        "## Left out or repaired" if facts.notes else "",
        _list(facts.notes),
    ]
    return join_card(data.to_dict(), {"data": "\n\n".join(part for part in parts if part)})


def count_rows(splits: Mapping[str, SplitCounts]) -> list[dict[str, str]]:
    """Return a line for each split: rows, source captions, target captions by language and origin, descriptions."""
    counts = splits.values()
    targets = sorted({target for split in counts for target in split.origins()})
    sources = sorted({language for split in counts for language in split.source_languages})
    noun = "videos" if any(split.videos for split in counts) else "images"
    lines = []
    for name, split in splits.items():
        line: dict[str, Any] = {"split": name, noun: split.rows, f"source {'/'.join(sources)}": split.source_captions}
        for language, origin in targets:
            line[f"{language} {origin}"] = split.target_captions.get(language, {}).get(origin, 0)
        lines.append({**line, "descriptions": split.descriptions})
    return [{name: str(value) for name, value in line.items()} for line in lines]


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _size(count: int) -> str:
    return next((name for limit, name in _SIZES if count < limit), _LARGEST)
