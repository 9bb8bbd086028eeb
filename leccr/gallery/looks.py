"""What tells near duplicates from pictures that only show the same things: how their thumbnails look in the small."""

import sqlite3
from collections.abc import Sequence

import numpy as np
from PIL import Image as PillowImage

from ..errors import UserError
from .store.snapshot import Snapshot

# As `benchmarks/duplicates.py` measures; other photos of Flickr8k are 0.07 apart at least.
LIMIT = 0.04
SIDE = 12
# A copy may show less than the original does.
SHARES = (1.0, 0.9, 0.8)
# What compression changes in pictures that show next to nothing: four of 256 levels.
NOISE = 4.0**2 * SIDE * SIDE * 3
POSITIONS_PER_QUERY = 500


def look_of(picture: PillowImage.Image) -> np.ndarray:
    """Return a picture and its middle in a few pixels, (shares, side, side, 3), uint8."""
    looks = []
    for share in SHARES:
        left, top = picture.width * (1 - share) / 2, picture.height * (1 - share) / 2
        box = (left, top, picture.width - left, picture.height - top)
        looks.append(np.asarray(picture.convert("RGB").resize((SIDE, SIDE), PillowImage.Resampling.BOX, box)))
    return np.stack(looks)


def look_distances(look: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return how differently pictures look: 0 is the same, and about 1 is usual.

    It is the squared difference of their pixels by what the pixels of each differ from their own mean; of one picture
    and parts of the other, mirrored or not, the least.

    Args:
        look: As `look_of` returns it.
        others: Several of them, (n, shares, side, side, 3).

    Returns:
        Distances (n,).
    """
    look, others = look.astype(np.float32), others.astype(np.float32)
    least = np.full(len(others), np.inf, np.float32)
    for own in range(len(SHARES)):
        for other in range(len(SHARES)):
            # Of two parts neither is the whole of anything.
            if own and other:
                continue
            second = others[:, other]
            spread = _spread(look[own][None]) + _spread(second) + NOISE
            for first in (look[own], look[own][:, ::-1]):
                least = np.minimum(least, np.square(second - first).sum(axis=(1, 2, 3)) / spread)
    return least


def _spread(pictures: np.ndarray) -> np.ndarray:
    return np.square(pictures - pictures.mean(axis=(1, 2), keepdims=True)).sum(axis=(1, 2, 3))


class Looks:
    """How the items of a gallery look, by their thumbnails; each is looked at once for a state.

    Args:
        connection: A connection that sees the state.
        snapshot: The state.
    """

    def __init__(self, connection: sqlite3.Connection, snapshot: Snapshot) -> None:
        self._connection = connection
        self._known: dict[int, np.ndarray | None] = snapshot.once("looks", dict)

    def distances(self, position: int, others: Sequence[int]) -> np.ndarray:
        """Return how differently an item and others look, (n,); NaN where one of them has no thumbnail."""
        self._read([position, *others])
        found = np.full(len(others), np.nan, np.float32)
        look = self._known.get(position)
        rows = [self._known.get(other) for other in others]
        seen = [index for index, row in enumerate(rows) if row is not None]
        if look is not None and seen:
            found[seen] = look_distances(look, np.stack([row for row in rows if row is not None]))
        return found

    def _read(self, positions: Sequence[int]) -> None:
        new = sorted(set(positions).difference(self._known))
        for start in range(0, len(new), POSITIONS_PER_QUERY):
            block = new[start : start + POSITIONS_PER_QUERY]
            marks = ",".join("?" * len(block))
            query = f"SELECT position, picture FROM items JOIN thumbnails USING (number) WHERE position IN ({marks})"
            self._known.update(dict.fromkeys(block))
            for position, content in self._connection.execute(query, block):
                self._known[position] = _look(content)


def _look(content: bytes) -> np.ndarray | None:
    # Imports torch, which commands that only read the catalogue do without.
    from processing.images import open_image

    try:
        return look_of(open_image({"bytes": content, "path": None}))
    except UserError:
        # A check finds it and says so.
        return None
