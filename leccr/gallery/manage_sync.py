"""`leccr gallery sync | relocate | duplicates`: what they do and print."""

import sys
from pathlib import Path
from typing import Any

from processing.notes import note
from processing.screen import json_line, shown

from .gallery import Gallery
from .manage import counted, print_added, size_of
from .options import SyncOptions
from .results import file_of
from .sync import SyncReport


def run_sync(folder: Path, model: str | None, options: SyncOptions, watch: bool, **loading: Any) -> None:
    """Synchronise a gallery, and print what became of the files; with `watch` again after each change, until Ctrl-C.

    Args:
        folder: The gallery.
        model: Its checkpoint, if it was moved.
        options: How to read and encode.
        watch: Whether to go on.
        **loading: How the checkpoint is loaded.
    """
    with Gallery.open(folder, model, device=options.device, **loading) as gallery:
        if not watch:
            _print_report(gallery, gallery.sync(**vars(options)))
            note(f"The gallery {folder} has {size_of(gallery)}.")
            return
        for number, report in enumerate(gallery.watch(**vars(options))):
            if not number or report.has_changes:
                _print_report(gallery, report)
            if not number:
                note("Watching the folders; Ctrl-C ends.")
            # Seen at once, also where the output goes to a file.
            sys.stdout.flush()


def _print_report(gallery: Gallery, report: SyncReport) -> None:
    print_added(report, bool(report.animations) and gallery.encoder.takes_videos)
    if report.excluded:
        print(f"{counted(report.excluded, 'file')} removed that {_are(report.excluded)} left out now.")
    if report.missing:
        print(f"{counted(report.missing, 'missing file')} kept, and marked in answers.")
    for reason, count in report.unavailable.items():
        print(
            f"{counted(count, 'file')} kept as {'it is' if count == 1 else 'they are'}: {shown(reason)}. If that was "
            "moved, use `leccr gallery relocate`; to give it up, `leccr gallery remove`."
        )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def run_relocate(folder: Path, old: str, new: Path) -> None:
    """Tell a gallery that a folder was moved."""
    with Gallery.open(folder) as gallery:
        files = gallery.relocate(old, new)
    print(f"{counted(files, 'file')} of {shown(folder)} {'is' if files == 1 else 'are'} in {shown(new.resolve())} now.")


def run_duplicates(folder: Path, as_json: bool) -> None:
    """Print groups of near duplicates, as one line of JSON each if `as_json`."""
    with Gallery.open(folder) as gallery:
        groups, sources = gallery.duplicates(), gallery.sources
    for group in groups:
        paths = [str(file_of(item, sources) or item.path) for item in group]
        if as_json:
            print(json_line({"alike": paths}))
        else:
            print("\n  ".join(map(shown, paths)))
    if not as_json:
        extra = sum(len(group) - 1 for group in groups)
        keep = f"; if you keep one file of each, {extra} can go" if groups else ""
        note(f"{counted(len(groups), 'group')} of near duplicates{keep}.")
