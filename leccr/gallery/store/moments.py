"""Moments: items that are shots of a long video, each with its own views, thumbnail and time."""

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...errors import UserError

SCHEMA = {
    "moments": "CREATE TABLE moments (number INTEGER PRIMARY KEY, begins REAL NOT NULL, ends REAL NOT NULL) STRICT"
}
# What follows a video's id in those of its shots, as in a media fragment of a URL: `clip.mp4#t=83,91`.
FRAGMENT = "#t="
# No id of a shot is beyond this one, which has the next character.
BEYOND = "#t>"
# Longer videos are the work of a damaged file: more than three years.
MOST_SECONDS = 1e8
AT_A_TIME = 500


@dataclass(frozen=True)
class Moment:
    """When a shot begins and ends, in seconds from the beginning of its video."""

    start: float
    end: float

    def __str__(self) -> str:
        return f"{clock(self.start)}–{clock(self.end)}"


def clock(seconds: float) -> str:
    """Return a time as players show it, such as `1:23` or `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment_id(video: str, moment: Moment) -> str:
    """Return the id of a shot of the video with this id."""
    start, end = (f"{seconds:.3f}".rstrip("0").rstrip(".") for seconds in (moment.start, moment.end))
    return f"{video}{FRAGMENT}{start},{end}"


def video_id(id: str) -> str:
    """Return the id of the video that a shot belongs to."""
    return id.rpartition(FRAGMENT)[0]


def put_moment(connection: sqlite3.Connection, number: int, moment: Moment | None) -> None:
    """Say of an item which part of its video it is; None if it is no part."""
    connection.execute("DELETE FROM moments WHERE number = ?", (number,))
    if moment is not None:
        connection.execute("INSERT INTO moments VALUES (?, ?, ?)", (number, moment.start, moment.end))


def moments_of(connection: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, Moment]:
    """Return the moments of those items that are shots, by their numbers.

    Raises:
        UserError: If a time cannot be, as in a damaged gallery.
    """
    moments: dict[int, Moment] = {}
    for block in _blocks(numbers):
        rows = connection.execute(f"SELECT number, begins, ends FROM moments WHERE number IN ({_marks(block)})", block)
        for number, begins, ends in rows:
            if not (math.isfinite(begins) and 0 <= begins < ends <= MOST_SECONDS):
                raise UserError(
                    "The catalogue of the gallery is damaged: a shot has an impossible time; index it again."
                )
            moments[number] = Moment(begins, ends)
    return moments


def videos_at(connection: sqlite3.Connection, positions: Iterable[int]) -> dict[int, tuple[int, str]]:
    """Return source and id of the videos of those items that are shots, by the items' positions."""
    videos: dict[int, tuple[int, str]] = {}
    for block in _blocks(positions):
        rows = connection.execute(
            f"SELECT position, source, id FROM items JOIN moments USING (number) WHERE position IN ({_marks(block)})",
            block,
        )
        videos |= {position: (source, video_id(id)) for position, source, id in rows}
    return videos


def numbers_of_video(connection: sqlite3.Connection, source: int, video: str) -> list[int]:
    """Return the numbers of the shots of a video, by its id in its source; none if it is not divided."""
    rows = connection.execute(
        "SELECT items.number FROM items JOIN moments USING (number) WHERE source = ? AND id > ? AND id < ?",
        (source, video + FRAGMENT, video + BEYOND),
    )
    return [row[0] for row in rows]


def with_whole_videos(connection: sqlite3.Connection, numbers: Iterable[int]) -> list[int]:
    """Return the numbers of items, and of all shots of the videos that some of them are of, ascending."""
    found = set(numbers)
    videos = set()
    for block in _blocks(found):
        rows = connection.execute(
            f"SELECT source, id FROM items JOIN moments USING (number) WHERE number IN ({_marks(block)})", block
        )
        videos |= {(source, video_id(id)) for source, id in rows}
    for source, video in videos:
        found.update(numbers_of_video(connection, source, video))
    return sorted(found)


def further_shots(connection: sqlite3.Connection) -> set[int]:
    """Return the numbers of all shots that are not the first ones of their videos."""
    return {row[0] for row in connection.execute("SELECT number FROM moments WHERE begins > 0")}


def has_moments(connection: sqlite3.Connection) -> bool:
    """Return whether a gallery has shots."""
    return connection.execute("SELECT 1 FROM moments LIMIT 1").fetchone() is not None


def count_moments(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many shots a gallery has, and of how many videos, each of which begins at 0."""
    return connection.execute("SELECT count(*), count(*) FILTER (WHERE begins = 0) FROM moments").fetchone()


def _blocks(numbers: Iterable[int]) -> Iterator[Sequence[int]]:
    every = list(numbers)
    for start in range(0, len(every), AT_A_TIME):
        yield every[start : start + AT_A_TIME]


def _marks(block: Sequence[int]) -> str:
    return ",".join("?" * len(block))
