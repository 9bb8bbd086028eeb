"""What the page searches: anything with the methods of `Searcher`, such as pictures held in memory."""

import io
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image as PillowImage
from space_errors import SpaceError
from space_explain import Explanation
from space_filters import NO_FILTERS, Facets, Filters
from space_model import Retriever
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
        picture: Address of a small JPEG of it.
        confidence: How sure the answer is, from 0 to 1; None where that is not known.
        ratio: Width of the picture divided by its height.
        kind: `image` or `video`.
        start: Second at which a video answers; None for a picture, and for the whole video.
        end: Second at which that moment ends.
        alike: How many pictures that look the same are folded into this one.
        words: Those words of the query that speak for the picture, as its description, name or keywords have them.
        shared: Whether every visitor may ask for the picture by its id, as for a gallery, or only the one who
            uploaded it.
    """

    id: str
    rank: int
    score: float
    answered_by: int | None
    name: str
    description: str | None
    picture: str
    confidence: float | None = None
    ratio: float = 1.0
    kind: str = "image"
    start: float | None = None
    end: float | None = None
    alike: int = 0
    words: tuple[str, ...] = ()
    shared: bool = False


@dataclass(frozen=True)
class Original:
    """The file of a picture or a video.

    Attributes:
        name: To save it as.
        source: Its path, which the server knows and no visitor says, or its content.
    """

    name: str
    source: Path | bytes


class Searcher(Protocol):
    """Pictures that can be searched. Calls come from several threads concurrently.

    All methods that take an id raise SpaceError where there is no picture with it.
    """

    retriever: Retriever

    def __len__(self) -> int:
        """Return the number of pictures."""

    def search(self, text: str, k: int, filters: Filters = NO_FILTERS) -> list[Hit]:
        """Return the k pictures that fit a text best, the best first."""

    def browse(self, k: int, filters: Filters = NO_FILTERS) -> list[Hit]:
        """Return the first k pictures where nothing is asked for."""

    def choose(self, ids: Sequence[str]) -> list[Hit]:
        """Return the pictures with these ids; ids of no picture are left out."""

    def facets(self) -> Facets:
        """Return what the pictures can be filtered by."""

    def more_like(self, id: str, k: int) -> list[Hit]:
        """Return the k other pictures that are most like one."""

    def explain(self, id: str, text: str) -> Explanation:
        """Explain the score of a picture for a text."""

    def small(self, id: str) -> bytes:
        """Return a JPEG of a picture for the grid."""

    def large(self, id: str) -> bytes:
        """Return a JPEG of a picture that fills a screen."""

    def original(self, id: str) -> Original | None:
        """Return a picture's file; None where it no longer exists."""

    def facts(self, id: str) -> list[tuple[str, str]]:
        """Return what is known about a picture's file, such as when it was taken: names and values."""


@dataclass(frozen=True)
class Picture:
    """A picture before it is encoded.

    Attributes:
        id: Names it.
        name: To show; never used as a path.
        source: Its file, or its content.
        description: What is known about it, if anything.
        year: When it was taken, if that is known.
    """

    id: str
    name: str
    source: Path | bytes
    description: str | None = None
    year: int | None = None

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
