"""The state of a gallery: everything that readers have to know before they look at an item."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import UserError

FORMAT = 1
DTYPES = ("fp32", "fp16", "int8")
ENGINES = ("faiss", "milvus")
APPROXIMATIONS = ("hnsw", "ivfpq")
# Larger than any gallery, and small enough that their product fits into 64 bits.
MOST_POSITIONS, MOST_VIEWS, MOST_WIDTH = 2**40, 2**10, 2**14


@dataclass(frozen=True)
class Approximation:
    """An approximate index over the first positions of a gallery; later ones are searched exactly.

    Attributes:
        kind: `hnsw` or `ivfpq`.
        positions: How many positions it covers.
        file: Its file in the gallery's folder; None if a server keeps it.
        digest: Content hash of that file.
        recall: Share of the exact ten best items among its ten best, measured with `queries` of the gallery's views.
        queries: Number of these views.
    """

    kind: str
    positions: int
    file: str | None = None
    digest: str | None = None
    recall: float | None = None
    queries: int = 0


@dataclass(frozen=True)
class State:
    """One complete state of a gallery.

    Items have positions, counted from 0 in the order in which they were added, and so have the views of each; the map
    of views (`leccr.gallery.store.view_map`) says which rows of the engine are whose. Positions of removed items stay
    empty until the gaps are closed.

    Attributes:
        model: Name of the checkpoint that made the views, as it was given.
        fingerprint: Distinguishes models of the same name.
        view_count: K, views per item; the most that an item has so far where that differs.
        width: D, numbers per view.
        slots: Whether views belong to semantic slots, or the only view to the whole picture.
        description_weight: Weight of sentences in the views of a dual encoder (`leccr.models.sentence_views`); None for
            other models, and where descriptions do not count.
        sentence_gate: How much of the picture is in the slot of a sentence.
        dtype: How views are stored: `fp32`, `fp16` or `int8`.
        ranges: For int8, the smallest value and the width of the range, of each of the D numbers.
        longest_view: Length of the longest view, which bounds rounding errors.
        engine: `faiss` or `milvus`.
        uri: Address of the Milvus server, or a file in the gallery's folder.
        collection: Name of the collection there.
        approximation: The approximate index, if there is one.
        generation: Number of the file with the views; each rewrite adds one.
        positions: Number of positions, those of removed items included.
        views: Number of views, those of removed items included.
        items: Number of items.
        version: Number of changes so far.
        unfinished: Source whose indexing has started but not finished.
        unrelated: By language, the scores, ascending, of the best answers to captions that have nothing to do with the
            gallery, as of the last addition; None if it was never searched for them.
        shots: How long videos are divided, as for `processing.shots.find_shots`.
        format: Version of the layout of the folder.
    """

    model: str
    fingerprint: str
    view_count: int
    width: int
    slots: bool
    description_weight: float | None = None
    sentence_gate: float = 1.0
    dtype: str = "fp32"
    ranges: tuple[float, ...] | None = None
    longest_view: float = 0.0
    engine: str = "faiss"
    uri: str | None = None
    collection: str | None = None
    approximation: Approximation | None = None
    generation: int = 1
    positions: int = 0
    views: int = 0
    items: int = 0
    version: int = 0
    unfinished: str | None = None
    unrelated: Mapping[str, tuple[float, ...]] | None = None
    shots: str = "auto"
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the state as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str, name: str) -> "State":
        """Read a state and check every field, since a gallery may be untrusted.

        Args:
            text: What `to_json` returned.
            name: The gallery, for messages.

        Raises:
            UserError: If the gallery has another format, or a field is impossible.
        """
        try:
            fields = json.loads(text)
            version = fields["format"]
            if version == FORMAT:
                return _checked(cls(**_restored(fields)))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise UserError(f"The catalogue of the gallery {name} is damaged; index its pictures again.") from error
        raise UserError(
            f"The gallery {name} has format {version}, but this version of leccr reads format {FORMAT}: index its "
            "pictures again, or use the version of leccr that wrote it."
        )


def _restored(fields: dict[str, Any]) -> dict[str, Any]:
    if fields["ranges"] is not None:
        fields["ranges"] = tuple(float(value) for value in fields["ranges"])
    if fields["unrelated"] is not None:
        fields["unrelated"] = {code: tuple(map(float, scores)) for code, scores in fields["unrelated"].items()}
    if fields["approximation"] is not None:
        fields["approximation"] = Approximation(**fields["approximation"])
    return fields


def _checked(state: State) -> State:
    counts = (
        (state.view_count, 1, MOST_VIEWS),
        (state.width, 1, MOST_WIDTH),
        (state.generation, 1, MOST_POSITIONS),
        (state.positions, 0, MOST_POSITIONS),
        (state.items, 0, state.positions),
        (state.views, 0, state.positions * state.view_count),
        (state.version, 0, 2**60),
    )
    for value, lowest, highest in counts:
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError(f"{value!r} is not a count between {lowest} and {highest}")
    if not all(isinstance(text, str) for text in (state.model, state.fingerprint, state.shots)):
        raise ValueError("the model has no name")
    if state.dtype not in DTYPES or state.engine not in ENGINES:
        raise ValueError(f"{state.dtype!r} or {state.engine!r} is unknown")
    if (state.dtype == "int8") != (state.ranges is not None and len(state.ranges) == 2 * state.width):
        raise ValueError("int8 views have to have the range of each number, and others none")
    weight = 0.0 if state.description_weight is None else state.description_weight
    numbers = (state.longest_view, weight, state.sentence_gate, *(state.ranges or ()))
    if type(state.slots) is not bool or not all(isinstance(value, float | int) for value in numbers):
        raise ValueError("a number is none")
    if not all(map(math.isfinite, numbers)) or state.longest_view < 0 or not 0 <= weight <= 1:
        raise ValueError("a number is not finite, or impossible")
    for text in (state.uri, state.collection, state.unfinished):
        if text is not None and (not isinstance(text, str) or "\0" in text):
            raise ValueError(f"{text!r} is not a name")
    for scores in (state.unrelated or {}).values():
        if not scores or not all(map(math.isfinite, scores)):
            raise ValueError("a score is not finite, or missing")
    _check_approximation(state)
    return state


def _check_approximation(state: State) -> None:
    index = state.approximation
    if index is None:
        return
    if index.kind not in APPROXIMATIONS:
        raise ValueError(f"{index.kind!r} is not a kind of index")
    if type(index.positions) is not int or not 0 <= index.positions <= state.positions:
        raise ValueError(f"{index.positions!r} is not a number of positions")
    if not isinstance(index.digest, str | None) or not isinstance(index.recall, float | int | None):
        raise ValueError("the index has another form")
    # Never a path: an untrusted gallery must not make this program read other files.
    if index.file is not None and (not isinstance(index.file, str) or not index.file.replace("-", "").isalnum()):
        raise ValueError(f"{index.file!r} is not the name of an index file")
