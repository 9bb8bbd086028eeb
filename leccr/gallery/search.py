"""`leccr search`: answers a query, a picture, the lines of a file or of the standard input, or what is typed."""

import dataclasses
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from processing.notes import note
from processing.screen import shown

from ..errors import UserError
from .answers import (
    check_sheet,
    draw_sheet,
    explanation,
    note_calibration,
    note_cost,
    note_unreadable,
    print_json,
    print_table,
)
from .confidence import check_confidence, fitting, nearest_of
from .fusion import check_weight_of_words
from .gallery import Gallery
from .options import SearchOptions
from .prompt import Prompt
from .query_words import nothing_matches, words_of_query
from .results import Result, UnreadableQueryWarning
from .sorting import check_order
from .store.moments import count_moments


def run_search(
    folder: Path,
    query: str | None,
    *,
    k: int = 10,
    options: SearchOptions = SearchOptions(),  # noqa: B008
    min_confidence: float | None = None,
    image: Path | None = None,
    queries: Path | None = None,
    as_json: bool = False,
    sheet: Path | None = None,
    model: str | None = None,
    exact: bool = False,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
) -> None:
    """Search a gallery and print the answers.

    Args:
        folder: The gallery.
        query: A text; None to search by `image`, for the lines of `queries` or of the standard input, or at a prompt.
        k: Number of results per query.
        options: Which items are answers.
        min_confidence: Leave out answers to texts that are less sure, from 0 to 1.
        image: A picture or video to search with.
        queries: A file with one query per line.
        as_json: Print one line of JSON per query instead of a table.
        sheet: Picture to draw with the answers.
        model: Checkpoint, if it is no longer where the gallery says.
        exact: Compare all views, even if the gallery has an approximate index.
        device: Where the model runs.
        dtype: Its precision.
        trust_remote_code: Run code that it carries, if it is of a kind that the libraries do not know.

    Raises:
        UserError: If more than one of query, image and queries is given, or one of them cannot be used.
    """
    if sum(given is not None for given in (query, image, queries)) > 1:
        raise UserError("Give only one of a query, --image and --queries.")
    check_confidence(min_confidence)
    if image is not None and min_confidence is not None:
        raise UserError("Answers to --image have no confidence, which is for texts; leave --min-confidence out.")
    check_order(options.sort)
    if image is not None and options.rerank_with is not None:
        raise UserError("--rerank-with scores answers to a text, and not to --image; leave one of them out.")
    if options.rerank_endpoint is not None and options.rerank_with is None:
        raise UserError("--rerank-endpoint runs the model of --rerank-with; give its name, too.")
    check_weight_of_words(options.words)
    if sheet is not None:
        check_sheet(sheet)
        if query is None and image is None and queries is None:
            raise UserError("--sheet draws the answers to a query, to --image or to --queries; give one of them.")
    # The command says itself what the model cannot read.
    warnings.simplefilter("ignore", UnreadableQueryWarning)
    loading = {"device": device, "dtype": dtype, "trust_remote_code": trust_remote_code}
    with Gallery.open(folder, model, approximate=not exact, **loading) as gallery:
        _check_items(gallery)
        options = _with_reranker(options, loading)
        if image is not None:
            answered = [(str(image), gallery.search_by_image(image, k, **vars(options)))]
        elif query is not None:
            answered = [(query, gallery.search(query, k, **vars(options)))]
        elif queries is not None:
            texts = _lines(queries)
            answered = list(zip(texts, gallery.search(texts, k, **vars(options))))
        else:
            _answer_input(gallery, k, options, min_confidence, as_json)
            return
        unknown = [None] if image is not None else gallery.encoder.unknown_shares([text for text, _ in answered])
        kept = [(text, fitting(results, min_confidence)) for text, results in answered]
        for (text, results), (_, own), share in zip(answered, kept, unknown):
            _print_answer(text, own, as_json, len(answered) > 1, share, nearest_of(results))
        note_cost(options)
        _note_few(gallery, answered[0][1], k if min_confidence is None else 0, options, answered[0][0])
        if not as_json and any(results for _, results in kept):
            words = any(result.words for _, results in kept for result in results)
            note(explanation(gallery.state.view_count, image is None, words), sys.stderr)
        if image is None:
            note_calibration([result for _, results in kept for result in results], gallery.encoder)
        if sheet is not None and draw_sheet(gallery, kept, sheet):
            note(f"The answers as a picture: {sheet}.", sys.stderr)


def _with_reranker(options: SearchOptions, loading: dict[str, Any]) -> SearchOptions:
    """Load the reranker, so that a wrong name is reported before anything is searched."""
    if not isinstance(options.rerank_with, str):
        return options
    from ..models.reranker import Reranker

    reranker = Reranker.load(options.rerank_with, **loading, endpoint=options.rerank_endpoint)
    return dataclasses.replace(options, rerank_with=reranker)


def _check_items(gallery: Gallery) -> None:
    state = gallery.state
    if not state.items:
        raise UserError(f"The gallery {gallery.folder} is empty; add pictures with `leccr gallery add`.")
    if state.unfinished:
        note(f"Indexing {state.unfinished} was not finished: only {state.items} items are searched.", sys.stderr)


def _warn(text: object) -> None:
    print(shown(text), file=sys.stderr)


def _note_few(gallery: Gallery, results: Sequence[Result], k: int, options: SearchOptions, query: str) -> None:
    where = options.where
    if words_of_query(query).required and len(results) < k:
        # Only so many have the words.
        if not results:
            note(nothing_matches(query, where), sys.stderr)
        return
    if where is not None and not results:
        note(f"No item matches the filter {where}.", sys.stderr)
    elif len(results) < k:
        items = _most_answers(gallery, options)
        alike = sum(len(result.alike) for result in results)
        items -= alike
        if where is None and len(results) < min(k, items):
            undefined = items - len(results)
            note(
                f"{undefined} of {items} items have views that are undefined numbers, and are never found; "
                f"`leccr gallery check --repair {gallery.folder}` repairs this.",
                sys.stderr,
            )
            return
        what = f"the filter {where} leaves" if where else "the gallery has"
        rest = f"{alike} more look like them (--all shows them)" if alike else "all of them are shown"
        note(f"{k} items were requested, but {what} {len(results)}; {rest}.", sys.stderr)


def _most_answers(gallery: Gallery, options: SearchOptions) -> int:
    """Return how many answers a query has at most: as many as there are items, long videos counting once."""
    with gallery.catalogue.reading() as connection:
        shots, videos = count_moments(connection)
    return len(gallery) if options.all_moments else len(gallery) - shots + videos


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            texts = [line for line in _read_queries(file, str(path)) if line]
    except OSError as error:
        raise UserError(f"{path} cannot be read as a text file of queries: {error.strerror or error}.") from error
    if not texts:
        raise UserError(f"{path} has no queries; write one per line.")
    return texts


def _read_queries(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield the lines as text; one that is not UTF-8 is named, and the others are answered."""
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            # Shells and terminals can hand over half of a character, or a NUL.
            yield text.replace("\0", "")
        except UnicodeDecodeError as error:
            _warn(f"Line {number} of {name} is not UTF-8 text at byte {error.start + 1}; it is left out.")


def _answer_input(
    gallery: Gallery, k: int, options: SearchOptions, min_confidence: float | None, as_json: bool
) -> None:
    """Answer the lines of the standard input: at a prompt if a person types them."""
    # Loads the model before the first query, and refuses a filter that cannot be read.
    gallery.search("warm up", 1, **vars(dataclasses.replace(options, rerank_with=None)))
    prompt = Prompt(gallery, k, options, min_confidence, as_json)
    if sys.stdin.isatty() and sys.stdout.isatty():
        prompt.run()
    else:
        prompt.answer(_read_queries(_input_lines(), "the standard input"))


def _input_lines() -> Iterable[bytes]:
    """Return the lines of the standard input as bytes, which may be in any encoding."""
    return getattr(sys.stdin, "buffer", None) or (line.encode("utf-8", "surrogateescape") for line in sys.stdin)


def _print_answer(
    query: str,
    results: Sequence[Result],
    as_json: bool,
    name_query: bool,
    unknown: float | None,
    nearest: Sequence[Result],
) -> None:
    if as_json:
        print_json(query, results, unknown, nearest)
        return
    if name_query:
        print(f"\n{shown(query)}")
    print_table(results, nearest)
    note_unreadable(query, unknown)
