"""The pictures and videos of a gallery as the Space shows them: which there are, and what each looks like."""

import dataclasses
import io
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from PIL import Image as PillowImage

from processing.facts import Facts

from ..drawing.thumbnail import jpeg_thumbnail
from ..errors import UserError
from ..gallery.filters import parse_filter
from ..gallery.results import Result, existing_file, file_of
from ..gallery.store.catalogue import Item, select_items, sources_of
from ..gallery.store.facts import facts_of, taken_text
from ..gallery.store.moments import Moment, count_moments, moments_of
from ..gallery.thumbnails import open_item, stored_thumbnail
from .space import space

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from ..gallery import Gallery
    from ..gallery.store.state import State

NO_THUMBNAIL = PillowImage.new("RGB", (32, 32), "gray")
GOOD, BEST = 80, 90
"""JPEG qualities of pictures in the grid, and on the whole screen."""
TAKEN = "(SELECT taken FROM facts WHERE facts.number = items.number)"
CHANGED = "strftime('%Y-%m-%dT%H:%M:%S', time / 1000000000, 'unixepoch')"
# Where nothing is asked for, a video is shown once, and not each of its shots.
IS_FIRST = "number NOT IN (SELECT number FROM moments WHERE begins > 0)"


@dataclasses.dataclass(frozen=True)
class Found:
    """An item, and what there is to show of it.

    Attributes:
        item: The item.
        file: Its file, if it exists.
        small: Its thumbnail, if it has one.
        moment: When it begins and ends, if it is a shot.
        facts: What its file says.
    """

    item: Item
    file: "Path | None"
    small: PillowImage.Image | None
    moment: Moment | None
    facts: Facts


class GalleryPictures:
    """A gallery with those methods of the Space's `Searcher` that need no model.

    Args:
        gallery: An open gallery.
        background: What is seen through transparent parts.
    """

    def __init__(self, gallery: "Gallery", background: str) -> None:
        self.gallery = gallery
        self.background = background
        self._facets: tuple[State, Any] | None = None

    def __len__(self) -> int:
        """Return how many pictures and videos there are; of a long video the gallery has several shots."""
        with self.gallery.catalogue.reading() as connection:
            shots, videos = count_moments(connection)
        return len(self.gallery) - shots + videos

    def browse(self, k: int, filters: Any = None) -> list[Any]:
        """Return k items, the newest first: by when they were taken, or else by when the file was changed."""
        where = None if filters is None else condition(filters)
        passes, values = ("TRUE", []) if where is None else parse_filter(where)
        order = f"coalesce({TAKEN}, {CHANGED}) DESC, number"
        rows = f"SELECT number FROM items WHERE {passes} AND {IS_FIRST} ORDER BY {order} LIMIT ?"
        with self.gallery.catalogue.reading() as connection:
            numbers = [number for (number,) in connection.execute(rows, [*values, k])]
            return self._browsed(connection, numbers, {})

    def choose(self, ids: Sequence[str]) -> list[Any]:
        """Return the items with these ids; ids of no item are left out."""
        numbers = [number for number in dict.fromkeys(map(number_of, ids)) if number >= 0]
        with self.gallery.catalogue.reading() as connection:
            return self._browsed(connection, numbers, moments_of(connection, numbers))

    def _browsed(
        self, connection: "sqlite3.Connection", numbers: Sequence[int], moments: dict[int, Moment]
    ) -> list[Any]:
        items = {item.number: item for number in numbers for item in select_items(connection, "number = ?", [number])}
        ordered = [items[number] for number in numbers if number in items]
        ratios = self._ratios(connection, numbers)
        return [
            self._hit(item, rank, ratios, **_times(moments.get(item.number)))
            for rank, item in enumerate(ordered, start=1)
        ]

    def facets(self) -> Any:
        """Return what the items can be filtered by; looked up again only after the gallery has changed."""
        state = self.gallery.state
        if self._facets is None or self._facets[0] != state:
            rows = f"SELECT path, kind, {TAKEN} FROM items"
            with self.gallery.catalogue.reading() as connection, closing(connection.execute(rows)) as found:
                named = ((path, kind, _year(taken)) for path, kind, taken in found)
                facets = space("filters").facets_of(named)
            self._facets = state, dataclasses.replace(facets, has_duplicates=len(self) > 1)
        return self._facets[1]

    def small(self, id: str) -> bytes:
        """Return a JPEG for the grid."""
        return self._jpeg(id, space("files").SMALL_SIDE, GOOD)

    def large(self, id: str) -> bytes:
        """Return a JPEG that fills a screen."""
        return self._jpeg(id, space("files").LARGE_SIDE, BEST)

    def original(self, id: str) -> Any:
        """Return the item's file; None where it no longer exists, or is a part of a data set."""
        file = self.find(id).file
        return None if file is None else space("search").Original(file.name, file)

    def facts(self, id: str) -> list[tuple[str, str]]:
        """Return what is known about the item's file: names and values."""
        found = self.find(id)
        known = dict(_told(found.facts))
        if found.moment is not None:
            known["Shot"] = str(found.moment)
        own = [] if found.file is None else space("facts").file_facts(found.file)
        return list({**dict(own), **known}.items())

    def _jpeg(self, id: str, side: int, quality: int) -> bytes:
        """Return a picture of at most `side` pixels; the stored one where the file is gone or broken."""
        found = self.find(id)
        picture = found.small or NO_THUMBNAIL
        if found.file is not None:
            with suppress(UserError):
                picture = open_item(found.item, found.file, self.background, found.moment, side)
        return jpeg_thumbnail(picture, side, quality)

    def _hit(self, shown: "Item | Result", rank: int, ratios: dict[int, float], **answer: Any) -> Any:
        """Return an item as the page shows it.

        Args:
            shown: An item or a result.
            rank: 1 for the first.
            ratios: Width through height by the items' numbers.
            **answer: Fields that only answers have.
        """
        id = str(shown.number)
        fields = {"score": 0.0, "answered_by": None, **answer}
        return space("search").Hit(
            id=id,
            rank=rank,
            name=shown.path,
            description=shown.description,
            picture=space("files").address(id, "small"),
            ratio=ratios.get(shown.number, 1.0),
            kind=shown.kind,
            shared=True,
            **fields,
        )

    def _ratios(self, connection: "sqlite3.Connection", numbers: Iterable[int]) -> dict[int, float]:
        """Return width through height of items, as their stored pictures tell."""
        ratios = {}
        for number in numbers:
            row = connection.execute("SELECT picture FROM thumbnails WHERE number = ?", [number]).fetchone()
            try:
                with PillowImage.open(io.BytesIO(row[0] if row else b""), formats=["JPEG"]) as picture:
                    ratios[number] = picture.width / picture.height
            except (OSError, ValueError, SyntaxError):
                # A picture that is missing or broken is shown as a square.
                ratios[number] = 1.0
        return ratios

    def find(self, id: str) -> Found:
        """Return an item.

        Raises:
            SpaceError: If there is none with this id.
        """
        number = number_of(id)
        with self.gallery.catalogue.reading() as connection:
            items = select_items(connection, "number = ?", [number])
            sources = sources_of(connection)
            moment = moments_of(connection, [number]).get(number)
            facts = facts_of(connection, [number]).get(number, Facts())
        if not items:
            raise space("errors").SpaceError("There is no picture with this id.")
        [item] = items
        small = None
        # The file, if it exists, does as well.
        with suppress(UserError):
            small = stored_thumbnail(self.gallery.catalogue, number, item.id)
        return Found(item, existing_file(file_of(item, sources), item.path), small, moment, facts)


def _times(moment: Moment | None) -> dict[str, float]:
    return {} if moment is None else {"start": moment.start, "end": moment.end}


def _year(taken: Any) -> int | None:
    """Return the year of a stored time, which a gallery from elsewhere may have written in any form."""
    year = taken[:4] if isinstance(taken, str) else ""
    return int(year) if len(year) == 4 and year.isascii() and year.isdecimal() and year > "0000" else None


def _told(facts: Facts) -> list[tuple[str, str]]:
    """Return what a file says, named as on the page."""
    place = (facts.latitude, facts.longitude)
    told = [
        ("Taken", _taken(facts)),
        ("Camera", facts.camera),
        ("Place", "" if None in place else f"{facts.latitude:.5f}, {facts.longitude:.5f}"),
        ("Title", facts.title),
        ("Keywords", facts.keywords),
        ("Caption", facts.caption),
    ]
    return [(name, value) for name, value in told if value]


def _taken(facts: Facts) -> str:
    """Return when a picture was taken as the page writes it, such as `2024-06-01 18:30 UTC+02:00`."""
    text = taken_text(facts) or ""
    return text[:16].replace("T", " ") + (f" UTC{text[19:]}" if text[19:] else "")


def number_of(id: str) -> int:
    """Return an item's number from its id on the page, which comes from the browser; -1 if it is none."""
    return int(id) if id.isascii() and id.isdecimal() and len(id) < 19 else -1


def condition(filters: Any) -> str | None:
    """Return the gallery's filter for what a visitor chose; None where that is nothing.

    Args:
        filters: `Filters` of the Space, whose values are among those that the page offers.
    """
    parts = []
    if filters.kind:
        parts.append(f"kind={filters.kind}")
    if filters.folder:
        if '"' in filters.folder and "'" in filters.folder:
            raise space("errors").SpaceError("A folder with both kinds of quotes in its name cannot be filtered by.")
        quote = "'" if '"' in filters.folder else '"'
        # The character after the slash is the zero: between them is all that is in the folder.
        parts += [f"path>={quote}{filters.folder}/{quote}", f"path<{quote}{filters.folder}0{quote}"]
    if filters.since is not None:
        parts.append(f"taken>={filters.since:04d}")
    if filters.until is not None:
        parts.append(f"taken<={filters.until:04d}")
    return " and ".join(parts) or None
