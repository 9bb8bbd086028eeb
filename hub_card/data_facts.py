"""What is known about a prepared data set, as data: cards are written from it and never read back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

CAPTIONS, DATA_SET, MODEL = "captions", "data set", "model"
"""Where descriptions come from: reserved captions, the data set's own files, or a model."""


@dataclass
class SplitCounts:
    """What one split holds.

    Attributes:
        rows: Images or videos.
        videos: Rows that are videos.
        source_captions: Captions in a source language.
        without_source: Rows without a source caption.
        descriptions: Rows with a description.
        source_languages: Source languages of the rows.
        target_captions: Number of captions by target language and by origin.
    """

    rows: int = 0
    videos: int = 0
    source_captions: int = 0
    without_source: int = 0
    descriptions: int = 0
    source_languages: list[str] = field(default_factory=list)
    target_captions: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row in the project's schema; its columns `id` and `image` are not looked at."""
        self.rows += 1
        self.videos += row["video"] is not None
        self.source_captions += len(row["source_captions"])
        self.without_source += not row["source_captions"]
        self.descriptions += row["description"] is not None
        if row["source_language"] not in self.source_languages:
            self.source_languages.append(row["source_language"])
        for target in row["target_captions"]:
            origins = self.target_captions.setdefault(target["language"], {})
            origins[target["origin"]] = origins.get(target["origin"], 0) + 1

    def origins(self) -> Iterator[tuple[str, str]]:
        """Return the target languages, each with every origin that it has."""
        return ((language, origin) for language, counts in self.target_captions.items() for origin in counts)


@dataclass(frozen=True)
class DataFacts:
    """What is known about a prepared data set.

    Attributes:
        title: Name of the data set.
        reader: Name under which `leccr prepare` knows it.
        protocol: What to train on, select by and test with.
        options: Options that it was prepared with.
        published: Where the data set's own files are published.
        notes: What was left out or repaired.
        splits: Counts by split.
        descriptions: Where the descriptions come from. Each has a `source` of `captions` with their `numbers`, of
            `data set`, or of `model` with its name and settings.
        translations: Systems that translated captions, by the name that the captions' origin gives them.
    """

    title: str
    reader: str
    protocol: str
    options: Mapping[str, Any] = field(default_factory=dict)
    published: str | None = None
    notes: Sequence[str] = ()
    splits: Mapping[str, SplitCounts] = field(default_factory=dict)
    descriptions: Sequence[Mapping[str, Any]] = ()
    translations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def languages(self) -> list[str]:
        """Languages of the captions, the source languages first."""
        counts = self.splits.values()
        sources = sorted({language for split in counts for language in split.source_languages})
        targets = sorted({language for split in counts for language in split.target_captions})
        return list(dict.fromkeys([*sources, *targets]))

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON has them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "DataFacts":
        """Return the facts that `to_dict` gave.

        Raises:
            TypeError: If a field is missing or unknown.
        """
        splits = {split: SplitCounts(**counts) for split, counts in content.get("splits", {}).items()}
        return cls(**{**content, "splits": splits})


def prepare_command(reader: str, options: Mapping[str, Any]) -> str:
    """Return the command that prepared a data set, without its folders."""
    words = [f"leccr prepare {reader}"]
    for name, value in options.items():
        words.append(f"--{name.replace('_', '-')}")
        if isinstance(value, (list, tuple)):
            words.append(",".join(map(str, value)))
        elif value is not True:
            words.append(str(value))
    return " ".join(words)


def description_sentence(source: Mapping[str, Any]) -> str:
    """Return where descriptions come from, in one sentence.

    Args:
        source: An entry of `DataFacts.descriptions`.
    """
    if source.get("source") == CAPTIONS:
        numbers = ", ".join(map(str, source.get("numbers", [])))
        return (
            f"Descriptions are reserved captions that people wrote (numbers {numbers}, counted from 0); they are taken "
            "out of the captions and replace a language model's."
        )
    if source.get("source") == MODEL:
        return f"Descriptions were generated by {_system(source)}, prompt set `{source.get('prompts')}`."
    return "Descriptions came with the data set."


def translation_sentence(name: str, system: Mapping[str, Any]) -> str:
    """Return which model a translating system is, in one sentence.

    Args:
        name: The name in the captions' origin, `machine:<name>`.
        system: An entry of `DataFacts.translations`.
    """
    languages = ", ".join(system.get("languages", []))
    weighted = ", weighted by their back-translations" if system.get("back_translated") else ""
    return f"Captions of origin `machine:{name}` were translated by {_system(system)} into {languages}{weighted}."


def _system(fields: Mapping[str, Any]) -> str:
    revision = f" (revision `{fields['revision']}`)" if fields.get("revision") else ""
    return f"`{fields.get('model')}`{revision}"
