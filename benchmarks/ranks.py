"""How long ranks take, against the bare float32 product of the same texts and images: python -m benchmarks.ranks

Each turn measures, one after the other, the product in blocks of the same size, `retrieval_ranks` (both directions and
average precision) and the metric `cross_modal_retrieval`. Medians over the turns and their ratios are printed, and
written to `benchmarks/results/ranks.json`.
"""

import argparse
import importlib.resources
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import evaluate  # type: ignore[import-untyped]
import torch
from torch import Tensor
from torch.nn.functional import normalize

from leccr.evaluation.ranks import CHUNK, retrieval_ranks

RESULTS = Path(__file__).parent / "results" / "ranks.json"
LIKENESSES = {"as without training": 0.0, "as a trained model": 0.3}
"""How much a caption is like its image, for captions of unit length with noise of the same length."""


def embeddings(images: int, captions: int, views: int, width: int, likeness: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return unit vectors of texts (T, D) and views (N, K, D), and the image (T,) of each text, in no order."""
    generator = torch.Generator().manual_seed(0)
    owner = torch.arange(images).repeat(captions)[torch.randperm(images * captions, generator=generator)]
    gallery = normalize(torch.randn(images, views, width, generator=generator), dim=-1)
    noise = normalize(torch.randn(len(owner), width, generator=generator), dim=-1)
    return normalize(likeness * gallery[owner, 0] + noise, dim=-1), gallery, owner


def product(texts: Tensor, gallery: Tensor) -> None:
    """Multiply all texts with all views, a block at a time."""
    views = gallery.flatten(0, 1)
    out = torch.empty(CHUNK, CHUNK, device=texts.device)
    for some in texts.split(CHUNK):
        for others in views.split(CHUNK):
            torch.mm(some, others.T, out=out[: len(some), : len(others)])


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Return how long it takes."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def measure(turns: int, device: torch.device, **sizes: Any) -> dict[str, Any]:
    """Return medians in seconds, and how many times the product's the others are."""
    texts, gallery, owner = (each.to(device) for each in embeddings(**sizes))
    metric = evaluate.load(str(importlib.resources.files("leccr") / "cross_modal_retrieval"))
    tasks: dict[str, Callable[[], Any]] = {
        "product": lambda: product(texts, gallery),
        "ranks": lambda: retrieval_ranks(texts, gallery, owner),
        "metric": lambda: metric.compute(predictions=texts, references=owner, image_views=gallery),
    }
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(turns + 1):
        for name, work in tasks.items():
            spent = seconds(work, device)
            if turn:  # The first one warms up.
                times[name].append(spent)
    found = {name: median(each) for name, each in times.items()}
    return {
        **sizes,
        "seconds": {name: round(each, 4) for name, each in found.items()},
        "ranks / product": round(found["ranks"] / found["product"], 2),
        "metric / ranks": round(found["metric"] / found["ranks"], 2),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--captions", type=int, default=5, help="of each image")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    sizes = {"images": arguments.images, "captions": arguments.captions, "width": arguments.width}
    results: dict[str, Any] = {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": str(device)}
    for views in (1, 4):
        for name, likeness in LIKENESSES.items():
            turns = arguments.turns if views == 1 else max(1, arguments.turns // 2)
            found = measure(turns, device, **sizes, views=views, likeness=likeness)
            results[f"{name}, {views} view{'s' * (views > 1)}"] = found
            print(f"{name}, {views} views: {json.dumps(found)}", flush=True)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
