"""What the page searches: anything with the methods of `Searcher`, such as pictures held in memory."""

import io
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image as PillowImage
from space_errors import SpaceError
from space_explain import SIDE, Explanation, explain, jpeg
from space_model import Array, Retriever, widened
from space_pictures import picture_formats, visible_picture

LONGEST_QUERY = 500
MOST_RESULTS = 50
MOST_PIXELS = 24_000_000
# How large pictures may be is decided here.
warnings.filterwarnings("ignore", category=PillowImage.DecompressionBombWarning)


@dataclass(frozen=True)
class Hit:
    """A picture that answers.

    Attributes:
        id: Names the picture within its searcher.
        rank: 1 for the best.
        score: The multi-level score.
        answered_by: Number of the slot, from 1; None for a model without slots.
        name: To show.
        description: What is known about the picture, if anything.
        picture: A small JPEG.
        confidence: How sure the answer is, from 0 to 1; None where that is not known.
    """

    id: str
    rank: int
    score: float
    answered_by: int | None
    name: str
    description: str | None
    picture: bytes
    confidence: float | None = None


class Searcher(Protocol):
    """Pictures that can be searched. Calls come from several threads concurrently."""

    retriever: Retriever

    def __len__(self) -> int:
        """Return the number of pictures."""

    def search(self, text: str, k: int) -> list[Hit]:
        """Return the k pictures that fit a text best, the best first."""

    def more_like(self, id: str, k: int) -> list[Hit]:
        """Return the k other pictures that are most like one."""

    def explain(self, id: str, text: str) -> Explanation:
        """Explain the score of a picture for a text."""


@dataclass(frozen=True)
class Picture:
    """A picture before it is encoded.

    Attributes:
        id: Names it.
        name: To show; never used as a path.
        source: Its file, or its content.
        description: What is known about it, if anything.
    """

    id: str
    name: str
    source: Path | bytes
    description: str | None = None

    def open(self, background: str = "white") -> PillowImage.Image:
        """Decode it; arguments and errors as for `open_picture`."""
        return open_picture(self.source, background)


def open_picture(source: Path | bytes, background: str = "white") -> PillowImage.Image:
    """Return a picture as a person sees it, in RGB; of an animation the first.

    Its content decides what it is, and its size is known before it is decoded.

    Args:
        source: Its file, or its content.
        background: What is seen through transparent parts.

    Raises:
        SpaceError: If it is not a picture of a known kind, is broken, or has too many pixels.
    """
    try:
        content = io.BytesIO(source) if isinstance(source, bytes) else source
        with PillowImage.open(content, formats=picture_formats()) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise PillowImage.DecompressionBombError
            return visible_picture(picture, background)
    except PillowImage.DecompressionBombError as error:
        most = MOST_PIXELS // 10**6
        raise SpaceError(f"it has more than {most} million pixels; make it smaller first") from error
    except Exception as error:  # Decoders that meet hostile bytes raise almost anything.
        raise SpaceError("it is not a picture that can be read; JPEG, PNG, WebP and many others can be") from error


def check_query(text: object) -> str:
    """Return a query as it can be searched for.

    Raises:
        SpaceError: If it is empty, too long, or no text.
    """
    if not isinstance(text, str):
        raise SpaceError("The query has to be a text.")
    # A lone half of a surrogate pair is not a character, and no tokenizer takes it.
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    # Joiners, marks of direction and the like cannot be seen.
    if not any(unicodedata.category(character)[0] in "LNPS" for character in text):
        raise SpaceError("Type what you are looking for, in a word or a sentence.")
    if len(text) > LONGEST_QUERY:
        raise SpaceError(f"The query has {len(text):,} characters; the most is {LONGEST_QUERY}. Make it shorter.")
    return text


def check_count(k: object) -> int:
    """Return the number of results asked for.

    Raises:
        SpaceError: If that is not a number from 1 to 50.
    """
    if isinstance(k, bool) or not isinstance(k, (int, float)) or k != k or not 1 <= k <= MOST_RESULTS:
        raise SpaceError(f"k has to be a number from 1 to {MOST_RESULTS}.")
    return int(k)


def check_confidence(least: object) -> float:
    """Return the least confidence asked for.

    Raises:
        SpaceError: If that is not a number from 0 to 1.
    """
    if isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 <= least <= 1:
        raise SpaceError("The least confidence has to be a number from 0 to 1.")
    return float(least)


def fitting(hits: Sequence[Hit], least: float) -> list[Hit]:
    """Return the answers with at least this confidence.

    Raises:
        SpaceError: If it is not known how sure they are, and that is asked for.
    """
    if least and any(hit.confidence is None for hit in hits):
        raise SpaceError("This model does not say how sure its answers are; set the least confidence to 0.")
    return [hit for hit in hits if not least or (hit.confidence or 0.0) >= least]


class PictureStore:
    """Pictures in memory, with exact search: some thousands need no index.

    Args:
        retriever: The model.
    """

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever
        self._pictures: list[Picture] = []
        self._small: list[bytes] = []
        views = (0, max(retriever.num_slots, 1), int(retriever.model.config.projection_dim))
        self._views = np.empty(views, dtype=np.float32)
        self._images = np.empty((0, views[2]), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def pictures(self) -> list[Hit]:
        """All pictures in their order, with no score."""
        return [self._hit(index, index, 0.0, None) for index in range(len(self))]

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
        self._pictures += pictures
        self._small += [jpeg(image, SIDE) for image in images]
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
        del self._pictures[index], self._small[index]
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

    def search(self, text: str, k: int) -> list[Hit]:
        """Return the k pictures that fit a text best, the best first."""
        hits = self._rank(self.retriever.embed_text(check_query(text)), check_count(k))
        sure = self.retriever.confidence([hit.score for hit in hits], text)
        return [replace(hit, confidence=value) for hit, value in zip(hits, sure)]

    def more_like(self, id: str, k: int) -> list[Hit]:
        """Return the k other pictures most like one: its whole-image embedding is the query."""
        index = self._index(id)
        others = [hit for hit in self._rank(self._images[index], check_count(k) + 1) if hit.id != id][:k]
        return [replace(hit, rank=rank) for rank, hit in enumerate(others, start=1)]

    def explain(self, id: str, text: str) -> Explanation:
        """Explain the score of a picture for a text."""
        picture = self.picture(id)
        image = picture.open(self.retriever.background)
        query = self.retriever.embed_text(check_query(text))
        inputs = self.retriever.inputs([image], [picture.description])
        return explain(self.retriever, inputs, query, picture.name, picture.description, image)

    def _index(self, id: object) -> int:
        for index, picture in enumerate(self._pictures):
            if picture.id == id:
                return index
        raise SpaceError("There is no picture with this id.")

    def _rank(self, query: Array, k: int) -> list[Hit]:
        similarities = self._views @ query
        scores = similarities.max(axis=1) if len(self) else np.empty(0)
        order = np.argsort(-scores, kind="stable")[:k]
        return [
            self._hit(index, rank, float(scores[index]), int(similarities[index].argmax()))
            for rank, index in enumerate(order.tolist())
        ]

    def _hit(self, index: int, rank: int, score: float, view: int | None) -> Hit:
        picture = self._pictures[index]
        slot = None if view is None or not self.retriever.has_slots else view + 1
        return Hit(picture.id, rank + 1, score, slot, picture.name, picture.description, self._small[index])
