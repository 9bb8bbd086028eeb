"""Frames of video files, decoded by PyAV without holding a video in memory."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image as PillowImage

from .errors import BrokenFileError, UserError, missing_extra
from .images import BACKGROUND, MAX_PIXELS, open_animation, open_image
from .names import stored_path
from .suffixes import is_image_name

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

NUM_FRAMES = 8
"""Default number of frames of a video: about one per second of VATEX's ten-second clips, at no more than eight times
the cost of a picture."""

# Most encoders set a key frame, where decoding can begin, at least every ten seconds: shorter gaps are decoded through.
SEEK_SECONDS = 10.0
# A header may be a little wrong about the duration; a file that has less than this share of it is cut off.
WHOLE_SHARE = 0.9
# Signs of a display matrix, which says where columns and rows go: x = a·column + c·row and y = b·column + d·row.
_TURNS = {
    (-1, 0, 0, 1): PillowImage.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): PillowImage.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): PillowImage.Transpose.ROTATE_180,
    (0, 1, 1, 0): PillowImage.Transpose.TRANSPOSE,
    (0, 1, -1, 0): PillowImage.Transpose.ROTATE_270,
    (0, -1, 1, 0): PillowImage.Transpose.ROTATE_90,
    (0, -1, -1, 0): PillowImage.Transpose.TRANSVERSE,
}
# Pixels further from square than this are a mistake of the file.
MOST_STRETCH = 8


class Span(NamedTuple):
    """A part of a video, or the whole of it, in seconds on the clock of its file, which need not begin at 0."""

    start: float
    end: float


class TimedFrame(NamedTuple):
    """A frame, and when it is shown, in seconds on the clock of its file."""

    time: float
    content: "VideoFrame"


def is_video(row: Mapping[str, Any]) -> bool:
    """Return whether a row of `processing.schema` has a video and no picture."""
    return row.get("image") is None and row.get("video") is not None


def open_visual(
    row: Mapping[str, Any], num_frames: int = NUM_FRAMES, background: str = BACKGROUND, side: int | None = None
) -> list[PillowImage.Image]:
    """Return a row's picture, or frames of its video.

    Args:
        row: A row of `processing.schema`; one of a shot has its `span`, too.
        num_frames: Most frames of a video.
        background: What is seen through transparent parts.
        side: Pixels of a picture's shorter side that suffice, as for `open_image`.

    Raises:
        UserError: If there is neither, or it cannot be decoded; the message names the file.
        ImportError: If it is a video and PyAV is not installed.
    """
    if is_video(row):
        return open_frames(row["video"], num_frames, background, row.get("span"))
    return [open_image(row.get("image"), row["id"], background, side)]


def open_frames(
    path: str | Path, count: int = NUM_FRAMES, background: str = BACKGROUND, span: Span | None = None
) -> list[PillowImage.Image]:
    """Return the frames that are shown in the middles of `count` equal parts of a video's time, in RGB.

    They are turned, mirrored and stretched as the file says that they are shown. Time decides, not the number of a
    frame, so that a varying frame rate makes no difference. A frame that lasts over several middles is repeated, but
    of a video with fewer than `count` frames each comes only once.

    Args:
        path: The video's file, or that of an animation such as a GIF.
        count: Most frames to return.
        background: What is seen through transparent parts of an animation.
        span: The part of the video to show; by default all of it.

    Raises:
        UserError: If there is no such file, it has no pictures, is broken or cut off, or its frames have more than 100
            million pixels; the message names the file.
        ImportError: If PyAV is not installed.
    """
    path = stored_path(path)
    if count < 1:
        raise ValueError(f"A video cannot be shown in {count} frames; take at least 1.")
    if not Path(path).is_file():
        raise BrokenFileError(f"{path} does not exist", "add the video")
    if is_image_name(path):
        return open_animation(path, count, background)
    start, end = span or video_span(path)
    times = [start + (end - start) * (index + 0.5) / count for index in range(count)]
    with opened_video(path) as (container, stream):
        frames = _frames(path, container, stream, times)
        stretch = _stretch(stream)
        pictures = {frame: _picture(frame, stretch) for frame in dict.fromkeys(frames)}
    return [pictures[frame] for frame in frames]


@contextmanager
def opened_video(path: str | Path) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """Open a video and its first stream of pictures; what FFmpeg finds wrong with it later is told here, too.

    Raises:
        UserError: If it cannot be opened or decoded; the message names the file.
        ImportError: If PyAV is not installed.
    """
    try:
        import av
        from av.stream import Disposition
    except ImportError as error:
        raise missing_extra("video", "Reading videos") from error
    try:
        # A playlist that is named like a video must not fetch anything from the network.
        only_files = {"protocol_whitelist": "file"}
        with av.open(str(Path(path).absolute()), options=only_files, metadata_errors="replace") as container:
            # The cover of a song is a stream of pictures, too.
            streams = [video for video in container.streams.video if not video.disposition & Disposition.attached_pic]
            if not streams:
                problem = "has no pictures, only sound" if container.streams.audio else "cannot be decoded as a video"
                raise BrokenFileError(f"{path} {problem}", "replace or remove it")
            # Whoever needs speed decodes several videos concurrently.
            streams[0].codec_context.thread_count = 1
            _check_size(path, streams[0].codec_context)
            yield container, streams[0]
    except UserError:
        raise
    except Exception as error:  # Decoders that meet broken files raise almost anything.
        raise BrokenFileError(f"{path} cannot be decoded as a video", "replace or remove it") from error


def video_span(path: str | Path) -> Span:
    """Return when a video starts and ends.

    Raises:
        UserError: If it has no frames with a time, is cut off, or is no video; the message names the file.
        ImportError: If PyAV is not installed.
    """
    with opened_video(path) as (container, stream):
        return _span(path, container, stream)


def _span(path: str | Path, container: "InputContainer", stream: "VideoStream") -> Span:
    """Return the seconds at which the video starts and ends, from going through the file without decoding it.

    Headers are not exact enough where the frame rate varies, and some have no duration at all.
    """
    start = first = float("inf")
    end = last = float("-inf")
    for packet in container.demux():
        ticks = packet.dts if packet.pts is None else packet.pts
        if ticks is None or not packet.time_base:
            continue
        begins, ends = float(ticks * packet.time_base), float((ticks + (packet.duration or 0)) * packet.time_base)
        first, last = min(first, begins), max(last, ends)
        if packet.stream is stream:
            start, end = min(start, begins), max(end, ends)
    if start > end:
        raise BrokenFileError(f"{path} has no frames with a time", "convert it to MP4 or remove it")
    # The header gives the duration of the longest stream, which may be the sound.
    seconds, announced = last - min(first, 0.0), (container.duration or 0) / 10**6
    if seconds < WHOLE_SHARE * announced:
        problem = f"{path} is cut off: it has {seconds:.1f} of {announced:.1f} seconds"
        raise BrokenFileError(problem, "fetch it again")
    return Span(start, end)


def _frames(
    path: str | Path, container: "InputContainer", stream: "VideoStream", times: Sequence[float]
) -> list["VideoFrame"]:
    """Go through the video once and return the frames shown at some rising times."""
    frames: list[VideoFrame] = []
    source = decoded_frames(path, container, stream)
    shown, upcoming, seen = None, next(source, None), 0
    for time in times:
        if upcoming and time - upcoming.time > SEEK_SECONDS and _seek(container, stream, time):
            source = decoded_frames(path, container, stream)
            shown, upcoming = None, next(source, None)
        while upcoming and (shown is None or upcoming.time <= time):
            shown, upcoming, seen = upcoming, next(source, None), seen + 1
        if shown is None:
            raise BrokenFileError(f"{path} has no frame that can be decoded", "replace or remove it")
        frames.append(shown.content)
    return frames if seen >= len(times) else list(dict.fromkeys(frames))


def decoded_frames(path: str | Path, container: "InputContainer", stream: "VideoStream") -> Iterator[TimedFrame]:
    """Yield the frames of an open video from where it is, in the order in which they are shown."""
    time = float("-inf")
    for frame in container.decode(stream):
        _check_size(path, frame)
        if frame.time is None:
            raise BrokenFileError(f"{path} has frames without a time", "convert it to MP4")
        # Some AVI files tell when a frame is decoded instead, but the frames come in the order they are shown in.
        time = max(time, frame.time)
        yield TimedFrame(time, frame)


def _seek(container: "InputContainer", stream: "VideoStream", time: float) -> bool:
    """Go to the last key frame before a time, and return whether the file allows that."""
    from av import FFmpegError

    try:
        container.seek(int(time / (stream.time_base or 1)), stream=stream)
    except FFmpegError:
        return False
    return True


def _check_size(path: str | Path, content: Any) -> None:
    if content.width * content.height > MAX_PIXELS:
        problem = f"{path} has frames of more than {MAX_PIXELS // 10**6} million pixels"
        raise BrokenFileError(problem, "make it smaller")


def _stretch(stream: "VideoStream") -> float:
    """Return how much wider than high a pixel is shown."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 1 / MOST_STRETCH <= ratio <= MOST_STRETCH else 1.0


def _picture(frame: "VideoFrame", stretch: float) -> PillowImage.Image:
    picture = frame.to_image(threads=1)
    # The larger side grows, so that nothing is lost.
    shown = round(picture.width * max(stretch, 1)), round(picture.height / min(stretch, 1))
    if shown != picture.size and shown[0] * shown[1] <= MAX_PIXELS:
        picture = picture.resize(shown, PillowImage.Resampling.BICUBIC)
    signs = _matrix_signs(frame)
    turn = None if signs is None else _TURNS.get(signs)
    return picture if turn is None else picture.transpose(turn)


def _matrix_signs(frame: "VideoFrame") -> tuple[int, int, int, int] | None:
    """Return the signs of a, b, c and d of the display matrix, with zeros for the smaller two; None for no matrix."""
    stored: Any = frame.side_data.get("DISPLAYMATRIX")
    if stored is None:
        return None
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(stored)[:36])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (1 if a > 0 else -1, 0, 0, 1 if d > 0 else -1)
    return (0, 1 if b > 0 else -1, 1 if c > 0 else -1, 0)
