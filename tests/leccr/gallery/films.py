"""Long videos of a few scenes, made in the tests, and a model of videos."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from tests.leccr.gallery import tiny_gallery
from tests.videos import write_video

SCENES = ("red", "blue", "green")
SECONDS = (8, 9, 10)
TIMES = ((0, 8), (8, 17), (17, 27))
LABELS = ("0:00–0:08", "0:08–0:17", "0:17–0:27")


def film(path: Path, scenes: Sequence[str] = SCENES, seconds: Sequence[int] = SECONDS) -> Path:
    """Write a video of scenes of one colour each, two frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [scene for scene, length in zip(scenes, seconds) for _ in range(2 * length)]
    return write_video(path, frames, [number / 2 for number in range(len(frames))], key_frames=4)


@cache
def model() -> Encoder:
    """Return a model of videos of two frames."""
    return tiny_gallery.encoder(num_frames=2)


def colour(picture: PillowImage.Image) -> str:
    """Return the scene that a picture is of."""
    red, green, blue = np.asarray(picture.convert("RGB")).reshape(-1, 3).mean(0)
    return max(zip((red, blue, green), SCENES))[1]


def opened(folder: Path) -> Gallery:
    """Open a gallery of films."""
    return Gallery.open(folder, model())


def moments(gallery: Gallery, path: str = "clip.mp4") -> list[tuple[float | None, float | None]]:
    """Return when the shots of a video begin and end; the last frame is shown for as long as the container says."""
    found = gallery.search("en red 1", 99, f"path={path}", all_moments=True)
    return sorted((each.start, each.end and math.ceil(each.end)) for each in found)  # type: ignore[type-var]
