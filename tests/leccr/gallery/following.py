"""What tests of galleries that follow their folders count and compare."""

from typing import Any

import pytest

from leccr.gallery import Gallery
from leccr.gallery.sync import SyncReport
from leccr.models.encoder import Encoder

from . import tiny_gallery


class Counting:
    """Counts what a model encodes."""

    def __init__(self, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.encoded = 0
        original = encoder.views

        def views(inputs: Any, *args: Any) -> Any:
            self.encoded += len(inputs)
            return original(inputs, *args)

        monkeypatch.setattr(encoder, "views", views)


def ids(gallery: Gallery) -> list[str]:
    with gallery.catalogue.reading() as connection:
        return [row[0] for row in connection.execute("SELECT id FROM items ORDER BY id")]


def views_by_id(gallery: Gallery) -> dict[str, bytes]:
    views = tiny_gallery.stored_views(gallery)
    with gallery.catalogue.reading() as connection:
        return {name: views[at].tobytes() for name, at in connection.execute("SELECT id, position FROM items")}


def counts(report: SyncReport) -> dict[str, int]:
    names = ("added", "replaced", "moved", "removed", "excluded", "missing", "unchanged")
    return {name: getattr(report, name) for name in names if getattr(report, name)}
