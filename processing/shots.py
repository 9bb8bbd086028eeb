"""Where the shots of a long video begin and end: at its cuts, found by FFmpeg, or every few seconds."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UserError
from .names import stored_path
from .video import Span, decoded_frames, opened_video, video_span

if TYPE_CHECKING:
    from av.filter import Graph

AUTO, NONE = "auto", "none"
# Shorter videos stay whole: the clips that models are trained on take about ten seconds.
LONG = 20.0
# What a few frames can still show, and what is worth an answer of its own.
LONGEST, SHORTEST = 15.0, 1.0
# However long a video claims to be.
MOST_SHOTS = 10_000
# Cuts are found as well in small pictures; the change, from 0 to 100, is that of FFmpeg's `scdet`.
WIDTH, HEIGHT, LEAST_CHANGE = 160, 90, 10
TICK = Fraction(1, 1000)


def check_shots(shots: str) -> str:
    """Return a way to divide videos if there is such a one.

    Args:
        shots: `auto`, `none`, or a number of seconds.

    Raises:
        UserError: If it is anything else.
    """
    if shots not in (AUTO, NONE) and not _seconds(shots):
        raise UserError(f"--shots is {shots!r}, but has to be {AUTO}, {NONE}, or a number of seconds from 1 to 3600.")
    return shots


def _seconds(shots: str) -> float | None:
    try:
        seconds = float(shots)
    except ValueError:
        return None
    return seconds if SHORTEST <= seconds <= 3600 else None


def find_shots(path: str | Path, shots: str = AUTO) -> list[Span]:
    """Return the shots of a video, in order and without gaps.

    With `auto`, a video of 20 seconds or more is divided at its cuts, and shots of more than 15 seconds, as in a video
    without cuts, evenly. With a number of seconds, each shot has that length, the last one more or less by a half.

    Args:
        path: The video's file.
        shots: `auto`, `none` for the whole video, or a number of seconds.

    Returns:
        At least one; one that is the whole video if that is short.

    Raises:
        UserError: If `shots` is anything else, or the file has no frames with a time, is broken or cut off; the message
            names it.
        ImportError: If PyAV is not installed.
    """
    check_shots(shots)
    path = stored_path(path)
    whole = video_span(path)
    length = whole.end - whole.start
    if shots == NONE or (shots == AUTO and length < LONG):
        return [whole]
    if shots == AUTO:
        cuts = _far_apart(find_cuts(path), whole)
        longest = max(LONGEST, length / MOST_SHOTS)
        between = pairwise([whole.start, *cuts, whole.end])
        bounds = [bound for start, end in between for bound in _even_parts(start, end, longest)]
    else:
        step = max(float(shots), length / MOST_SHOTS)
        bounds = [whole.start + step * number for number in range(max(1, round(length / step)))]
    return [Span(*shot) for shot in pairwise([*bounds, whole.end])]


def span_at(path: str | Path, start: float, end: float) -> Span:
    """Return a shot on the clock of its file, from seconds after the beginning of the video.

    Raises:
        UserError: If the file is no video; the message names it.
        ImportError: If PyAV is not installed.
    """
    whole = video_span(path)
    return Span(whole.start + start, whole.start + end)


def _far_apart(cuts: Iterable[float], whole: Span) -> list[float]:
    """Return the cuts without those that would make a shot too short."""
    kept: list[float] = []
    for cut in cuts:
        if cut - (kept[-1] if kept else whole.start) >= SHORTEST and whole.end - cut >= SHORTEST:
            kept.append(cut)
        if len(kept) == MOST_SHOTS:
            break
    return kept


def _even_parts(start: float, end: float, longest: float) -> list[float]:
    """Return where the even parts of a shot begin, none of them longer than `longest`."""
    count = max(1, math.ceil((end - start) / longest))
    return [start + (end - start) * number / count for number in range(count)]


def find_cuts(path: str | Path) -> Iterator[float]:
    """Yield the times, on the clock of the file, at which a video is cut: where a frame differs much from the last.

    Raises:
        UserError: If the file is broken.
        ImportError: If PyAV is not installed.
    """
    with opened_video(path) as (container, stream):
        from av import FFmpegError

        graph = _graph()
        for frame in decoded_frames(path, container, stream):
            # All of one size and on one clock, whatever the file does halfway.
            small = frame.content.reformat(width=WIDTH, height=HEIGHT, format="rgb24", threads=1)
            small.pts, small.time_base = round(frame.time / TICK), TICK
            graph.vpush(small)
            try:
                cut = graph.vpull()
            except FFmpegError:
                continue
            yield float((cut.pts or 0) * TICK)


def _graph() -> "Graph":
    """Return a filter that lets those frames through that begin a shot."""
    from av import VideoFormat
    from av.filter import Graph

    graph = Graph()
    nodes = [
        graph.add_buffer(width=WIDTH, height=HEIGHT, format=VideoFormat("rgb24"), time_base=TICK),
        graph.add("scdet", f"threshold={LEAST_CHANGE}:sc_pass=1"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    return graph
