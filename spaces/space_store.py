"""Pictures in memory, with exact search: some thousands need no index."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from space_errors import SpaceError
from space_explain import Explanation, explain, jpeg
from space_facts import file_facts, year_taken
from space_files import LARGE_SIDE, SMALL_SIDE, address, data_uri
from space_filters import NO_FILTERS, Facets, Filters, facets_of
from space_model import Array, Retriever, widened
from space_search import Hit, Original, Picture, check_query


class PictureStore:
    """Pictures in memory; a `Searcher`.

    Args:
        retriever: The model.
        shared: Whether every visitor may see the pictures; a visitor's own ones travel within the page, so that
            nobody else can ask for them.
    """

    def __init__(self, retriever: Retriever, shared: bool = False) -> None:
        self.retriever = retriever
        self.shared = shared
        self._pictures: list[Picture] = []
        self._small: list[bytes] = []
        self._ratios: list[float] = []
        views = (0, max(retriever.num_slots, 1), int(retriever.model.config.projection_dim))
        self._views = np.empty(views, dtype=np.float32)
        self._images = np.empty((0, views[2]), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def pictures(self) -> list[Hit]:
        """All pictures in their order, with no score."""
        return self.browse(len(self))

    def add(self, pictures: Sequence[Picture], progress: Callable[[int], None] | None = None) -> list[str]:
        """Add pictures, encoded in batches, and return a sentence for each that cannot be used.

        Args:
            pictures: The pictures.
            progress: Called with the number done.
        """
        problems: list[str] = []
        for start in range(0, len(pictures), 16):
            opened = []
            for picture in pictures[start : start + 16]:
                try:
                    opened.append((picture, picture.open(self.retriever.background)))
                except SpaceError as error:
                    problems.append(f"{picture.name}: {error}")
            if opened:
                self._append([picture for picture, _ in opened], [image for _, image in opened])
            if progress is not None:
                progress(min(start + 16, len(pictures)))
        return problems

    def _append(self, pictures: list[Picture], images: list[PillowImage.Image]) -> None:
        views, embeds = self.retriever.embed_pictures(images, [picture.description for picture in pictures])
        self._pictures += [replace(picture, year=year_taken(picture.source)) for picture in pictures]
        self._small += [jpeg(image, SMALL_SIDE) for image in images]
        self._ratios += [image.width / image.height for image in images]
        self._views = self._joined(self._views, views)
        self._images = np.concatenate([self._images, embeds])

    @staticmethod
    def _joined(first: Array, second: Array) -> Array:
        """Return views of more pictures, which may have other numbers of them."""
        most = max(first.shape[1], second.shape[1])
        return np.concatenate([widened(first, most), widened(second, most)])

    def remove(self, id: str) -> None:
        """Forget a picture."""
        index = self._index(id)
        del self._pictures[index], self._small[index], self._ratios[index]
        self._views, self._images = np.delete(self._views, index, axis=0), np.delete(self._images, index, axis=0)

    def describe(self, id: str, description: str | None) -> None:
        """Replace the description, and encode the picture again."""
        index = self._index(id)
        picture = replace(self._pictures[index], description=description)
        views, embeds = self.retriever.embed_pictures([picture.open(self.retriever.background)], [description])
        self._pictures[index] = picture
        before, after = self._views[:index], self._views[index + 1 :]
        self._views = self._joined(self._joined(before, views), after)
        self._images[index] = embeds[0]

    def picture(self, id: str) -> Picture:
        """Return a picture.

        Raises:
            SpaceError: If there is none of this id.
        """
        return self._pictures[self._index(id)]

    def search(self, text: str, k: int, filters: Filters = NO_FILTERS) -> list[Hit]:
        """Return the k pictures that fit a text best, the best first."""
        hits = self._rank(self.retriever.embed_text(check_query(text)), k, filters)
        sure = self.retriever.confidence([hit.score for hit in hits], text)
        return [replace(hit, confidence=value) for hit, value in zip(hits, sure)]

    def browse(self, k: int, filters: Filters = NO_FILTERS) -> list[Hit]:
        """Return the first k pictures in their order."""
        return [self._hit(index, rank) for rank, index in enumerate(self._allowed(filters)[:k].tolist())]

    def choose(self, ids: Sequence[str]) -> list[Hit]:
        """Return the pictures with these ids; ids of no picture are left out."""
        wanted = set(ids)
        return [hit for hit in self.browse(len(self)) if hit.id in wanted]

    def facets(self) -> Facets:
        """Return what the pictures can be filtered by."""
        return facets_of((picture.name, "image", picture.year) for picture in self._pictures)

    def more_like(self, id: str, k: int) -> list[Hit]:
        """Return the k other pictures most like one: its whole-image embedding is the query."""
        others = [hit for hit in self._rank(self._images[self._index(id)], k + 1) if hit.id != id][:k]
        return [replace(hit, rank=rank) for rank, hit in enumerate(others, start=1)]

    def explain(self, id: str, text: str) -> Explanation:
        """Explain the score of a picture for a text."""
        picture = self.picture(id)
        image = picture.open(self.retriever.background)
        query = self.retriever.embed_text(check_query(text))
        inputs = self.retriever.inputs([image], [picture.description])
        return explain(self.retriever, inputs, query, picture.name, picture.description, image)

    def small(self, id: str) -> bytes:
        """Return a JPEG of a picture for the grid."""
        return self._small[self._index(id)]

    def large(self, id: str) -> bytes:
        """Return a JPEG of a picture that fills a screen."""
        picture = self.picture(id).open(self.retriever.background)
        picture.thumbnail((LARGE_SIDE, LARGE_SIDE), PillowImage.Resampling.LANCZOS)
        return jpeg(picture, max(picture.size))

    def original(self, id: str) -> Original | None:
        """Return a picture's file; None where it no longer exists."""
        picture = self.picture(id)
        if isinstance(picture.source, Path) and not picture.source.is_file():
            return None
        return Original(picture.name.rsplit("/", 1)[-1], picture.source)

    def facts(self, id: str) -> list[tuple[str, str]]:
        """Return what is known about a picture's file: names and values."""
        return file_facts(self.picture(id).source)

    def _index(self, id: object) -> int:
        for index, picture in enumerate(self._pictures):
            if picture.id == id:
                return index
        raise SpaceError("There is no picture with this id.")

    def _allowed(self, filters: Filters) -> Array:
        """Return the indices of the pictures that pass."""
        passed = [filters.passes(picture.name, "image", picture.year) for picture in self._pictures]
        return np.flatnonzero(np.asarray(passed, dtype=bool))

    def _rank(self, query: Array, k: int, filters: Filters = NO_FILTERS) -> list[Hit]:
        allowed = self._allowed(filters)
        similarities = self._views[allowed] @ query
        scores = similarities.max(axis=1) if len(allowed) else np.empty(0)
        order = np.argsort(-scores, kind="stable")[:k]
        return [
            self._hit(int(allowed[index]), rank, float(scores[index]), int(similarities[index].argmax()))
            for rank, index in enumerate(order.tolist())
        ]

    def _hit(self, index: int, rank: int, score: float = 0.0, view: int | None = None) -> Hit:
        picture = self._pictures[index]
        return Hit(
            id=picture.id,
            rank=rank + 1,
            score=score,
            answered_by=None if view is None or not self.retriever.has_slots else view + 1,
            name=picture.name,
            description=picture.description,
            picture=address(picture.id, "small") if self.shared else data_uri(self._small[index]),
            ratio=self._ratios[index],
            shared=self.shared,
        )
