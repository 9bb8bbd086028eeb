"""Memory and time of large contrastive batches that are encoded in chunks (`encode_chunk_size`).

    python -m benchmarks.large_batches

The model is `leccr` over a small ViT and a small BERT (`benchmarks.step_model`), in bf16. Each case is a process of its
own; memory is the most that it had in two steps, less what it had with model and batch before them. For the time, a
batch that fits is trained with and without chunks in turn, in one process. Results go to
`results/large_batches.json`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .memory import peak_megabytes

RESULTS = Path(__file__).parent / "results" / "large_batches.json"
TOWERS = "transformers"


def memory(rows: int, chunk: int | None) -> float:
    """Return the megabytes that steps need in this process beyond model and batch."""
    from .step_model import Step, build, make_batch

    step = Step(build(TOWERS, encode_chunk_size=chunk), make_batch(TOWERS, rows), bf16=True, fused=True)
    before = peak_megabytes()
    for _ in range(2):
        step()
    return round(peak_megabytes() - before, 1)


def memory_in_another_process(rows: int, chunk: int | None) -> float:
    """Return what `memory` returns in a new process."""
    words = ["--case", str(rows), *([] if chunk is None else ["--chunk", str(chunk)])]
    command = [sys.executable, "-m", "benchmarks.large_batches", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def slowdown(rows: int, chunk: int, turns: int) -> float:
    """Return how much longer a step in chunks takes than the same in one piece."""
    from .step_model import Step, build, make_batch

    steps = [
        Step(build(TOWERS, encode_chunk_size=size), make_batch(TOWERS, rows), bf16=True, fused=True)
        for size in (None, chunk)
    ]
    ratios = []
    for _ in range(1 + turns):
        seconds = []
        for step in steps:
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[1] / seconds[0])
    # Memory is allocated in the first turn.
    return round(statistics.median(ratios[1:]), 2)


def measure(rows: int, chunk: int, turns: int) -> dict[str, Any]:
    """Return memory and time of batches of `rows` in chunks of `chunk`."""
    plain = memory_in_another_process(chunk, None)
    chunked = memory_in_another_process(rows, chunk)
    return {
        "rows": rows,
        "chunk": chunk,
        "chunk_alone_mb": plain,
        "in_chunks_mb": chunked,
        "memory_ratio": round(chunked / plain, 2),
        "time_ratio": slowdown(4 * chunk, chunk, turns),
    }


def main() -> None:
    """Measure, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--chunk", type=int, help="rows of a chunk; 64 unless told otherwise")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(memory(options.case, options.chunk))
        return
    chunk = options.chunk or 64
    results = [measure(rows, chunk, options.turns) for rows in options.rows]
    print(f"| batch | MB of {chunk} alone | MB in chunks of {chunk} | memory | time |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for row in results:
        cells = (row[name] for name in ("rows", "chunk_alone_mb", "in_chunks_mb", "memory_ratio", "time_ratio"))
        print(f"| {' | '.join(map(str, cells))} |")
    RESULTS.write_text(json.dumps({"turns": options.turns, "results": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
