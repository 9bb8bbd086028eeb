"""What LoRA saves: peak memory and time a step, against training the towers in full.

    python -m benchmarks.lora_cost

The model is `leccr` with its published sizes over a CLIP ViT (12 layers, 384 wide, 224x224 pictures) and a BERT (6
layers, 512 wide, 30,000 word pieces), both with random weights, on random pictures and texts of 32 tokens; descriptions
have 64. AdamW, float32, one thread. Each run is a separate process, and the two kinds take turns; memory is the
process's peak less what it had before the first step, and time the processor's, so that other work counts little. The
first steps, in which memory is allocated, are left out of the time.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .memory import peak_megabytes

RESULTS = Path(__file__).parent / "results" / "lora_cost.json"
KINDS = ("full", "lora")
RANK = 16
WARM_UP = 2
PICTURE, TEXT, DESCRIPTION, VOCABULARY = 224, 32, 64, 30_000


def build(kind: str) -> tuple[Any, int]:
    """Return the model in training mode, with LoRA or without, and the number of its weights without."""
    import torch
    from transformers import BertConfig, CLIPVisionConfig

    from leccr.models.lora import add_lora
    from modeling_leccr import LeccrConfig, LeccrModel

    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 12, "hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
    vision = CLIPVisionConfig(**sizes, image_size=PICTURE, patch_size=32, projection_dim=512)
    sizes = {"num_hidden_layers": 6, "hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 2048}
    text = BertConfig(**sizes, vocab_size=VOCABULARY)
    config = LeccrConfig(vision_config=vision, text_config=text, slot_anchor="text", description_gradient=True)
    model = LeccrModel(config)
    total = sum(weight.numel() for weight in model.parameters())
    return (add_lora(model, RANK) if kind == "lora" else model).train(), total


def make_batch(rows: int) -> dict[str, Any]:
    """Return random pictures, captions and descriptions."""
    import torch

    generator = torch.Generator().manual_seed(0)
    batch = {"pixel_values": torch.randn(rows, 3, PICTURE, PICTURE, generator=generator)}
    for name, length in (("source", TEXT), ("target", TEXT), ("description", DESCRIPTION)):
        batch[f"{name}_input_ids"] = torch.randint(5, VOCABULARY, (rows, length), generator=generator)
        batch[f"{name}_attention_mask"] = torch.ones(rows, length, dtype=torch.long)
    return batch


def measure(kind: str, rows: int, steps: int) -> dict[str, Any]:
    """Train for some steps in this process, and return what they cost."""
    import torch

    torch.set_num_threads(1)
    model, total = build(kind)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-5)
    batch, seconds, before = make_batch(rows), [], peak_megabytes()
    for _ in range(WARM_UP + steps):
        start = time.process_time()
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
        seconds.append(time.process_time() - start)
    return {
        "kind": kind,
        "weights": total,
        "trained": sum(weight.numel() for weight in weights),
        "peak_mb": round(peak_megabytes()),
        "steps_mb": round(peak_megabytes() - before),
        "seconds_a_step": round(statistics.median(seconds[WARM_UP:]), 3),
    }


def run(rows: int, steps: int, turns: int) -> list[dict[str, Any]]:
    """Measure both kinds in turn, each in a new process, and return the median of each."""
    runs = []
    for turn in range(turns):
        for kind in KINDS:
            words = ["--kind", kind, "--batch-size", str(rows), "--steps", str(steps)]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.lora_cost", *words], check=True, capture_output=True, text=True
            )
            runs.append(json.loads(done.stdout.splitlines()[-1]))
            print(turn + 1, runs[-1], flush=True)
    return [middle([one for one in runs if one["kind"] == kind]) for kind in KINDS]


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return runs of one kind as one, their figures being the medians."""
    figures = ("peak_mb", "steps_mb", "seconds_a_step")
    return runs[0] | {name: statistics.median(one[name] for one in runs) for name in figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6, help=f"after the first {WARM_UP}")
    parser.add_argument("--turns", type=int, default=2, help="processes of each kind")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        print(json.dumps(measure(options.kind, options.batch_size, options.steps)))
        return
    results = run(options.batch_size, options.steps, options.turns)
    settings = {"rank": RANK, "batch_size": options.batch_size, "steps": options.steps, "turns": options.turns}
    settings["machine"] = f"{platform.machine()}, one thread"
    RESULTS.write_text(json.dumps({"settings": settings, "results": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
