"""Results of a search, and which items of a gallery a name means."""

import hashlib
import os
import re
import warnings
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from processing.facts import Facts
from processing.names import comparable, stored_name, stored_path
from processing.screen import shown
from processing.text_files import is_encodable
from processing.text_rule_leccr import MOSTLY_UNKNOWN, is_blank

from ..errors import UserError
from .store.catalogue import FOLDER, LARGEST_INTEGER, SMALLEST_INTEGER, Item, select_items, sources_of
from .store.moments import Moment
from .store.ranking import Ranking

WHOLE_IMAGE = "whole image"


class UnreadableQueryWarning(UserWarning):
    """The model cannot read most of a query."""


@dataclass(frozen=True)
class Result:
    """An item that matches a query.

    Attributes:
        rank: 1 for the best.
        score: The largest inner product of the query and one of the item's views, float32.
        id: The item's name in its source.
        path: Path in the source's folder, or the file's name in a data set.
        file: The file, for an item of a folder.
        kind: `image` or `video`.
        view: Index of the view with that score, from 0.
        views: Number of the item's views.
        answered_by: `whole image`, or `slot 1` and so on: the view with that score.
        description: Its description, if it has one.
        size: Bytes of the file.
        time: When the file was last changed, in nanoseconds since 1970; 0 if that is not known.
        hash: Content hash of the file.
        number: Its key in the gallery, which `Gallery.thumbnail` takes.
        confidence: How sure the answer is, from 0 to 1 (`leccr.gallery.confidence`); None for queries that are no text.
        start: When the answer begins, in seconds, if it is a shot of a long video.
        end: When it ends.
        reranked: The score of the reranker, if there is one that has scored this answer.
        facts: What its file says: when, where and with what it was taken, its title, keywords and caption.
        words: Those words of the query that its description, name, keywords or writing has.
        missing: Whether the file was gone at the last `leccr gallery sync --keep-missing`.
        alike: Paths of near duplicates that it stands for, of a folded search.
    """

    rank: int
    score: float
    id: str
    path: str
    file: Path | None
    kind: str
    view: int
    views: int
    answered_by: str
    description: str | None
    size: int
    time: int
    hash: str
    number: int
    confidence: float | None = None
    start: float | None = None
    end: float | None = None
    reranked: float | None = None
    facts: Facts = Facts()
    words: tuple[str, ...] = ()
    missing: bool = False
    alike: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The path, with the time of a shot: `clip.mp4 at 1:23–1:31`."""
        if self.start is None or self.end is None:
            return self.path
        return f"{self.path} at {Moment(self.start, self.end)}"


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts of queries if they can be searched for.

    Raises:
        UserError: If there is none, or one is empty or no valid text.
    """
    if not texts:
        raise UserError("There is no query; say in a word or a sentence what to look for.")
    for number, text in enumerate(texts, start=1):
        name = f"Query {number}" if len(texts) > 1 else "The query"
        if is_blank(text):
            raise UserError(f"{name} is empty; say in a word or a sentence what to look for.")
        if not is_encodable(text):
            raise UserError(f"{name} has characters that are not valid text: {text[:60]!r}.")
    return list(texts)


def checked_embeddings(values: Any) -> np.ndarray:
    """Return the embeddings of queries, (D,) or (Q, D), as float32.

    Args:
        values: An array, a tensor on any device, or lists of numbers.

    Raises:
        UserError: If it has another shape, or an undefined number.
    """
    values = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    queries = np.ascontiguousarray(values, dtype=np.float32)
    if queries.ndim not in (1, 2) or not np.isfinite(queries).all():
        raise UserError("A query is a text, or an embedding of finite numbers, (D,) or (Q, D).")
    return queries


def unreadable(text: str, share: float | None) -> str | None:
    """Return a sentence about a query of which the model cannot read half or more, and None about others.

    Args:
        text: The query.
        share: Share of its tokens that the model does not know; None for a query that is not text.
    """
    if share is None or share < MOSTLY_UNKNOWN:
        return None
    part = "the query" if share == 1 else f"{share:.0%} of the query"
    return (
        f'The model cannot read {part} "{shown(text[:60])}": these characters are not in its vocabulary, so the '
        "answers say little about it."
    )


def warn_unreadable(asked: Sequence[tuple[str, float]]) -> None:
    """Warn about each query of which the model cannot read half or more; each comes with its unknown share."""
    for text, share in asked:
        message = unreadable(text, share)
        if message:
            warnings.warn(message, UnreadableQueryWarning, stacklevel=4)


def make_results(
    ranking: Ranking,
    items: dict[int, Item],
    sources: dict[int, tuple[str, str]],
    slots: bool,
    confidences: Sequence[float | None] | None = None,
    moments: Mapping[int, Moment] = MappingProxyType({}),
    facts: Mapping[int, Facts] | None = None,
    missing: Container[int] = (),
) -> list[Result]:
    """Return the results of one query.

    Args:
        ranking: Its best positions.
        items: The items at these.
        sources: Kind and location of each source.
        slots: Whether views belong to slots.
        confidences: How sure each answer is.
        moments: Those of items that are shots, by their numbers.
        facts: What is known about items, by their numbers.
        missing: Numbers of the items that are kept without a file.
    """
    results = []
    columns = (ranking.positions.tolist(), ranking.scores.tolist(), ranking.views.tolist(), confidences or repeat(None))
    for rank, (position, score, view, confidence) in enumerate(zip(*columns), start=1):
        item = items[position]
        moment = moments.get(item.number)
        results.append(
            Result(
                rank=rank,
                score=score,
                id=item.id,
                path=item.path,
                file=file_of(item, sources),
                kind=item.kind,
                view=view,
                views=item.views,
                answered_by=f"slot {view + 1}" if slots and not _is_whole(item) else WHOLE_IMAGE,
                description=item.description,
                size=item.size,
                time=item.time,
                hash=item.hash,
                number=item.number,
                confidence=confidence,
                start=moment.start if moment else None,
                end=moment.end if moment else None,
                facts=(facts or {}).get(item.number, Facts()),
                missing=item.number in missing,
            )
        )
    return results


def _is_whole(item: Item) -> bool:
    """Return whether the only view of an item is that of its whole picture, for it has no sentences."""
    return item.views == 1 and is_blank(item.description or "")


def file_of(item: Item, sources: dict[int, tuple[str, str]]) -> Path | None:
    """Return the file of an item of a folder; None for other items, and if the path would lead out of the folder."""
    kind, location = sources.get(item.source, ("", ""))
    path = item.path
    leads_out = os.path.isabs(path) or "\0" in path or (".." in path and ".." in re.split(r"[\\/]", path))
    return None if kind != FOLDER or leads_out else stored_path(os.path.join(location, path))


def existing_file(file: Path | None, path: str) -> Path | None:
    """Return an item's file if there is one; None also where it is a link that leads out of the item's folder.

    Args:
        file: What `file_of` returned.
        path: The item's path in its source.
    """
    if file is None:
        return None
    try:
        root = file.parents[len(Path(path).parts) - 1].resolve()
        is_inside = file.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError, IndexError, ValueError):
        return None
    return file if is_inside and file.is_file() else None


def hash_file(path: Path) -> str:
    """Return the content hash of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def stamp_of(path: Path) -> tuple[int, int]:
    """Return a file's size, and when it was last changed, in nanoseconds since 1970.

    A time that SQLite cannot store, after the year 2262 or before 1677, becomes the nearest that it can.
    """
    status = path.stat()
    return status.st_size, min(max(status.st_mtime_ns, SMALLEST_INTEGER), LARGEST_INTEGER)


def find_items(connection: Any, name: str, gallery: str) -> list[Item]:
    """Return the items that a name means: an id or a path in a source, a file, or a folder and all below it.

    Raises:
        UserError: If there are none.
    """
    path = Path(os.path.abspath(name))
    path = Path(stored_name(path.parent.resolve() / path.name))
    name = stored_name(name)
    items = select_items(connection, "plain(id) = ? OR plain(path) = ?", [comparable(name)] * 2)
    if items:
        return items
    for number, (_, location) in sources_of(connection).items():
        if Path(location).is_relative_to(path):
            items += select_items(connection, "source = ?", [number])
            continue
        part = path.relative_to(location).as_posix() if path.is_relative_to(location) else name.rstrip("/")
        part = comparable(part)
        items += select_items(
            connection,
            "source = ? AND (plain(id) = ? OR plain(path) = ? OR substr(plain(id), 1, ?) = ?)",
            [number, part, part, len(part) + 1, part + "/"],
        )
    if not items:
        raise UserError(f"The gallery {gallery} has no item {name}; nothing was removed.")
    return items
