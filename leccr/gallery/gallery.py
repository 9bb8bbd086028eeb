"""A gallery: pictures and videos, encoded once, that texts in any language, or pictures, search."""

import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from processing.device import check_names
from processing.errors import BrokenFileError

from ..errors import UserError
from .changes import GalleryChanges
from .confidence import check_confidence, fitting
from .filters import parse_filter
from .options import RERANKED, IndexOptions, SearchOptions
from .results import Result
from .retrieval import Queries, embed_queries, retrieve
from .sorting import in_order
from .store.catalogue import VIDEO, Catalogue, read_state, sources_of
from .store.snapshot import Snapshot
from .store.state import State

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from ..models.encoder import Encoder
    from ..models.reranker import Reranker
    from .add import AddReport

Texts = list[str] | tuple[str, ...]


class Gallery(GalleryChanges):
    """Searches and changes a gallery. Reads may come from several threads at once, and from several processes.

    A search sees one complete state of the gallery, the last one committed before it started; so an open gallery finds
    what other processes add.

    Args:
        folder: The gallery's folder.
        model: Checkpoint, or a loaded encoder, for texts and pictures; by default the checkpoint that the gallery
            names, loaded when it is first needed.
        approximate: Whether to use the approximate index if the gallery has one.
        device: Where a checkpoint is loaded, as for `processing.device.choose_device`.
        dtype: Its precision, as for `processing.device.choose_dtype`.
        trust_remote_code: Run code that a checkpoint carries, if it is of a kind that the libraries do not know.

    Raises:
        UserError: If there is no gallery, it has another format, or there is no device of that name.
    """

    def __init__(
        self,
        folder: str | Path,
        model: "str | Encoder | None" = None,
        approximate: bool = True,
        device: str = "auto",
        dtype: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.approximate = approximate
        self.report: AddReport | None = None
        self.catalogue = Catalogue(self.folder)
        self._model = model
        check_names(device, dtype)
        self.device = device
        self._loading: dict[str, Any] = {"device": device, "dtype": dtype, "trust_remote_code": trust_remote_code}
        self._encoder: Encoder | None = None
        self._rerankers: dict[tuple[str, str | None], Reranker] = {}
        self._lock = threading.RLock()
        self._cached: Snapshot | None = None
        # A gallery of another format is refused immediately.
        self.state  # noqa: B018

    @classmethod
    def open(cls, folder: str | Path, model: "str | Encoder | None" = None, **options: Any) -> Self:
        """Open a gallery; arguments as for the class."""
        return cls(folder, model, **options)

    @classmethod
    def build(cls, source: str | Path, model: "str | Encoder", folder: str | Path, **options: Any) -> Self:
        """Index a source into a new gallery, or resume an earlier call that was stopped.

        Args:
            source: Folder of photos and videos, prepared data set, or name of a data set on the Hub.
            model: Checkpoint, or a loaded encoder.
            folder: The gallery's folder.
            **options: Fields of `leccr.gallery.options.IndexOptions`.

        Returns:
            The gallery; what became of the candidates is in its `report`.
        """
        from .build import build_gallery

        encoder, report = build_gallery(str(source), model, Path(folder), IndexOptions(**options))
        gallery = cls(folder, encoder, device=options.get("device", "auto"))
        gallery.report = report
        return gallery

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return self.state.items

    def close(self) -> None:
        """Close this thread's connection; searching again opens a new one."""
        self._cached = None
        self.catalogue.close()

    @property
    def state(self) -> State:
        """The last complete state."""
        with self.catalogue.reading() as connection:
            return read_state(connection, str(self.folder))

    @property
    def sources(self) -> dict[int, tuple[str, str]]:
        """Kind and location of each source by its number."""
        with self.catalogue.reading() as connection:
            return sources_of(connection)

    @property
    def encoder(self) -> "Encoder":
        """The gallery's model, loaded at first use.

        Raises:
            UserError: If it cannot be loaded, or is not the one that made the views.
        """
        with self._lock:
            if self._encoder is None:
                from .build import load_encoder

                self._encoder = load_encoder(self._model, self.state, str(self.folder), **self._loading)
            return self._encoder

    @overload
    def search(
        self,
        query: "str | np.ndarray",
        k: int = 10,
        where: str | None = None,
        min_confidence: float | None = None,
        **options: Any,
    ) -> list[Result]: ...

    @overload
    def search(
        self,
        query: Texts,
        k: int = 10,
        where: str | None = None,
        min_confidence: float | None = None,
        **options: Any,
    ) -> list[list[Result]]: ...

    def search(
        self,
        query: Any,
        k: int = 10,
        where: str | None = None,
        min_confidence: float | None = None,
        **options: Any,
    ) -> Any:
        """Find the items that match a text, in any language.

        Args:
            query: A text, or an embedding (D,) from `get_text_features`; or several texts, or embeddings (Q, D).
            k: Number of results; fewer come back if the gallery has fewer items.
            where: A filter over the stored columns, such as `path~holiday and kind=video`.
            min_confidence: Leave out answers to texts that are less sure, from 0 to 1.
            **options: Further fields of `leccr.gallery.options.SearchOptions`.

        Returns:
            Results, best first; one list per query if there are several queries.

        Raises:
            UserError: If a text is empty, the filter is not understood, k or the confidence is out of range, or it is
                not known how sure answers are.

        Warns:
            UnreadableQueryWarning: If the model does not know half of a text's tokens or more.
        """
        if k < 1:
            raise UserError(f"k is {k}, but has to be at least 1.")
        chosen = SearchOptions(where, **options)
        if where is not None:
            # Before the model is loaded.
            parse_filter(where)
        check_confidence(min_confidence)
        reranker = self._reranker(chosen)
        queries = embed_queries(query, lambda: self.encoder)
        count = k if reranker is None else max(k, RERANKED)
        with self.catalogue.reading() as connection:
            found = retrieve(connection, self.snapshot(connection), queries, count, chosen, lambda: self.encoder)
        if reranker is not None:
            found = self._reranked(reranker, queries, found, k)
        found = [in_order(own, chosen.sort) for own in found]
        results = [fitting(own, min_confidence) for own in found]
        return results[0] if queries.single else results

    def _reranker(self, options: SearchOptions) -> "Reranker | None":
        """Return the reranker that a search asks for, loaded at first use."""
        name, endpoint = options.rerank_with, options.rerank_endpoint
        if not isinstance(name, str):
            return name
        from ..models.reranker import Reranker

        with self._lock:
            if (name, endpoint) not in self._rerankers:
                self._rerankers[name, endpoint] = Reranker.load(name, **self._loading, endpoint=endpoint)
            return self._rerankers[name, endpoint]

    def _reranked(
        self, reranker: "Reranker", queries: Queries, found: list[list[Result]], k: int
    ) -> list[list[Result]]:
        from .reranking import rerank

        if queries.texts is None:
            raise UserError("Answers to pictures and embeddings cannot be reranked; ask with a text.")
        asked = zip(queries.texts, found, strict=True)
        return [rerank(reranker, text, own, self.thumbnail, RERANKED)[:k] for (text, _), own in asked]

    def search_by_image(
        self,
        image: "str | Path | PillowImage.Image",
        k: int = 10,
        where: str | None = None,
        description: str | None = None,
        **options: Any,
    ) -> list[Result]:
        """Find the items that look like a picture or a video, whose whole-image embedding is the query.

        Args:
            image: A picture, or the file of a picture or a video.
            k: Number of results.
            where: A filter over the stored columns.
            description: What the picture shows, for models that use descriptions.
            **options: Further fields of `leccr.gallery.options.SearchOptions`.

        Raises:
            UserError: If the file is broken.
        """
        from .candidates import kind_of

        row: dict[str, Any] = {"id": str(image), "image": None, "video": None, "description": description}
        try:
            if isinstance(image, (str, Path)) and kind_of(image) == VIDEO:
                row["video"] = str(image)
            else:
                row["image"] = self.encoder.open_picture(str(image) if isinstance(image, Path) else image)
            embed = self.encoder.image(self.encoder.as_taken(row))
        except BrokenFileError as error:
            # There are no others, so that it could be skipped.
            raise UserError(f"{error.problem}; search with another picture or video.") from error
        return self.search(embed, k, where, **options)

    def thumbnail(self, result: Result) -> "PillowImage.Image | None":
        """Return the stored small picture of a result; None if it has none, or is no longer in the gallery.

        Raises:
            UserError: If what is stored is not a picture.
        """
        from .thumbnails import stored_thumbnail

        return stored_thumbnail(self.catalogue, result.number, result.id)

    def snapshot(self, connection: Any) -> Snapshot:
        """Return what is needed to search the state that a connection sees; opened again after a change."""
        cached = self._cached
        if cached is None or not cached.is_current(connection):
            cached = self._cached = Snapshot.open(connection, self.folder, self.approximate)
        return cached
