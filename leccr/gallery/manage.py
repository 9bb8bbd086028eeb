"""`leccr index` and `leccr gallery add | remove | info | check | convert`: what they do and print."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing.notes import note
from processing.screen import shown, shown_names

from ..errors import UserError
from .gallery import Gallery
from .options import AddOptions, IndexOptions
from .store.moments import count_moments
from .store.state import State

if TYPE_CHECKING:
    from .add import AddReport
    from .check import CheckReport

MOST_BROKEN_SHOWN = 50
# Above this, exact search takes longer than a person notices.
MANY_VIEWS = 1_000_000


def run_index(source: str, model: str, out: Path, options: IndexOptions) -> None:
    """Build a gallery, or resume an earlier run, and print what became of the files."""
    with Gallery.build(source, model, out, **vars(options)) as gallery:
        if gallery.report is not None:
            print_added(gallery.report, gallery.encoder.takes_videos)
        note(f"The gallery {out} has {size_of(gallery)}. Search it: leccr search {out}")


def run_add(
    folder: Path,
    source: str,
    model: str | None,
    options: AddOptions,
    dtype: str = "auto",
    trust_remote_code: bool = False,
) -> None:
    """Add to a gallery."""
    loading = {"device": options.device, "dtype": dtype, "trust_remote_code": trust_remote_code}
    with Gallery.open(folder, model, **loading) as gallery:
        print_added(gallery.add(source, **vars(options)), gallery.encoder.takes_videos)
        note(f"The gallery {folder} has {size_of(gallery)}.")


def print_added(report: "AddReport", takes_videos: bool) -> None:
    """Print what became of the files that were added."""
    also = [f"{count} {what}, " for what in ("moved", "removed") if (count := getattr(report, what, 0))]
    print(f"{report.added} added, {report.replaced} replaced, {''.join(also)}{report.unchanged} unchanged.")
    if report.broken:
        print(f"{len(report.broken)} left out:")
    for name, reason in report.broken[:MOST_BROKEN_SHOWN]:
        print(f"  {_left_out(shown(name), shown(reason))}")
    if len(report.broken) > MOST_BROKEN_SHOWN:
        print(f"  ... and {len(report.broken) - MOST_BROKEN_SHOWN} more")
    if report.animations:
        advice = "; --frames takes animations as videos" if takes_videos else ""
        print(f"Only the first picture of {counted(report.animations, 'animation')} was taken{advice}.")
    if report.unreadable:
        count = counted(len(report.unreadable), "file")
        names = shown_names(report.unreadable)
        print(f"The date or the place that is stored in {count} cannot be read: {names}.")
    if report.written or report.unread:
        failed = f"; {counted(report.unread, 'picture')} could not be read" if report.unread else ""
        print(f"Writing was found in {counted(report.written, 'picture')}{failed}.")
    for sentence in report.remarks:
        print(sentence)
    if report.busy:
        note(report.busy)


def run_remove(folder: Path, names: Sequence[str], where: str | None) -> None:
    """Remove items from a gallery."""
    if not names and where is None:
        raise UserError("Say what to remove: ids, files or folders, or a filter with --filter.")
    with Gallery.open(folder) as gallery:
        removed = gallery.remove(names, where)
        left = size_of(gallery)
        print(f"{len(removed)} removed; the gallery {shown(folder)} has {left}. The files were kept.")


def run_check(folder: Path, model: str | None, repair: bool, files: bool, **loading: Any) -> bool:
    """Check a gallery, and return whether nothing is left to repair; `loading` is for `Encoder.load`."""
    with Gallery.open(folder, model, **loading) as gallery:
        report = gallery.check(repair, files)
    _print_check(report)
    return not report.problems


def _print_check(report: "CheckReport") -> None:
    for path in report.removed:
        print(f"Removed {shown(path.name)}, left over from an earlier state.")
    for sentence in report.repaired:
        print(f"Repaired: {shown(sentence)}")
    for sentence in report.problems:
        print(f"Problem: {shown(sentence)}")
    print(f"{counted(report.items, 'item')} checked, {counted(len(report.problems), 'problem')} left.")


def run_convert(folder: Path, **choices: Any) -> None:
    """Change how a gallery's views are stored."""
    if not any(choices.values()):
        raise UserError("Say what to change: --store, --ann or --engine.")
    with Gallery.open(folder) as gallery:
        gallery.convert(**choices)
    run_info(folder)


def run_info(folder: Path) -> None:
    """Print what a gallery contains and how it is stored."""
    with Gallery.open(folder) as gallery:
        state, sources = gallery.state, gallery.sources
        with gallery.catalogue.reading() as connection:
            shots, videos = count_moments(connection)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    lines = {
        "items": f"{state.items}",
        "views": f"{_view_words(state)} of {state.width} numbers per item, {state.dtype}",
        "model": f"{state.model} ({state.fingerprint})",
        **({"shots": f"{shots} of {counted(videos, 'long video')}, --shots {state.shots}"} if shots else {}),
        **({} if state.description_weight is None else {"weight": f"{state.description_weight:g} for descriptions"}),
        "engine": f"{state.engine} {state.uri or ''}".strip(),
        "search": _search_words(state),
        "size": f"{size / 1e6:.1f} MB in {folder}",
        "sources": ", ".join(location for _, location in sources.values()) or "none",
    }
    for name, value in lines.items():
        print(f"{name:<8} {shown(value)}")
    if state.unfinished:
        print(f"{'note':<8} Indexing {shown(state.unfinished)} was not finished; run the same command again to resume.")


def _view_words(state: State) -> str:
    if state.views == state.view_count * state.positions:
        return str(state.view_count)
    return f"1 to {state.view_count} ({state.views / state.positions:.1f} on average)"


def _search_words(state: State) -> str:
    index = state.approximation
    if index is None:
        many = state.views > MANY_VIEWS
        return "exact" + (f"; `leccr gallery convert ... --ann hnsw` makes {state.items} items faster" if many else "")
    newer = state.positions - index.positions
    return (
        f"{index.kind}, which finds {100 * (index.recall or 0):.1f} % of the exact ten best "
        f"(measured with {index.queries} views of this gallery)" + (f"; {newer} newer items exactly" if newer else "")
    )


def _left_out(name: str, reason: str) -> str:
    folder, found, rest = reason.partition(f"{name} ")
    names_the_file = found and folder[-1:] in ("", "/")
    return f"{name} {rest}" if names_the_file else f"{name}: {reason}"


def size_of(gallery: Gallery) -> str:
    """Return how many items a gallery has, and how many of them are shots, since of these a video has several."""
    with gallery.catalogue.reading() as connection:
        shots, videos = count_moments(connection)
    long = f", {shots} of them shots of {counted(videos, 'long video')}" if shots else ""
    return f"{counted(len(gallery), 'item')}{long}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where that is due."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
