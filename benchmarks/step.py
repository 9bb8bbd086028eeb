"""What makes a training step faster: bf16, fused AdamW, captions encoded together, torch.compile; and what chunks cost.

    python -m benchmarks.step

The models are those of `benchmarks.step_model`, with 128 rows a batch. All ways take turns in one process; the table
has the median of each way's ratio to the plain step (float32, AdamW in several passes, captions one language after the
other) of the same turn, and the quartiles. `leccr train` is bf16, fused and together. Results go to
`results/step.json`.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from modeling_leccr import chunks_leccr

from .step_model import TOWERS, Step, build, make_batch

RESULTS = Path(__file__).parent / "results" / "step.json"
PLAIN = "plain"
FAST = {"bf16": True, "fused": True}
WAYS: dict[str, dict[str, Any]] = {
    PLAIN: {"together": False},
    "fused": {"fused": True, "together": False},
    "together": {},
    "fused, together": {"fused": True},
    "bf16": {"bf16": True, "together": False},
    "bf16, fused, together: leccr train": FAST,
    "leccr train, without descriptions": {**FAST, "model": {"num_slots": 0}},
    "leccr train, torch.compile": {**FAST, "compiled": True},
    "leccr train, chunks of 32": {**FAST, "model": {"encode_chunk_size": 32}},
}
WARM_UP = 2


class Way:
    """One way to make the step.

    Args:
        towers: As in `benchmarks.step_model`.
        rows: Rows of a batch.
        model: Fields of the configuration that differ.
        together: Whether captions of both languages are encoded together.
        **settings: As for `Step`.
    """

    def __init__(
        self, towers: str, rows: int, model: dict[str, Any] | None = None, together: bool = True, **settings: Any
    ) -> None:
        self.step = Step(build(towers, **(model or {})), make_batch(towers, rows), **settings)
        self.most_padding = chunks_leccr.MOST_PADDING if together else -1.0

    def seconds(self) -> float:
        """Make a step, and return how long it took."""
        with patch.object(chunks_leccr, "MOST_PADDING", self.most_padding):
            start = time.perf_counter()
            self.step()
            return time.perf_counter() - start


def measure(towers: str, rows: int, turns: int, names: list[str]) -> list[dict[str, Any]]:
    """Let all ways take turns, and return what each takes, also relative to the plain one."""
    ways = {name: Way(towers, rows, **WAYS[name]) for name in dict.fromkeys([PLAIN, *names])}
    for way in ways.values():
        for _ in range(WARM_UP):
            way.seconds()
    runs = [{name: way.seconds() for name, way in ways.items()} for _ in range(turns)]
    results = []
    for name in ways:
        low, middle, high = statistics.quantiles([run[PLAIN] / run[name] for run in runs], n=4)
        seconds = round(statistics.median(run[name] for run in runs), 4)
        quartiles = [round(low, 2), round(high, 2)]
        results.append(
            {"towers": towers, "way": name, "seconds": seconds, "rate": round(middle, 2), "quartiles": quartiles}
        )
    return results


def main() -> None:
    """Measure, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--towers", nargs="+", choices=TOWERS, default=TOWERS)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = [row for towers in options.towers for row in measure(towers, options.rows, options.turns, options.ways)]
    print("| towers | step | s | rate against plain |\n| --- | --- | ---: | ---: |")
    for row in results:
        low, high = row["quartiles"]
        print(f"| {row['towers']} | {row['way']} | {row['seconds']:.3f} | {row['rate']:.2f} ({low:.2f}–{high:.2f}) |")
    settings = {"rows": options.rows, "turns": options.turns, "threads": options.threads, "torch": torch.__version__}
    RESULTS.write_text(json.dumps({"settings": settings, "results": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
