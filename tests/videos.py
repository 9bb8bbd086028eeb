"""Small video files, encoded in the tests."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

SCENES = ["red"] * 20 + ["blue"] * 20


def write_video(
    path: Path,
    pictures: Sequence[str | Image.Image] = SCENES,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    rotation: int = 0,
    flip: str = "",
    aspect: Fraction | None = None,
    key_frames: int = 12,
    sound: float = 0.0,
    cover: bool = False,
    **options: str,
) -> Path:
    """Encode one frame for each picture or colour.

    Args:
        path: The file; its ending says the container.
        pictures: Pictures, all of one size, or names of colours.
        times: When each is shown, in seconds; by default ten a second.
        codec: Encoder of the pictures.
        rotation: Degrees, counterclockwise, that the file says to turn the pictures by.
        flip: `horizontal` or `vertical` if the file says to mirror them after that.
        aspect: How much wider than high the file says that a pixel is.
        key_frames: Frames from one key frame to the next.
        sound: Seconds of silence to add.
        cover: Call the pictures the cover of the sound.
        **options: Of the container.
    """
    frames = [Image.new("RGB", (32, 32), item) if isinstance(item, str) else item for item in pictures]
    times = [place / 10 for place in range(len(frames))] if times is None else times
    with av.open(str(path), "w", options=options) as container:
        if frames:
            # These know only the rates of television.
            television = codec.startswith(("mpeg1", "mpeg2"))
            base = Fraction(1, 25) if television else Fraction(1, 1000)
            stream: Any = container.add_stream(codec, rate=25 if television else 10)
            stream.width, stream.height = frames[0].size
            stream.pix_fmt, stream.gop_size = "yuvj420p" if codec == "mjpeg" else "yuv420p", key_frames
            stream.time_base = stream.codec_context.time_base = base
            if cover:
                stream.disposition = Disposition.attached_pic
            if rotation or flip:
                stream.set_display_rotation(rotation, hflip=flip == "horizontal", vflip=flip == "vertical")
            if aspect:
                stream.codec_context.sample_aspect_ratio = aspect
        silence: Any = container.add_stream("aac", rate=48000) if sound else None
        for picture, time in zip(frames, times):
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = round(time / base), base
            container.mux(stream.encode(frame))
        if frames:
            container.mux(stream.encode())
        for place in range(round(48000 * sound / 1024)):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48000, 1024 * place
            container.mux(silence.encode(samples))
        if sound:
            container.mux(silence.encode())
    return path


def numbered(count: int) -> list[Image.Image]:
    """Return pictures whose grey tells their number: see `number_of`."""
    return [Image.new("RGB", (32, 32), (5 * number,) * 3) for number in range(count)]


def number_of(picture: Image.Image) -> int:
    """Return the number of one of the `numbered` pictures, decoded from a video."""
    return round(np.asarray(picture).mean() / 5)


def colour_of(picture: Image.Image) -> str:
    """Return `red` or `blue`, whichever the middle of a picture has more of."""
    red, _, blue = picture.getpixel((picture.width // 2, picture.height // 2))  # type: ignore[misc]
    return "red" if red > blue else "blue"
