"""A gallery that `leccr index` wrote, searched from the Space."""

import warnings
from typing import TYPE_CHECKING, Any

from PIL import Image as PillowImage

from processing.sentences import split_sentences
from processing.shots import span_at

from ..gallery.query_words import words_of_query
from ..gallery.results import WHOLE_IMAGE, Result, UnreadableQueryWarning
from ..gallery.store.catalogue import VIDEO, Item
from ..models.model_encoder import ModelEncoder
from .pictures import GalleryPictures, condition
from .retriever import make_retriever
from .space import space

if TYPE_CHECKING:
    from ..gallery import Gallery

SIDE = 288


class GallerySearcher(GalleryPictures):
    """A gallery with the methods that the Space asks for (see `Searcher` in `spaces/space_search.py`).

    Args:
        gallery: An open gallery.
    """

    def __init__(self, gallery: "Gallery") -> None:
        # The page says itself what the model cannot read, and a visitor's queries are not for the log.
        warnings.simplefilter("ignore", UnreadableQueryWarning)
        self.retriever = make_retriever(gallery.encoder)
        super().__init__(gallery, gallery.encoder.background)

    def search(self, text: str, k: int, filters: Any = None) -> list[Any]:
        """Return the k items that fit a text best, the best first; near duplicates only where filters ask for them."""
        where = None if filters is None else condition(filters)
        return self._shown(self.gallery.search(text, k, where, folded=filters is None or not filters.alike))

    def descriptions(self, most: int = 1000) -> list[str]:
        """Return the descriptions of the first items that have one."""
        rows = "SELECT description FROM items WHERE description != '' ORDER BY number LIMIT ?"
        with self.gallery.catalogue.reading() as connection:
            return [text for (text,) in connection.execute(rows, [most])]

    def more_like(self, id: str, k: int) -> list[Any]:
        """Return the k other items that are most like one."""
        item, row, _ = self._open(id)
        results = self.gallery.search(self.gallery.encoder.image(row), k + 1)
        # Of a long video another shot may be the best.
        same = [each.number == item.number or (each.start is not None and each.path == item.path) for each in results]
        others = [result for result, is_same in zip(results, same) if not is_same]
        return self._shown(others[:k])

    def explain(self, id: str, text: str) -> Any:
        """Explain the score of an item for a text."""
        encoder = self.gallery.encoder
        item, row, picture = self._open(id)
        inputs, description = self._inputs(row), item.description
        # As for a search: the model does not read quotes.
        text = words_of_query(text).text
        if self.retriever.has_sentences:
            # The page tells them apart by lines.
            description = "\n".join(split_sentences(description)) or None
        return space("explain").explain(
            self.retriever, inputs, encoder.texts([text])[0], item.path, description, picture
        )

    def _inputs(self, row: dict[str, Any]) -> Any:
        """Return what the Space's `explain` takes for a row."""
        encoder = self.gallery.encoder
        if isinstance(encoder, ModelEncoder):
            return self.retriever.on_device(encoder.collator.image_inputs([row]))
        return [(encoder.prepare(row), row["description"])]

    def _shown(self, results: list[Result]) -> list[Any]:
        with self.gallery.catalogue.reading() as connection:
            ratios = self._ratios(connection, [result.number for result in results])
        return [
            self._hit(
                result,
                rank,
                ratios,
                score=result.score,
                answered_by=None if result.answered_by == WHOLE_IMAGE else result.view + 1,
                confidence=result.confidence,
                start=result.start,
                end=result.end,
                alike=len(result.alike),
                words=result.words,
            )
            for rank, result in enumerate(results, start=1)
        ]

    def _open(self, id: str) -> tuple[Item, dict[str, Any], PillowImage.Image]:
        """Return an item, its row for the collator, and a picture to show; its thumbnail where the file is gone."""
        error_class = space("errors").SpaceError
        found = self.find(id)
        item, file = found.item, found.file
        row: dict[str, Any] = {"id": item.id, "image": None, "video": None, "description": item.description}
        try:
            if file is not None and item.kind == VIDEO:
                moment = found.moment
                span = None if moment is None else span_at(file, moment.start, moment.end)
                shown = found.small or PillowImage.new("RGB", (SIDE, SIDE))
                return item, self.gallery.encoder.as_taken({**row, "video": str(file), "span": span}), shown
            picture = found.small if file is None else self.gallery.encoder.open_picture(str(file), item.id)
        except ValueError as error:
            raise error_class("The picture's file is broken.") from error
        if picture is None:
            raise error_class("The picture's file no longer exists.")
        return item, {**row, "image": picture}, picture
