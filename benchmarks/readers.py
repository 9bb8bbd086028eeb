"""Rows per second of each reader on shared data, and peak memory of `leccr prepare` by the size of the data.

    python -m benchmarks.readers --shared ../shared

The first table times only reading and checking, then reading, checking and writing with the images embedded. The
second one prepares a folder of N captioned pictures, and one of 10 N, each in a separate process, and gives the
memory that the process held before (only the libraries), and the most that it held from then on.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
from PIL import Image

from leccr.data.options import PrepareOptions
from leccr.data.prepare import run_preparation
from processing.readers import READERS, Collection, check_splits, check_visuals

from .memory import peak_megabytes, resident_megabytes

PICTURES = 1000
SIDE = 160
CAPTIONS = 5


def readings(shared: Path) -> dict[str, Callable[[], Collection]]:
    data = shared / "data"
    photos = data / "flickr8k-cn" / "images"
    return {
        "flickr8k-cn": lambda: READERS["flickr8k-cn"].read(data / "flickr8k-cn"),
        "multi30k --task 1": lambda: READERS["multi30k"].read(data / "multi30k", task=1, images=photos),
        "multi30k --task 2": lambda: READERS["multi30k"].read(data / "multi30k", task=2, images=photos),
        "five-languages": lambda: READERS["five-languages"].read(data),
        "folder, no metadata": lambda: READERS["folder"].read(photos),
    }


def time_reading(read: Callable[[], Collection], repeats: int) -> tuple[int, float]:
    """Return the number of rows and the seconds that the fastest of a few readings took, checks included."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        # Most of Multi30K's photos are missing: the check looks for them all the same.
        collection = check_visuals(read(), allow_missing=True)
        check_splits(collection.splits)
        seconds.append(time.perf_counter() - started)
    return sum(1 for rows in read().splits.values() for _ in rows), min(seconds)


def time_preparing(shared: Path) -> tuple[int, float]:
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        started = time.perf_counter()
        counts = run_preparation(
            "flickr8k-cn", Path(folder) / "data", PrepareOptions(root=shared / "data" / "flickr8k-cn")
        )
        return sum(split.rows for split in counts.values()), time.perf_counter() - started


def make_pictures(folder: Path, count: int) -> None:
    """Write pictures of noise, about 20 kB each, with five captions each."""
    generator = np.random.default_rng(0)
    lines = ["file_name,caption,caption_de"]
    for number in range(count):
        pixels = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.jpg", quality=80)
        lines += [
            f"{number:06d}.jpg,Caption {text} of picture {number}.,Text {text} zu Bild {number}."
            for text in range(CAPTIONS)
        ]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure_memory(count: int) -> tuple[float, float, float]:
    """Return megabytes: those held before preparing `count` pictures, the peak while doing it, and the data set's."""
    with tempfile.TemporaryDirectory() as folder:
        pictures, output = Path(folder) / "pictures", Path(folder) / "data"
        pictures.mkdir()
        make_pictures(pictures, count)
        command = [sys.executable, "-m", "benchmarks.readers", "--prepare", str(pictures), str(output)]
        last = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        before, after = map(float, last.split())
        return before, after, sum(path.stat().st_size for path in output.iterdir()) / 2**20


def prepare_alone(pictures: str, output: str) -> None:
    # Importing the libraries has its own peak, which would hide that of the run: it is forgotten.
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_megabytes()
    run_preparation("folder", output, PrepareOptions(root=Path(pictures)))
    print(before, peak_megabytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--pictures", type=int, default=PICTURES, help="N")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        return prepare_alone(*arguments.prepare)
    print("| reader | rows | seconds | rows per second |\n| --- | ---: | ---: | ---: |")
    for name, read in readings(arguments.shared).items():
        rows, seconds = time_reading(read, arguments.repeats)
        print(f"| {name} | {rows} | {seconds:.2f} | {rows / seconds:,.0f} |")
    rows, seconds = time_preparing(arguments.shared)
    print(f"| flickr8k-cn, written with its images | {rows} | {seconds:.2f} | {rows / seconds:,.0f} |")
    print("\n| pictures | data set, MB | memory before, MB | peak memory, MB |\n| ---: | ---: | ---: | ---: |")
    for count in (arguments.pictures, 10 * arguments.pictures):
        before, after, size = measure_memory(count)
        print(f"| {count} | {size:.0f} | {before:.0f} | {after:.0f} |")


if __name__ == "__main__":
    main()
