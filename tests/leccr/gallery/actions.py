"""What the crash tests do to a gallery, each in a process of its own."""

import time
from collections.abc import Sequence
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from leccr.models.sentence_views import SentenceViews

from . import tiny_gallery

BATCH = 3
PAUSE = 0.03


@cache
def model() -> Encoder:
    """Return a model whose items have different numbers of views."""
    return SentenceViews(tiny_gallery.encoder(num_slots=0), 0.4)


def index(source: Path, folder: Path, **options: Any) -> int:
    """Index with a commit after each batch."""
    gallery = Gallery.build(source, model(), folder, batch_size=BATCH, workers=2, commit_seconds=0, **options)
    return len(gallery)


def add(folder: Path, source: Path) -> int:
    """Add with a commit after each batch."""
    gallery = Gallery.open(folder, model())
    return gallery.add(source, batch_size=BATCH, workers=2, commit_seconds=0).added


def remove(folder: Path, names: Sequence[str]) -> int:
    return len(Gallery.open(folder).remove(names))


def sync(folder: Path) -> dict[str, int]:
    """Follow the folders with a commit after each batch."""
    report = Gallery.open(folder, model()).sync(batch_size=BATCH, workers=2, commit_seconds=0)
    return {"added": report.added, "moved": report.moved, "removed": report.removed}


def convert(folder: Path, **options: Any) -> None:
    Gallery.open(folder).convert(**options)


def repair(folder: Path) -> list[str]:
    return Gallery.open(folder, model()).check(repair=True).problems


def search(folder: Path, changes: Connection) -> list[list[Any]]:
    """Search without a pause until the last change, and return all different answers in their order.

    Args:
        folder: The gallery.
        changes: Gives True after each change and False after the last, and gets an answer once it has been seen.
    """
    gallery, answers, last = Gallery.open(folder, model()), [], False
    while not last:
        changed = changes.poll()
        found = [[result.id, result.score] for result in gallery.search("en red 1", 1000, words=0)]
        gallery.search("en red 1", 1000, words=1)
        if not answers or found != answers[-1]:
            answers.append(found)
        if changed:
            last = not changes.recv()
            changes.send(None)
        # Leaves something of two processors to those that change the gallery.
        time.sleep(PAUSE)
    return answers
