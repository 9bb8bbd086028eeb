"""Which captions of a row training draws and evaluation uses."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from datasets import Dataset, Features, List, Value

from .errors import UserError
from .text_rule_leccr import is_blank


class DrawnPair(NamedTuple):
    """A source caption, a target caption or None, and their indices in the row's lists."""

    source: str
    target: dict[str, Any] | None
    source_number: int
    target_number: int | None


def draw_pair(row: dict[str, Any], languages: set[str] | None) -> DrawnPair:
    """Draw a target language, one of its captions, and the source caption that it translates.

    A target caption that translates nothing is paired with a random source caption of its image. Where `languages`
    is empty, or is None and the row has no target caption, there is only a source caption.

    Raises:
        UserError: If the row has no source caption or none in `languages`, a drawn caption is empty, or a target
            caption translates a source caption that does not exist.
    """
    sources, targets = row["source_captions"], row.get("target_captions") or []
    if not sources:
        raise UserError(f"Row {row['id']!r} has no source caption; training needs at least one per image.")
    existing = sorted({target["language"] for target in targets})
    choices = [language for language in existing if languages is None or language in languages]
    if not choices and not languages:
        number = _draw(len(sources))
        return DrawnPair(_checked(sources[number], row), None, number, None)
    if not choices:
        raise UserError(
            f"Row {row['id']!r} has no caption in {', '.join(sorted(languages or []))}; "
            f"it has {', '.join(existing) or 'no target caption at all'}."
        )
    language = choices[_draw(len(choices))]
    candidates = [index for index, target in enumerate(targets) if target["language"] == language]
    index = candidates[_draw(len(candidates))]
    target = targets[index]
    number = target.get("source_number")
    if number is None:
        number = _draw(len(sources))
    if not 0 <= number < len(sources):
        raise UserError(
            f"Row {row['id']!r} has a caption in {language} that translates source caption {number}, but its source "
            f"captions are numbered 0 to {len(sources) - 1}."
        )
    _checked(target["text"], row)
    return DrawnPair(_checked(sources[number], row), target, number, index)


def undrawable(row: dict[str, Any], languages: Sequence[str]) -> str | None:
    """Return what keeps training from drawing a row's captions, or None if nothing does.

    Args:
        row: A row of `processing.schema`.
        languages: Target languages of the training; none if it learns from source captions only.
    """
    sources = row["source_captions"] or []
    if not sources:
        return "no source caption"
    targets = [target for target in row.get("target_captions") or [] if target["language"] in languages]
    if languages and not targets:
        return f"no caption in {' or '.join(languages)}"
    if any(not text or is_blank(text) for text in [*sources, *(target["text"] for target in targets)]):
        return "an empty caption"
    numbers = [target.get("source_number") for target in targets]
    if not all(number is None or 0 <= number < len(sources) for number in numbers):
        return "a translation of a source caption that does not exist"
    return None


def _checked(text: str, row: dict[str, Any]) -> str:
    if not text or is_blank(text):
        raise UserError(f"Row {row.get('id')!r} has an empty caption; write at least one word, or leave it out.")
    return text


def _draw(count: int) -> int:
    return int(torch.randint(count, ()))


def evaluation_rows(dataset: Dataset, languages: Sequence[str]) -> Dataset:
    """Give each row all its captions of the given languages, the source language included if it is among them.

    Args:
        dataset: Rows of `processing.schema`.
        languages: Languages to evaluate; a caption's number in `caption_languages` is its language's index here.

    Returns:
        The data set with the columns `captions` and `caption_languages` in place of source and target captions;
        images without any such caption are left out.

    Raises:
        UserError: If the data have no caption at all in one of the languages, or an empty one.
    """
    check_languages(dataset, languages)

    def collect(row: dict[str, Any]) -> dict[str, Any]:
        captions = captions_by_language(row)
        numbered = [(text, index) for index, language in enumerate(languages) for text in captions.get(language, [])]
        return {"captions": [text for text, _ in numbered], "caption_languages": [index for _, index in numbered]}

    columns = [name for name in ("source_language", "source_captions", "target_captions") if name in dataset.features]
    # Said and not inferred: a data set may begin with many images that have no such caption.
    features = Features({"captions": List(Value("string")), "caption_languages": List(Value("int64"))})
    captions = dataset.select_columns(["id", *columns]).map(
        collect, remove_columns=["id", *columns], features=features, desc="Collecting captions"
    )
    merged = dataset.remove_columns(columns)
    for name in captions.column_names:
        merged = merged.add_column(name, captions[name])
    return merged.select([index for index, texts in enumerate(captions["captions"]) if texts])


def captions_by_language(row: dict[str, Any]) -> dict[str, list[str]]:
    """Return all captions of a row, source captions first, by language.

    Raises:
        UserError: If one of them is empty.
    """
    captions = {row["source_language"]: [_checked(text, row) for text in row["source_captions"]]}
    for target in row.get("target_captions") or []:
        captions.setdefault(target["language"], []).append(_checked(target["text"], row))
    return captions


def source_numbers_by_language(row: dict[str, Any]) -> dict[str, list[int | None]]:
    """Return the number of the source caption that each of `captions_by_language` says, None where it is its own."""
    numbers: dict[str, list[int | None]] = {row["source_language"]: list(range(len(row["source_captions"])))}
    for target in row.get("target_captions") or []:
        numbers.setdefault(target["language"], []).append(target.get("source_number"))
    return numbers


def languages_of(dataset: Dataset) -> list[str]:
    """Return the languages that the data have captions in, the source languages first."""
    sources: set[str] = set()
    targets: set[str] = set()
    for row in dataset.select_columns(["source_language", "source_captions", "target_captions"]):
        sources |= {row["source_language"]} if row["source_captions"] else set()
        targets |= {target["language"] for target in row["target_captions"] or []}
    return sorted(sources) + sorted(targets - sources)


def check_languages(dataset: Dataset, languages: Sequence[str]) -> None:
    """Raise UserError, listing what there is, if the data lack one of `languages`."""
    existing = languages_of(dataset)
    missing = [language for language in languages if language not in existing]
    if missing:
        raise UserError(f"The data have no captions in {', '.join(missing)}; they have {', '.join(existing)}.")
