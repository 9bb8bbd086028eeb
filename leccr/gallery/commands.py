"""What the commands `index`, `search` and `gallery` print."""

import dataclasses
import datetime
import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing.writing import atomic_file

from ..errors import UserError
from .gallery import Gallery
from .results import Result
from .store.state import State

if TYPE_CHECKING:
    from .add import AddReport
    from .check import CheckReport

MOST_BROKEN_SHOWN = 50
PROMPT = "query> "
# Above this, exact search takes longer than a person notices.
MANY_VIEWS = 1_000_000


def run_index(source: str, model: str, out: Path, **options: Any) -> None:
    """Build a gallery, or go on with it, and print what became of the files."""
    gallery = Gallery.build(source, model, out, **options)
    if gallery.report is not None:
        _print_added(gallery.report)
    print(f"The gallery {out} has {len(gallery)} items. Ask it: leccr search {out} ")
    gallery.close()


def run_add(
    folder: Path,
    source: str,
    model: str | None,
    split: str | None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    **options: Any,
) -> None:
    """Add to a gallery."""
    with Gallery.open(folder, model, device=device, dtype=dtype) as gallery:
        _print_added(gallery.add(source, split, **options))
        print(f"The gallery {folder} has {len(gallery)} items.")


def _print_added(report: "AddReport") -> None:
    print(f"{report.added} added, {report.replaced} replaced, {report.unchanged} unchanged.")
    if report.broken:
        print(f"{len(report.broken)} left out:")
    for name, reason in report.broken[:MOST_BROKEN_SHOWN]:
        print(f"  {name}: {reason}")
    if len(report.broken) > MOST_BROKEN_SHOWN:
        print(f"  ... and {len(report.broken) - MOST_BROKEN_SHOWN} more")


def run_remove(folder: Path, names: Sequence[str], where: str | None) -> None:
    """Take items out of a gallery."""
    if not names and where is None:
        raise UserError("Say what to remove: ids, files or folders, or a filter with --filter.")
    with Gallery.open(folder) as gallery:
        gone = gallery.remove(names, where)
        print(f"{len(gone)} removed; the gallery {folder} has {len(gallery)} items. Their files are where they were.")


def run_check(folder: Path, model: str | None, repair: bool, files: bool, **options: Any) -> bool:
    """Check a gallery, and return whether nothing is left to mend."""
    with Gallery.open(folder, model, **options) as gallery:
        report = gallery.check(repair, files)
    _print_check(report)
    return not report.problems


def _print_check(report: "CheckReport") -> None:
    for path in report.removed:
        print(f"Removed {path.name}, which an earlier state left behind.")
    for sentence in report.repaired:
        print(f"Mended: {sentence}")
    for sentence in report.problems:
        print(f"Problem: {sentence}")
    print(f"{report.items} items checked, {len(report.problems)} problems left.")


def run_convert(folder: Path, **options: Any) -> None:
    """Store a gallery's views otherwise."""
    with Gallery.open(folder) as gallery:
        gallery.convert(**options)
    run_info(folder)


def run_info(folder: Path) -> None:
    """Print what a gallery is."""
    with Gallery.open(folder) as gallery:
        state, sources = gallery.state, gallery.sources
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    lines = {
        "items": f"{state.items}",
        "views": f"{state.view_count} of {state.width} numbers an item, {state.dtype}",
        "model": f"{state.model} ({state.fingerprint})",
        "engine": f"{state.engine} {state.uri or ''}".strip(),
        "search": _search_words(state),
        "size": f"{size / 1e6:.1f} MB in {folder}",
        "sources": ", ".join(location for _, location in sources.values()) or "none",
    }
    for name, value in lines.items():
        print(f"{name:<8} {value}")
    if state.unfinished:
        print(f"{'note':<8} Indexing {state.unfinished} was not finished; start the same command again to go on.")


def _search_words(state: State) -> str:
    index = state.approximation
    if index is None:
        many = state.positions * state.view_count > MANY_VIEWS
        return "exact" + (f"; `leccr gallery convert ... --ann hnsw` makes {state.items} items faster" if many else "")
    new = state.positions - index.positions
    return (
        f"{index.kind}, which finds {100 * (index.recall or 0):.1f} % of the exact ten best "
        f"(measured on {index.queries} views of this gallery)" + (f"; {new} newer items exactly" if new else "")
    )


def run_search(
    folder: Path,
    query: str | None,
    *,
    k: int = 10,
    where: str | None = None,
    image: Path | None = None,
    queries: Path | None = None,
    as_json: bool = False,
    sheet: Path | None = None,
    model: str | None = None,
    exact: bool = False,
    device: str = "auto",
    dtype: str = "auto",
) -> None:
    """Answer a query, the lines of a file, or what is typed.

    Args:
        folder: The gallery.
        query: A text; None to search by `image`, or for the lines of `queries` or of the standard input.
        k: Items for each query.
        where: A filter.
        image: A picture or video to search with.
        queries: A file with a query a line.
        as_json: Print a line of JSON for each query, and not a table.
        sheet: Picture to draw with the answers.
        model: Checkpoint, where it is not at its recorded place.
        exact: Compare all views, even if the gallery has an approximate index.
        device: Where the model runs.
        dtype: Its precision.

    Raises:
        UserError: If more than one of query, image and queries is given, or any of them is of no use.
    """
    if sum(given is not None for given in (query, image, queries)) > 1:
        raise UserError("Give one of a query, --image and --queries.")
    _check_sheet(sheet, query, image, queries)
    with Gallery.open(folder, model, approximate=not exact, device=device, dtype=dtype) as gallery:
        _print_notes(gallery)
        if image is not None:
            answered = [(str(image), gallery.search_by_image(image, k, where))]
        elif query is not None:
            answered = [(query, gallery.search(query, k, where))]
        elif queries is not None:
            texts = _lines(queries)
            answered = list(zip(texts, gallery.search(texts, k, where)))
        else:
            _answer_input(gallery, k, where, as_json)
            return
        for text, results in answered:
            _print_answer(text, results, as_json, len(answered) > 1)
        _note_few(gallery, answered[0][1], k, where)
        if sheet is not None:
            _draw(gallery, answered, sheet)


def _print_notes(gallery: Gallery) -> None:
    state = gallery.state
    if not state.items:
        raise UserError(f"The gallery {gallery.folder} is empty; add pictures with `leccr gallery add`.")
    if state.unfinished:
        _note(f"Indexing {state.unfinished} was not finished: only {state.items} items are searched.")


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _note_few(gallery: Gallery, results: Sequence[Result], k: int, where: str | None) -> None:
    if where is not None and not results:
        _note(f"No item fits the filter {where}.")
    elif len(results) < k:
        what = f"fit the filter {where}" if where else "are in the gallery"
        _note(f"{k} items were asked for, but {len(results)} {what}; all of them are shown.")


def _answer_input(gallery: Gallery, k: int, where: str | None, as_json: bool) -> None:
    """Answer what is typed, or piped in, line by line."""
    interactive = sys.stdin.isatty()
    gallery.search("warm up", 1)
    if interactive:
        print("Type a query in any language; an empty line, or Ctrl-D, ends.")
    while True:
        if interactive:
            print(PROMPT, end="", flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            if line and not interactive:
                continue
            return
        try:
            _print_answer(line.strip(), gallery.search(line.strip(), k, where), as_json, not interactive)
        except UserError as error:
            print(error)
        sys.stdout.flush()


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a text of queries: {error}.") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise UserError(f"{path} has no queries; write one a line.")
    return texts


def _print_answer(query: str, results: Sequence[Result], as_json: bool, name_query: bool) -> None:
    if as_json:
        print(json.dumps({"query": query, "results": [as_fields(result) for result in results]}, ensure_ascii=False))
        return
    if name_query:
        print(f"\n{query}")
    rows = [("rank", "score", "file", "answered by", "description")]
    rows += [
        (
            str(result.rank),
            f"{result.score:.4f}",
            result.path,
            result.answered_by,
            " ".join((result.description or "").split())[:80],
        )
        for result in results
    ]
    widths = [max(_width(row[column]) for row in rows) for column in range(4)]
    for row in rows if results else ():
        print("  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, [*widths, 0])).rstrip())


def _width(text: str) -> int:
    """Return how many columns a terminal needs: Chinese and Japanese characters are two wide."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def as_fields(result: Result) -> dict[str, Any]:
    """Return a result as JSON can hold it, the time as ISO 8601."""
    fields = dataclasses.asdict(result)
    fields["file"] = None if result.file is None else str(result.file)
    moment = datetime.datetime.fromtimestamp(result.time / 1e9, datetime.UTC) if result.time else None
    fields["time"] = moment and moment.isoformat(timespec="seconds")
    return fields


def _check_sheet(sheet: Path | None, *given: Any) -> None:
    if sheet is None:
        return
    from PIL import Image

    if Image.registered_extensions().get(sheet.suffix.lower()) not in Image.SAVE:
        raise UserError(f"{sheet} has no ending of a picture; write for example --sheet answers.png.")
    if not any(given):
        raise UserError("--sheet draws the answers to a query, to --image or to --queries; give one of them.")


def _draw(gallery: Gallery, answered: Iterable[tuple[str, Sequence[Result]]], sheet: Path) -> None:
    from PIL import Image

    from ..drawing.contact_sheet import ContactRow, contact_sheet

    blank = Image.new("RGB", (8, 8), "white")
    rows = [
        ContactRow(
            query,
            _script(query),
            [gallery.thumbnail(result) or blank for result in results],
            [result.score for result in results],
        )
        for query, results in answered
        if results
    ]
    if not rows:
        return
    with atomic_file(sheet) as part:
        contact_sheet(rows, f"Answers from {gallery.folder.resolve().name}").save(part)
    _note(f"The answers as a picture: {sheet}.")


def _script(query: str) -> str:
    """Return a label for a query that also decides about the font: Chinese and Japanese share characters."""
    if any("\u3040" <= char <= "\u30ff" for char in query):
        return "ja"
    return "zh" if any("\u4e00" <= char <= "\u9fff" for char in query) else "query"
