"""Views that a gallery has already: a copy of a file takes those of the other, and is not encoded."""

import sqlite3
from collections.abc import Iterable, Mapping

import numpy as np

from ..errors import UserError
from .store.catalogue import Catalogue, Item, read_state, select_items
from .store.moments import FRAGMENT
from .store.storage import Storage
from .store.vectors import by_item

Content = tuple[str, str, str | None, str]


def content_of(item: Item) -> Content:
    """Return what the views of an item depend on: its file, or which shot of it, and its description."""
    _, shot, moment = item.id.rpartition(FRAGMENT)
    return item.hash, item.kind, item.description, moment if shot else ""


class KnownViews:
    """Finds the views of contents, those that are not yet committed included.

    So what is encoded, and together with what, does not depend on when an earlier run was stopped.

    Args:
        catalogue: The gallery's catalogue.
        storage: Keeps its views.
    """

    def __init__(self, catalogue: Catalogue, storage: Storage) -> None:
        self.catalogue = catalogue
        self.storage = storage
        self._uncommitted: dict[Content, np.ndarray] = {}

    def find(self, items: Iterable[Item]) -> dict[Content, np.ndarray]:
        """Return the views (K, D) of those contents that there are views of."""
        wanted = {content_of(item) for item in items}
        found = {content: self._uncommitted[content] for content in wanted if content in self._uncommitted}
        hashes = {content[0] for content in wanted - found.keys()}
        with self.catalogue.reading() as connection:
            marks = ",".join("?" * len(hashes))
            # By position, so that the same one of several is taken each time.
            others = select_items(connection, f"hash IN ({marks})", sorted(hashes))
            sources = {content_of(item): item for item in reversed(others) if content_of(item) in wanted}
            found |= self._intact(connection, sources)
        return found

    def _intact(self, connection: sqlite3.Connection, sources: Mapping[Content, Item]) -> dict[Content, np.ndarray]:
        state = read_state(connection, str(self.catalogue.folder))
        try:
            stored = self.storage.checksums(state, [item.position for item in sources.values()])
            intact = [
                (content, item)
                for (content, item), checksum in zip(sources.items(), stored)
                if checksum == item.checksum
            ]
            if not intact:
                return {}
            engine = self.storage.engine(state, approximate=False)
            views = by_item(*engine.at(np.array([item.position for _, item in intact])))
        except UserError:
            # A damaged gallery is repaired by encoding.
            return {}
        return {content: own for (content, _), own in zip(intact, views)}

    def remember(self, views: Mapping[Content, np.ndarray]) -> None:
        """Remember views until they are committed."""
        self._uncommitted.update(views)

    def committed(self) -> None:
        """Forget what `remember` got, as it is found in the gallery now."""
        self._uncommitted.clear()
