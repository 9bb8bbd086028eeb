"""What is on its way into a gallery: candidates compared with what is known, opened, and divided into shots."""

import dataclasses
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from processing.errors import BrokenFileError
from processing.facts import Facts
from processing.shots import find_shots
from processing.suffixes import is_image_name
from processing.video import Span, open_frames

from ..drawing.thumbnail import jpeg_thumbnail
from ..errors import UserError
from ..models.encoder import Encoder, Inputs
from .candidates import Candidate
from .store.catalogue import VIDEO, Item, select_items
from .store.moments import BEYOND, FRAGMENT, MOST_SECONDS, Moment, moment_id

Known = Mapping[str, Sequence[Item]]
"""The existing items of candidates, by their keys: one for each, or all shots of a long video."""


@dataclass
class Part:
    """A picture, a video or a shot: what becomes one item.

    Attributes:
        thumbnail: Its small picture.
        inputs: The model's inputs for it, until it is encoded.
        moment: Which part of its video it is, for a shot.
        description: What is said about a shot.
        views: (K, D), once it is encoded.
    """

    thumbnail: bytes | None
    inputs: Inputs
    moment: Moment | None = None
    description: str | None = None
    views: np.ndarray | None = None

    @property
    def is_usable(self) -> bool:
        """Whether all numbers of its views are finite."""
        return self.views is not None and bool(np.isfinite(self.views).all())


@dataclass
class New:
    """A candidate that goes into the gallery, with all its parts or not at all."""

    candidate: Candidate
    item: Item
    parts: list[Part]
    facts: Facts

    def items(self) -> Iterator[tuple[Item, Part]]:
        """Yield an item for each part."""
        for part in self.parts:
            if part.moment is None:
                yield self.item, part
            else:
                id = moment_id(self.item.id, part.moment)
                yield dataclasses.replace(self.item, id=id, description=part.description), part


@dataclass
class LongVideo:
    """A candidate that is divided into shots, which are too many to be decoded together.

    Attributes:
        candidate: The candidate.
        item: The whole of it as an item.
        shots: Its shots.
        known: Its existing items.
    """

    candidate: Candidate
    item: Item
    shots: list[Span]
    known: Sequence[Item] = ()

    def blocks(self, size: int) -> list[list[Span]]:
        """Return the shots in blocks."""
        return [self.shots[start : start + size] for start in range(0, len(self.shots), size)]

    def open(self, shots: Sequence[Span], encoder: Encoder) -> list[Part]:
        """Decode some of the shots.

        Raises:
            UserError: If one cannot be decoded.
        """
        parts = []
        known = {row.id: row.description for row in self.known if row.hash == self.item.hash}
        for span in shots:
            part, _ = open_part(self.candidate, encoder, span)
            part.moment = moment_in(self.shots, span)
            id = moment_id(self.item.id, part.moment)
            part.description = said_about(self.candidate, id, known.get(id))
            parts.append(part)
        return parts


@dataclass
class Prepared:
    """A chunk of a source, read and decoded.

    Attributes:
        count: Number of candidates.
        new: Those to be encoded.
        long: Those to be divided first.
        unchanged: Number of those that the gallery has.
        touched: Items of which only the file's time has changed.
        broken: Those that cannot be used, and why.
        animations: Number of those of which only the first picture is taken.
    """

    count: int
    new: list[New] = field(default_factory=list)
    long: list[LongVideo] = field(default_factory=list)
    unchanged: int = 0
    touched: list[Item] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    animations: int = 0


def prepare(chunk: Sequence[Candidate], known: Known, encoder: Encoder, shots: str) -> Prepared:
    """Read and decode a chunk; what is unchanged is not opened, and what is broken is named.

    Args:
        chunk: Candidates.
        known: Their existing items.
        encoder: The gallery's model.
        shots: How long videos are divided.
    """
    prepared = Prepared(len(chunk))
    for candidate in chunk:
        existing = known.get(candidate.key, ())
        try:
            item = as_item(candidate, existing)
            if differs(candidate, item, existing):
                spans = spans_of(candidate, shots)
                if len(spans) > 1:
                    prepared.long.append(LongVideo(candidate, item, spans, existing))
                    continue
                part, moves = open_part(candidate, encoder, *spans)
                prepared.new.append(New(candidate, item, [part], candidate.facts()))
                prepared.animations += moves
                continue
        except UserError as error:
            prepared.broken.append((candidate.id, getattr(error, "reason", str(error))))
            continue
        prepared.unchanged += 1
        prepared.touched += [
            dataclasses.replace(row, size=item.size, time=item.time)
            for row in existing
            if (item.size, item.time) != (row.size, row.time)
        ]
    return prepared


def spans_of(candidate: Candidate, shots: str) -> list[Span]:
    """Return the shots of a video; none for what is no video file.

    Raises:
        UserError: If it cannot be decoded, or cannot be that long.
    """
    row = candidate.as_row()
    if candidate.kind != VIDEO or row.get("visual_features") is not None:
        return []
    # An animation is as short as it is.
    spans = [] if is_image_name(row["video"]) else find_shots(row["video"], shots)
    if spans and spans[-1].end - spans[0].start > MOST_SECONDS:
        raise BrokenFileError(f"{row['video']} claims to last for more than three years", "convert it or remove it")
    return spans


def moment_in(shots: Sequence[Span], span: Span) -> Moment:
    """Return when a shot begins and ends, in seconds from the beginning of the first one."""
    origin = shots[0].start
    return Moment(round(span.start - origin, 3), round(span.end - origin, 3))


def open_part(candidate: Candidate, encoder: Encoder, span: Span | None = None) -> tuple[Part, bool]:
    """Return a picture, a video or a part of it, and whether it is the first picture of an animation.

    Pictures are decoded once, one at a time, and not in more detail than is needed.

    Raises:
        UserError: If it cannot be decoded.
    """
    row = candidate.as_row()
    if row.get("visual_features") is not None:
        return Part(None, encoder.prepare(row)), False
    if candidate.kind == VIDEO:
        row = encoder.as_taken({**row, "span": span})
        frame = row["image"] or open_frames(row["video"], 1, encoder.background, span)[0]
        return Part(jpeg_thumbnail(frame), encoder.prepare(row)), False
    row["image"] = picture = encoder.open_picture(row["image"], candidate.id)
    moves = "animation" in picture.info
    return Part(jpeg_thumbnail(picture), encoder.prepare(row)), moves


def known_items(connection: sqlite3.Connection, chunk: Sequence[Candidate]) -> dict[str, list[Item]]:
    """Return the existing items of the candidates, by their keys."""
    known: dict[str, list[Item]] = {}
    for location in {candidate.location for candidate in chunk}:
        own = [candidate for candidate in chunk if candidate.location == location]
        source = "source = (SELECT number FROM sources WHERE location = ?)"
        for start in range(0, len(own), 500):
            block = [candidate.id for candidate in own[start : start + 500]]
            marks = ",".join("?" * len(block))
            for item in select_items(connection, f"{source} AND id IN ({marks})", [location, *block]):
                known[f"{location}/{item.id}"] = [item]
        parts = f"{source} AND id > ? AND id < ? AND number IN (SELECT number FROM moments)"
        for candidate in own:
            if candidate.kind == VIDEO:
                between = [location, candidate.id + FRAGMENT, candidate.id + BEYOND]
                found = select_items(connection, parts, between)
                known |= {candidate.key: found} if found else {}
    return known


def as_item(candidate: Candidate, known: Sequence[Item]) -> Item:
    """Return a candidate as an item; its file is not read if size and time are those of the existing item.

    Raises:
        UserError: If the file cannot be read.
    """
    size, changed = candidate.stamp()
    is_unchanged = bool(known) and bool(changed) and (size, changed) == (known[0].size, known[0].time)
    digest = known[0].hash if is_unchanged else candidate.hash()
    description = candidate.description
    if known and known[0].id == candidate.id and digest == known[0].hash:
        description = said_about(candidate, candidate.id, known[0].description)
    return Item(candidate.id, candidate.path, candidate.kind, digest, size, changed, description)


def said_about(candidate: Candidate, id: str, known: str | None) -> str | None:
    """Return the description of a candidate, or of one of its shots.

    Args:
        candidate: The candidate.
        id: Id of the item that is described.
        known: What the gallery says about the same content: a run without descriptions keeps those of an earlier run.
    """
    return candidate.shots.get(id, known) if candidate.description is None else candidate.description


def differs(candidate: Candidate, item: Item, known: Sequence[Item]) -> bool:
    """Return whether a candidate, of which `item` is the whole, is new, or not as its existing items say."""
    return not known or any(
        (item.hash, item.kind, said_about(candidate, row.id, row.description)) != (row.hash, row.kind, row.description)
        for row in known
    )
