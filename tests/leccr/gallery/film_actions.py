"""What the crash tests of moments do to a gallery, each in a process of its own."""

import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from leccr.gallery import Gallery
from tests.leccr.gallery import films
from tests.leccr.gallery.actions import PAUSE

Answer = list[tuple[str, float]]


def index(source: Path, folder: Path) -> int:
    """Index with a commit after each two files; the shots of a video are encoded one by one."""
    return len(Gallery.build(source, films.model(), folder, batch_size=2, workers=2, commit_seconds=0))


def add(folder: Path, source: Path) -> int:
    """Add with a commit after each two files."""
    gallery = Gallery.open(folder, films.model())
    gallery.add(source, batch_size=2, workers=2, commit_seconds=0)
    return len(gallery)


def remove(folder: Path, names: Sequence[str]) -> int:
    return len(Gallery.open(folder).remove(names))


def sync(folder: Path) -> dict[str, int]:
    """Follow the folders with a commit after each two files."""
    report = Gallery.open(folder, films.model()).sync(batch_size=2, workers=2, commit_seconds=0)
    return {"added": report.added, "moved": report.moved, "removed": report.removed}


def search(folder: Path, changes: Connection) -> list[tuple[Answer, Answer]]:
    """Search until the last change, as `actions.search` does, and return all shots and the best of each video,
    as often as they change."""
    gallery, answers, last = Gallery.open(folder, films.model()), [], False
    query = gallery.encoder.texts(["en red 1"])[0]
    while not last:
        changed = changes.poll()
        every = [(each.id, each.score) for each in gallery.search(query, 1000, all_moments=True)]
        best = [(each.path, each.score) for each in gallery.search(query, 1000)]
        if not answers or (every, best) != answers[-1]:
            answers.append((every, best))
        if changed:
            last = not changes.recv()
            changes.send(None)
        time.sleep(PAUSE)
    return answers
