"""Memory of `leccr index` on photos of 12 megapixels: peak of the process for 10, 20 and 40 of them.

    python -m benchmarks.large_photos --model quickstart/model

The photos are JPEGs of 4000×3000 pixels with detail of all sizes, made here. Each gallery is built in a process of its
own, whose peak resident memory is compared with that of a process that indexes one small picture: what is left is what
the photos cost. Results go to `results/large_photos.json`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

RESULTS = Path(__file__).parent / "results" / "large_photos.json"
WIDTH, HEIGHT = 4000, 3000
COUNTS = (10, 20, 40)
PNG = "png"


def make_photo(seed: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Return a picture with detail of all sizes, as a photo has."""
    steps = (1 + seed % 3, 4, 32)
    noise = [Image.effect_noise((max(1, size[0] // step), max(1, size[1] // step)), 60) for step in steps]
    return Image.merge("RGB", [layer.resize(size) for layer in noise])


def make_photos(folder: Path, count: int, kind: str) -> Path:
    """Write photos, a few different ones again and again; their names differ, which is enough for a gallery."""
    folder.mkdir()
    different = 5
    for number in range(count):
        path = folder / f"{number:03d}.{kind}"
        if number < different:
            make_photo(number).save(path, quality=92)
        else:
            path.write_bytes((folder / f"{number % different:03d}.{kind}").read_bytes())
    return folder


def index(photos: Path, model: str, gallery: Path) -> tuple[float, float]:
    """Index photos in another process, and return its peak memory in MB and its seconds."""
    code = (
        "from benchmarks.memory import peak_megabytes; from leccr.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('PEAK', peak_megabytes())"
    )
    command = [sys.executable, "-c", code, "index", str(photos), "--model", model, "--out", str(gallery)]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    return float(done.stdout.split("PEAK")[1]), seconds


def main() -> None:
    """Measure, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a trained model")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="numbers of photos")
    parser.add_argument("--kinds", nargs="+", default=["jpg", PNG], help="endings of the photos")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small").mkdir()
        make_photo(0, (64, 64)).save(folder / "small" / "small.jpg")
        base, _ = index(folder / "small", arguments.model, folder / "small-gallery")
        print(f"one small picture: {base:.0f} MB\n\n| photos | peak MB | above one small picture | seconds |")
        print("| --- | ---: | ---: | ---: |")
        for kind in arguments.kinds:
            for count in arguments.counts:
                photos = make_photos(folder / f"{kind}-{count}", count, kind)
                peak, seconds = index(photos, arguments.model, folder / f"gallery-{kind}-{count}")
                rows.append({"kind": kind, "photos": count, "peak_mb": round(peak), "seconds": round(seconds, 1)})
                print(f"| {count} {kind} | {peak:.0f} | {peak - base:.0f} | {seconds:.1f} |", flush=True)
    RESULTS.write_text(json.dumps({"small_mb": round(base), "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
