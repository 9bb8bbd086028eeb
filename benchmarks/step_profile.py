"""Where the time of a training step goes, by part of the network and by operation.

    python -m benchmarks.step_profile

The step is that of `leccr train` (`benchmarks.step_model`: bf16, fused AdamW), or with `--fp32` that without bf16.
`torch.profiler` records it; the table of parts is wall-clock time in the forward pass, then the backward pass, clipping
and the optimizer as wholes, and the table of operations is the processor's time in each, forward and backward. Results
go to `results/step_profile.json`.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from .step_model import TOWERS, Step, build, make_batch

RESULTS = Path(__file__).parent / "results" / "step_profile.json"
WHOLES = ("forward", "backward", "clipping", "optimizer")
PARTS = {
    "image.tower": "vision tower",
    "text.tower": "text tower: captions, descriptions",
    "text.head": "text head",
    "image.interaction": "slots and interaction",
    "image.anchor": "anchored slots",
    "objective": "objectives",
}
WARM_UP, OPERATIONS = 2, 12


def label(module: nn.Module, name: str) -> None:
    """Let the profiler record a module under a name."""
    forward = module.forward

    def recorded(*args: Any, **kwargs: Any) -> Any:
        with record_function(name):
            return forward(*args, **kwargs)

    module.forward = recorded  # type: ignore[method-assign]


def profiled(towers: str, rows: int, steps: int, bf16: bool) -> list[dict[str, Any]]:
    """Return the milliseconds a step of each part and of the longest operations, and their shares."""
    model = build(towers)
    for path, name in PARTS.items():
        if path != "image.tower" or model.image.tower is not None:
            label(model.get_submodule(path), name)
    step = Step(model, make_batch(towers, rows), bf16=bf16, fused=True)
    for _ in range(WARM_UP):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(steps):
            step()
    spans: dict[tuple[str, str], float] = defaultdict(float)
    for event in recorded.key_averages():
        if event.key in WHOLES:
            spans["whole", event.key] += event.cpu_time_total
        elif event.key in PARTS.values():
            spans["part of forward", event.key] += event.cpu_time_total
        else:
            spans["operation", event.key] += event.self_cpu_time_total
    total = sum(spans["whole", name] for name in WHOLES)
    longest = sorted(spans, key=lambda key: -spans[key])
    kept = {kind: [key for key in longest if key[0] == kind] for kind in ("whole", "part of forward", "operation")}
    kept["operation"] = kept["operation"][:OPERATIONS]
    return [
        {
            "towers": towers,
            "kind": kind,
            "name": name,
            "ms_a_step": round(spans[kind, name] / steps / 1000, 2),
            "share": round(spans[kind, name] / total, 3),
        }
        for keys in kept.values()
        for kind, name in keys
    ]


def main() -> None:
    """Profile, print a table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--towers", nargs="+", choices=TOWERS, default=TOWERS)
    parser.add_argument("--fp32", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [row for name in options.towers for row in profiled(name, options.rows, options.steps, not options.fp32)]
    print("| towers | | part or operation | ms a step | share |\n| --- | --- | --- | ---: | ---: |")
    for row in rows:
        print(f"| {row['towers']} | {row['kind']} | {row['name']} | {row['ms_a_step']:.1f} | {row['share']:.0%} |")
    settings = {"rows": options.rows, "steps": options.steps, "bf16": not options.fp32, "threads": options.threads}
    RESULTS.write_text(json.dumps({"settings": settings, "results": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
