"""Exported programs against PyTorch on the CPU: seconds per text, and seconds per picture with its description.

    python -m benchmarks.exported_speed

The model is that of `benchmarks.lora_cost`, with random weights: a BERT of 6 layers, 512 wide, and a CLIP ViT of 12
layers, 384 wide, under LECCR's slots. PyTorch, onnxruntime and, for texts, onnxruntime with int8 weights run on the
same inputs in turn, with one thread each; times are the processor's, medians over the turns.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from benchmarks.lora_cost import DESCRIPTION, TEXT, build, make_batch
from leccr.models.export_programs import ImageProgram, TextProgram, onnx_runner, quantize, write_onnx

RESULTS = Path(__file__).parent / "results" / "exported_speed.json"


def inputs_of(rows: int) -> dict[str, dict[str, Tensor]]:
    """Return the inputs of the two programs."""
    batch = make_batch(rows)
    names = ("pixel_values", "description_input_ids", "description_attention_mask")
    texts = {name: batch[f"source_{name}"] for name in ("input_ids", "attention_mask")}
    return {"text": texts, "image": {name: batch[name] for name in names}}


def programs(folder: Path) -> dict[str, dict[str, Callable[..., Tensor]]]:
    """Export both programs, and return by program what runs it."""
    model = build("full")[0].eval()
    runners: dict[str, dict[str, Callable[..., Tensor]]] = {}
    for name, program, longest in (("text", TextProgram(model), TEXT), ("image", ImageProgram(model), DESCRIPTION)):
        path = folder / f"{name}.onnx"
        write_onnx(program, inputs_of(3)[name], longest, path)
        runners[name] = {"PyTorch": program, "ONNX": onnx_runner(path, threads=1)}
    quantize(folder / "text.onnx", folder / "text-int8.onnx")
    runners["text"]["ONNX int8"] = onnx_runner(folder / "text-int8.onnx", threads=1)
    return runners


@torch.inference_mode()
def measure(runners: dict[str, Callable[..., Tensor]], inputs: dict[str, Tensor], turns: int) -> dict[str, float]:
    """Return the processor's milliseconds per row, after one run to warm up."""
    times: dict[str, list[float]] = {name: [] for name in runners}
    for turn in range(turns + 1):
        for name, run in runners.items():
            start = time.process_time()
            run(**inputs)
            if turn:
                times[name].append(1000 * (time.process_time() - start))
    rows = len(next(iter(inputs.values())))
    return {name: round(statistics.median(runners) / rows, 2) for name, runners in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16])
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        for name, runners in programs(Path(folder)).items():
            for rows in options.batch_sizes:
                runners = measure(runners, inputs_of(rows)[name], options.turns)
                results.append({"program": name, "batch_size": rows, "milliseconds_a_row": runners})
                print(results[-1], flush=True)
    RESULTS.write_text(json.dumps({"turns": options.turns, "results": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
