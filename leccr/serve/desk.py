"""Answers clients' questions from one gallery: batches for the model, and threads for everything that waits."""

import asyncio
import re
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from ..drawing.thumbnail import jpeg_thumbnail
from ..errors import UserError
from ..gallery.options import SearchOptions
from ..gallery.results import Result, UnreadableQueryWarning
from ..gallery.thumbnails import stored_thumbnail
from ..hub.handler import opened_picture
from .batching import Batcher
from .errors import UnavailableError
from .metrics import Metrics
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..gallery import Gallery

THUMBNAIL_QUALITY = 85
# A text may begin with this word, too.
DATA_URL = re.compile(r"data:([^\s,;/]+/[^\s,;]+)?(;[^\s,;]+)*(,|$)", re.IGNORECASE)
# Decoded at the same time: some models want pictures in all their detail, which takes 150 MB for the largest.
MOST_PICTURES_HELD = 8
Value = TypeVar("Value")


class Query(NamedTuple):
    """A text to search for; those that differ in nothing else are searched for together."""

    text: str
    k: int
    options: SearchOptions


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        results: Best first.
        unknown: Share of the query's tokens that the model does not know; None for a picture.
    """

    results: list[Result]
    unknown: float | None


class Desk:
    """Where questions are handed in.

    Args:
        gallery: An open gallery.
        settings: Sizes of batches.
        metrics: Told the sizes of batches.
    """

    def __init__(self, gallery: "Gallery", settings: Settings, metrics: Metrics) -> None:
        self.gallery, self.settings, self.metrics = gallery, settings, metrics
        # Clients are told what the model cannot read, and their queries are not for the log.
        warnings.simplefilter("ignore", UnreadableQueryWarning)
        self.encoder = gallery.encoder
        self.name = _public_name(self.encoder.name)
        self._model, self._decoders, self._readers = (ThreadPoolExecutor(threads) for threads in (1, 2, 2))
        self._held = asyncio.Semaphore(MOST_PICTURES_HELD)
        self._texts: Batcher[str, np.ndarray] = self._batcher("texts", self._embed_texts)
        self._pictures: Batcher[Any, np.ndarray] = self._batcher("pictures", self._embed_pictures)
        self._queries: Batcher[Query, Found] = self._batcher("queries", self._search)

    def close(self) -> None:
        """Give up what nobody waits for any more."""
        for executor in (self._model, self._decoders, self._readers):
            executor.shutdown(wait=False, cancel_futures=True)

    async def embed(self, inputs: Sequence[str]) -> np.ndarray:
        """Return the embeddings (n, D) of texts, and of pictures as data URLs, in their order.

        Raises:
            UserError: If one of the pictures is broken.
        """
        embedded = iter([await self._embed_picture(each) for each in inputs if is_picture(each)])
        texts = iter(await self._texts.ask_all([each for each in inputs if not is_picture(each)]))
        return np.stack([next(embedded if is_picture(each) else texts) for each in inputs])

    async def search(self, text: str, k: int, options: SearchOptions) -> Found:
        """Return the k items that fit a text best, of those that the options leave."""
        return await self._queries.ask(Query(text, k, options))

    async def search_by_picture(self, picture: str, k: int, options: SearchOptions) -> Found:
        """Return the k items that look most like a picture, a data URL."""
        [embedding] = await self.embed([picture])
        return await self._run(self._model, self._search_by_embedding, embedding, k, options)

    async def thumbnail(self, number: int) -> bytes | None:
        """Return the stored small picture of an item as a JPEG; None if there is none, or it is broken."""
        return await self.read(self._thumbnail, number)

    async def count(self) -> int:
        """Return the number of items.

        Raises:
            UnavailableError: If the gallery cannot be read.
        """
        return await self.read(self._count)

    async def read(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Run what would hold up the event loop in a thread, however busy the model is."""
        return await self._run(self._readers, function, *arguments)

    async def _embed_picture(self, picture: str) -> np.ndarray:
        async with self._held:
            return await self._pictures.ask(await self._run(self._decoders, self._prepare, picture))

    async def _run(self, executor: Executor, function: Callable[..., Value], *arguments: Any) -> Value:
        return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)

    def _batcher(self, of: str, answer: Callable[[list[Any]], Any]) -> Batcher[Any, Any]:
        return Batcher(answer, self._model, self.settings.batch_size, lambda size: self.metrics.batch(of, size))

    def _embed_texts(self, texts: list[str]) -> np.ndarray:
        with _no_fault_of_clients():
            return self.encoder.texts(texts, progress=False)

    def _embed_pictures(self, prepared: list[Any]) -> np.ndarray:
        with _no_fault_of_clients():
            return self.encoder.whole_images(prepared, [None] * len(prepared))

    def _prepare(self, picture: str) -> Any:
        """Return what the model takes for a data URL. It is decoded here, and no address is ever fetched."""
        try:
            sent = opened_picture(picture)
        except ValueError as error:
            raise UserError(str(error)) from error
        opened = self.encoder.open_picture(sent, "picture")
        return self.encoder.prepare({"id": "picture", "image": opened, "video": None, "description": None})

    def _search(self, queries: list[Query]) -> list[Found]:
        alike: dict[tuple[int, SearchOptions], list[int]] = {}
        for position, query in enumerate(queries):
            alike.setdefault((query.k, query.options), []).append(position)
        unknown = self.encoder.unknown_shares([query.text for query in queries])
        found: dict[int, Found] = {}
        for (k, options), positions in alike.items():
            texts = [queries[position].text for position in positions]
            with _no_fault_of_clients():
                answered = self.gallery.search(texts, k, **vars(options))
            found |= {position: Found(each, unknown[position]) for position, each in zip(positions, answered)}
        return [found[position] for position in range(len(queries))]

    def _search_by_embedding(self, embedding: np.ndarray, k: int, options: SearchOptions) -> Found:
        with _no_fault_of_clients():
            return Found(self.gallery.search(embedding, k, **vars(options)), None)

    def _thumbnail(self, number: int) -> bytes | None:
        try:
            picture = stored_thumbnail(self.gallery.catalogue, number)
        except UserError:
            return None
        # Written anew: what others stored as a picture could be a page with scripts to a browser.
        return None if picture is None else jpeg_thumbnail(picture, quality=THUMBNAIL_QUALITY)

    def _count(self) -> int:
        with _no_fault_of_clients():
            return len(self.gallery)


def is_picture(text: str) -> bool:
    """Return whether an input is a data URL, and not a text to embed."""
    return DATA_URL.match(text) is not None


def _public_name(model: str) -> str:
    """Return a model's name without the folders of this machine."""
    return Path(model).name if Path(model).is_dir() else model


@contextmanager
def _no_fault_of_clients() -> "Iterator[None]":
    """Tell what is wrong with the gallery or the model from what is wrong with a request, which was checked before."""
    try:
        yield
    except UserError as error:
        raise UnavailableError from error
