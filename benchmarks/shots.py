"""How well cuts of videos are found: films of photos through which a camera moves, with known cuts and cross-fades.

    python -m benchmarks.shots --shared ../shared

Each shot is a photo of Flickr8k's validation part, through which a window moves, calmly or fast, for one and a half to
five seconds; then comes another photo, at once or by a cross-fade of half a second. A cut that is found within two
frames of a true one counts as right; of a cross-fade, one within it. Precision and recall are given for several
thresholds of FFmpeg's `scdet`, and how much longer finding cuts takes than decoding alone. Results go to
`results/shots.json`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from processing import shots
from processing.shots import find_cuts
from processing.video import decoded_frames, opened_video

RESULTS = Path(__file__).parent / "results" / "shots.json"
THRESHOLDS = (4, 6, 8, 10, 12, 15, 20)
RATE, WIDTH, HEIGHT = 25, 320, 240
FADE = 0.5
# Pixels that the window moves from one frame to the next.
SPEEDS = {"calm": 0.5, "fast": 4.0}


@dataclass(frozen=True)
class Film:
    """A video with known changes, each from a second to a second, which are the same for a cut."""

    path: Path
    changes: list[tuple[float, float]]


def read_photos(shared: Path, count: int) -> list[Path]:
    """Return the first photos of Flickr8k-CN's validation part."""
    folder = shared / "data" / "flickr8k-cn"
    names = (folder / "flickr8kval.txt").read_text(encoding="utf-8").split()
    return [folder / "images" / f"{name.removesuffix('.jpg')}.jpg" for name in names[:count]]


def moving(path: Path, speed: float, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield frames (HEIGHT, WIDTH, 3) of a window that moves through a photo, and turns back at its edges."""
    with Image.open(path) as photo:
        scale = max(1.5 * WIDTH / photo.width, 1.5 * HEIGHT / photo.height)
        large = np.asarray(photo.convert("RGB").resize((round(scale * photo.width), round(scale * photo.height))))
    room = np.array([large.shape[0] - HEIGHT, large.shape[1] - WIDTH])
    angle = generator.uniform(0, 2 * np.pi)
    step = speed * np.array([np.sin(angle), np.cos(angle)])
    place = generator.uniform(0, 1, 2) * room
    while True:
        top, left = (room - np.abs(place % (2 * room) - room)).astype(int)
        yield large[top : top + HEIGHT, left : left + WIDTH]
        place = place + step


def make_film(path: Path, photos: Sequence[Path], speed: float, fade: float, seed: int) -> Film:
    """Write a film of one shot for each photo."""
    generator = np.random.default_rng(seed)
    cameras = [moving(photo, speed, generator) for photo in photos]
    lengths = generator.integers(round(1.5 * RATE), 5 * RATE, len(photos))
    blended = round(fade * RATE)
    changes, number = [], 0
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"

        def write(picture: np.ndarray) -> None:
            nonlocal number
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
            number += 1

        for index, (camera, length) in enumerate(zip(cameras, lengths)):
            for _ in range(length):
                write(next(camera))
            if index + 1 == len(cameras):
                break
            start = number / RATE
            for step in range(blended):
                share = (step + 1) / (blended + 1)
                mixed = (1 - share) * next(camera) + share * next(cameras[index + 1])
                write(mixed.astype(np.uint8))
            changes.append((start, number / RATE))
        container.mux(stream.encode())
    return Film(path, changes)


def count_right(found: Sequence[float], changes: Sequence[tuple[float, float]]) -> int:
    """Return how many changes are found, each at most once."""
    tolerance = 2 / RATE
    return sum(any(start - tolerance <= cut <= end + tolerance for cut in found) for start, end in changes)


def decode(path: Path) -> None:
    """Decode a video."""
    with opened_video(path) as (container, stream):
        for _ in decoded_frames(path, container, stream):
            pass


def measure(film: Film) -> dict[str, Any]:
    """Return precision and recall for each threshold, and how much longer finding cuts takes than decoding."""
    rows = {}
    usual = shots.LEAST_CHANGE
    for threshold in THRESHOLDS:
        shots.LEAST_CHANGE = threshold
        found = list(find_cuts(film.path))
        right = count_right(found, film.changes)
        rows[str(threshold)] = {
            "precision": round(right / len(found), 3) if found else None,
            "recall": round(right / len(film.changes), 3),
        }
    shots.LEAST_CHANGE = usual
    seconds = []
    for work in (decode, lambda path: list(find_cuts(path))):
        begun = time.perf_counter()
        work(film.path)
        seconds.append(time.perf_counter() - begun)
    return {"thresholds": rows, "changes": len(film.changes), "time_over_decoding": round(seconds[1] / seconds[0], 2)}


def main() -> None:
    """Measure, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with the shared data")
    parser.add_argument("--count", type=int, default=60, help="shots of each film")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to write")
    arguments = parser.parse_args()
    photos = read_photos(arguments.shared, arguments.count)
    results = {}
    print("| film | threshold | precision | recall |\n| --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for name, speed in SPEEDS.items():
            for change, fade in (("cuts", 0.0), ("fades", FADE)):
                film = make_film(Path(folder, f"{name}-{change}.mp4"), photos, speed, fade, seed=0)
                results[f"{name}, {change}"] = found = measure(film)
                for threshold, row in found["thresholds"].items():
                    print(f"| {name}, {change} | {threshold} | {row['precision']} | {row['recall']} |", flush=True)
    arguments.results.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
