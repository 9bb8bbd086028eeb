"""The small pictures that a gallery stores: finding broken ones, and making them again from their files."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image as PillowImage
from tqdm.auto import tqdm

from processing.images import open_image
from processing.shots import span_at
from processing.video import open_frames

from ..drawing.thumbnail import SIDE, jpeg_thumbnail
from ..errors import UserError
from .results import existing_file, file_of
from .store.catalogue import VIDEO, Catalogue, Item, select_items, sources_of
from .store.moments import Moment, moments_of

ITEMS_PER_BLOCK = 1024


def stored_thumbnail(catalogue: Catalogue, number: int, name: str = "") -> PillowImage.Image | None:
    """Return the small picture of an item; None if it has none, or there is no such item.

    Args:
        catalogue: The gallery's catalogue.
        number: The item's key.
        name: Its id, for the message.

    Raises:
        UserError: If what is stored is not a picture.
    """
    with catalogue.reading() as connection:
        row = connection.execute("SELECT picture FROM thumbnails WHERE number = ?", (number,)).fetchone()
    return None if row is None else open_image({"bytes": row[0], "path": None}, name)


def broken_thumbnails(catalogue: Catalogue) -> list[Item]:
    """Return the items whose small picture cannot be decoded."""
    broken: list[int] = []
    last = -1
    with tqdm(desc="Checking thumbnails", unit="item") as progress:
        while True:
            with catalogue.reading() as connection:
                query = "SELECT number, picture FROM thumbnails WHERE number > ? ORDER BY number LIMIT ?"
                rows = connection.execute(query, [last, ITEMS_PER_BLOCK]).fetchall()
            if not rows:
                break
            broken += [number for number, content in rows if not _opens(content)]
            last = rows[-1][0]
            progress.update(len(rows))
    with catalogue.reading() as connection:
        return [item for number in broken for item in select_items(connection, "number = ?", [number])]


def make_thumbnails_again(catalogue: Catalogue, items: Sequence[Item], background: str) -> int:
    """Make the small pictures of items again, and remove those of items without a readable file.

    Args:
        catalogue: The gallery's catalogue.
        items: Items whose small pictures are broken.
        background: What is seen through transparent parts.

    Returns:
        How many were removed.
    """
    with catalogue.reading() as connection:
        sources = sources_of(connection)
        moments = moments_of(connection, [item.number for item in items])
    files = {item.number: existing_file(file_of(item, sources), item.path) for item in items}
    made = {item.number: _thumbnail(item, files[item.number], background, moments.get(item.number)) for item in items}
    with catalogue.writing() as connection:
        for number, content in made.items():
            if content is None:
                connection.execute("DELETE FROM thumbnails WHERE number = ?", [number])
            else:
                connection.execute("UPDATE thumbnails SET picture = ? WHERE number = ?", [content, number])
    return sum(content is None for content in made.values())


def _thumbnail(item: Item, file: Path | None, background: str, moment: Moment | None) -> bytes | None:
    try:
        return None if file is None else jpeg_thumbnail(open_item(item, file, background, moment, SIDE))
    except UserError:
        return None


def open_item(item: Item, file: Path, background: str, moment: Moment | None, side: int) -> PillowImage.Image:
    """Return the picture of an item, or the frame in the middle of its video or shot.

    Args:
        item: The item.
        file: Its file.
        background: What is seen through transparent parts.
        moment: When the shot begins and ends, if it is one.
        side: Pixels of the shorter side that suffice.

    Raises:
        UserError: If the file is broken.
    """
    if item.kind != VIDEO:
        return open_image(str(file), item.id, background, side)
    span = None if moment is None else span_at(file, moment.start, moment.end)
    [frame] = open_frames(file, 1, background, span)
    return frame


def _opens(content: bytes) -> bool:
    try:
        open_image({"bytes": content, "path": None})
    except UserError:
        return False
    return True
