"""Answers to queries as a table, as JSON and as a picture."""

import dataclasses
import datetime
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing.notes import note
from processing.screen import json_line, shown
from processing.writable import check_writable
from processing.writing import atomic_file

from ..errors import UserError
from .confidence import nothing_fits, unlike_calibration
from .options import SearchOptions
from .results import Result, unreadable
from .store.facts import taken_text

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from ..models.encoder import Encoder
    from .gallery import Gallery

LONGEST_DESCRIPTION = 80


def print_table(results: Sequence[Result], nearest: Sequence[Result] = ()) -> None:
    """Print results, best first, as a table whose columns are aligned.

    Args:
        results: Those that are sure enough.
        nearest: The best one, however sure it is, for the line that tells that nothing fits.
    """
    if not results:
        if nearest:
            print(shown(nothing_fits(nearest[0])))
        return
    # Answers to pictures have none.
    sure = results[0].confidence is not None
    dated = any(result.facts.taken is not None for result in results)
    some = [*(["confidence"] if sure else []), *(["taken"] if dated else [])]
    again = any(result.reranked is not None for result in results)
    rows = [("rank", *(["reranked"] if again else []), "score", *some, "file", "answered by", "description")]
    rows += [
        (
            str(result.rank),
            *(["" if result.reranked is None else f"{result.reranked:.4f}"] if again else []),
            f"{result.score:.4f}",
            *([f"{result.confidence:.2f}"] if sure else []),
            *([shown((result.facts.taken or "").replace("T", " ")[:16])] if dated else []),
            shown(result.label) + _remarks(result),
            _answered_by(result),
            shown(" ".join((result.description or "").split())[:LONGEST_DESCRIPTION]),
        )
        for result in results
    ]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, [*widths, 0])).rstrip())


def _answered_by(result: Result) -> str:
    answered_by = f"{result.answered_by} of {result.views}" if result.views > 1 else result.answered_by
    return f"{answered_by}, {shown(' '.join(result.words))}" if result.words else answered_by


def _remarks(result: Result) -> str:
    """Return what stands behind the name of a file: whether it is missing, and how many near duplicates it has."""
    alike = f" (+{len(result.alike)} alike)" if result.alike else ""
    return (" (missing)" if result.missing else "") + alike


def explanation(view_count: int, sure: bool = True, words: bool = False) -> str:
    """Return what the columns of the table mean, in one line.

    Args:
        view_count: Most views of an item.
        sure: Whether answers have a confidence.
        words: Whether an answer has words of the query.
    """
    score = "score: similarity to the query, higher is better."
    if sure:
        score += " confidence: how sure the answer is, from 0 to 1."
    named = " The words after it are the query's, and speak for the answer." if words else ""
    if view_count == 1:
        return score + (" answered by: the whole picture." + named if words else "")
    return (
        f"{score} answered by: the model divides what an item and its description show into a few parts (slots or "
        "sentences); this is the part that fits the query best." + named
    )


def _width(text: str) -> int:
    """Return how many columns a terminal needs: Chinese and Japanese characters are two wide."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def print_json(
    query: str, results: Sequence[Result], unknown: float | None = None, nearest: Sequence[Result] = ()
) -> None:
    """Print a query and its results as one line of JSON.

    Args:
        query: The query.
        results: Those that are sure enough.
        unknown: Share of its tokens that the model does not know; None if it is no text.
        nearest: The best result, however sure it is, which is printed if there are no others.
    """
    print(json_line(answer_fields(query, results, unknown, nearest)))


def answer_fields(
    query: str | None, results: Sequence[Result], unknown: float | None = None, nearest: Sequence[Result] = ()
) -> dict[str, Any]:
    """Return a query and its results as JSON can hold them; arguments as for `print_json`."""
    fields: dict[str, Any] = {"query": query} if unknown is None else {"query": query, "unknown": round(unknown, 4)}
    fields["results"] = [as_fields(result) for result in results]
    if nearest and not results:
        fields["nearest"] = as_fields(nearest[0])
    return fields


def note_unreadable(query: str, unknown: float | None) -> None:
    """Say on the standard error output that the model cannot read most of a query, if that is so."""
    message = unreadable(query, unknown)
    if message:
        note(message, sys.stderr)


def note_calibration(results: Sequence[Result], encoder: "Encoder") -> None:
    """Say on the standard error output that confidences mean little, where answers are unlike the calibration's."""
    message = unlike_calibration(results, encoder)
    if message:
        note(message, sys.stderr)


def note_cost(options: SearchOptions) -> None:
    """Say on the standard error output what reranking cost, if there was any."""
    if options.rerank_with is not None and not isinstance(options.rerank_with, str):
        note(options.rerank_with.cost(), sys.stderr)


def as_fields(result: Result) -> dict[str, Any]:
    """Return a result as JSON can hold it, times as ISO 8601; of the facts those that are known."""
    fields = dataclasses.asdict(result)
    fields["label"] = result.label
    fields["file"] = None if result.file is None else str(result.file)
    moment = datetime.datetime.fromtimestamp(result.time / 1e9, datetime.UTC) if result.time else None
    fields["time"] = moment and moment.isoformat(timespec="seconds")
    known = {**fields["facts"], "taken": taken_text(result.facts), "zone": None, "unreadable": None}
    fields["facts"] = {name: value for name, value in known.items() if value is not None}
    return fields


def check_sheet(sheet: Path) -> None:
    """Raise UserError if the ending of a file is not that of a picture, or the file cannot be written."""
    from PIL import Image

    if Image.registered_extensions().get(sheet.suffix.lower()) not in Image.SAVE:
        raise UserError(f"{sheet} does not have the ending of a picture; write for example --sheet answers.png.")
    check_writable(sheet)


def usable_thumbnail(gallery: "Gallery", result: Result) -> "PillowImage.Image | None":
    """Return the small picture of a result; None if none is stored, or what is stored is broken."""
    try:
        return gallery.thumbnail(result)
    except UserError:
        return None


def draw_sheet(gallery: "Gallery", answered: Iterable[tuple[str, Sequence[Result]]], sheet: Path) -> bool:
    """Draw queries and their results, and return whether there were any results to draw."""
    from PIL import Image

    from ..drawing.contact_sheet import ContactRow, contact_sheet

    blank = Image.new("RGB", (8, 8), "white")
    rows = [
        ContactRow(
            query,
            _script(query),
            [usable_thumbnail(gallery, result) or blank for result in results],
            [result.score for result in results],
            confidences=[result.confidence for result in results],
        )
        for query, results in answered
        if results
    ]
    if rows:
        with atomic_file(sheet) as part:
            contact_sheet(rows, f"Answers from {shown(gallery.folder.resolve().name)}").save(part)
    return bool(rows)


def _script(query: str) -> str:
    """Return a label for a query that also decides about the font: Chinese and Japanese share characters."""
    if any("\u3040" <= char <= "\u30ff" for char in query):
        return "ja"
    return "zh" if any("\u4e00" <= char <= "\u9fff" for char in query) else "query"
