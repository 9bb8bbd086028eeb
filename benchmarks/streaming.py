"""Memory and rate of `leccr prepare` and of a streamed epoch by the number of rows.

    python -m benchmarks.streaming --rows 10000,100000
    python -m benchmarks.streaming --rows 10000,100000,1000000

Rows are synthetic: a small JPEG, five English captions, as many German ones, and a description each. Pictures are
links to a few files, so that they take room on the disk only when they are prepared. Each measurement is a process of
its own; its memory is the peak above what the libraries take.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.memory import peak_megabytes, resident_megabytes

SIDE, CAPTIONS = 32, 5
# File systems allow some ten thousands of links to a file.
LINKS = 30_000
RESULTS = Path(__file__).parent / "results" / "streaming.json"


def write_folder(folder: Path, count: int) -> None:
    """Write `count` captioned pictures as a person would have them in a folder."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as metadata:
        for number in range(count):
            path = folder / f"{number:07d}.jpg"
            if number % LINKS == 0:
                original = path
                Image.fromarray(generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
            else:
                os.link(original, path)
            line = {
                "file_name": path.name,
                "caption": [f"Caption {text} of picture {number}." for text in range(CAPTIONS)],
                "caption_de": [f"Text {text} zu Bild {number}." for text in range(CAPTIONS)],
                "description": f"A longer description of what can be seen in the picture with the number {number}.",
            }
            metadata.write(json.dumps(line) + "\n")


def prepare(source: str, target: str) -> int:
    from leccr.data.options import PrepareOptions
    from leccr.data.prepare import run_preparation

    with redirect_stdout(StringIO()):
        counts = run_preparation("folder", target, PrepareOptions(root=Path(source)))
    return sum(split.rows for split in counts.values())


def stream(source: str, target: str) -> int:
    from processing.streaming import StreamedRows, open_shards

    rows = StreamedRows(open_shards(target, re.compile(r"train-.+\.parquet")), target).shuffled(128, 1, 1000, seed=0)
    return sum(len(rows.__getitems__(range(start, min(start + 128, len(rows))))) for start in range(0, len(rows), 128))


STEPS = {"prepare": prepare, "stream": stream}


def measured(step: str, source: str, target: str) -> None:
    """Print the rows, seconds and megabytes of a step; runs in a process of its own."""
    import leccr.data.prepare  # noqa: F401
    import processing.streaming  # noqa: F401

    Path("/proc/self/clear_refs").write_text("5")
    before, started = resident_megabytes(), time.perf_counter()
    rows = STEPS[step](source, target)
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - started, "megabytes": peak_megabytes() - before}))


def alone(step: str, source: Path, target: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.streaming", "--step", step, str(source), str(target)]
    last = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    content: dict[str, Any] = json.loads(last)
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="10000,100000", help="Numbers of rows, with commas between.")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        return measured(*arguments.step)
    results = []
    print("| rows | data set, MB | step | rows per second | memory, MB |\n| ---: | ---: | --- | ---: | ---: |")
    for count in map(int, arguments.rows.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "pictures", Path(folder) / "data"
            write_folder(source, count)
            for step in STEPS:
                found = alone(step, source, target)
                size = sum(path.stat().st_size for path in target.iterdir()) / 2**20
                results.append({"step": step, "data_megabytes": round(size), **found})
                rate = found["rows"] / found["seconds"]
                print(f"| {count:,} | {size:,.0f} | {step} | {rate:,.0f} | {found['megabytes']:,.0f} |", flush=True)
    RESULTS.write_text(json.dumps({"results": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
