"""What int8 weights cost the text tower in hit rate, and what they save: size and time on the CPU.

    python -m benchmarks.quantised_text CHECKPOINT EXPORTED DATA --split test

EXPORTED is what `leccr export CHECKPOINT --int8 --out EXPORTED` wrote. Pictures are encoded by PyTorch each time;
texts by PyTorch, by text.onnx and by text-int8.onnx. The protocol is that of `leccr evaluate`. "ms/text" is the
median time for one short text at a time, with one thread for each.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leccr.data.loading import load_data, split_of
from leccr.evaluation.evaluate import evaluate_retrieval
from leccr.evaluation.tables import format_table
from leccr.models.checkpoints import load_retriever
from leccr.models.export import TEXT, text_sample
from leccr.models.export_programs import onnx_runner
from leccr.models.model_encoder import ModelEncoder


def milliseconds(encode: Callable[..., Tensor], inputs: dict[str, Tensor], repeats: int = 50) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        encode(**inputs)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def measure(checkpoint: str, exported: Path, data: str, split: str) -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    model, processor = load_retriever(checkpoint)
    splits, features = load_data(data)
    rows = split_of(splits, split, data)
    one = {name: value[:1] for name, value in text_sample(processor).items()}
    encoders: dict[str, Callable[..., Tensor]] = {"PyTorch": model.get_text_features}
    encoders |= {name: onnx_runner(exported / f"{name}.onnx", threads=1) for name in (TEXT, f"{TEXT}-int8")}
    results = []
    for name, encode in encoders.items():
        model.get_text_features = encode
        with torch.inference_mode():
            cost = milliseconds(encode, one)
        size = "" if name == "PyTorch" else f"{(exported / f'{name}.onnx').stat().st_size / 2**20:.1f}"
        for result in evaluate_retrieval(ModelEncoder(model, processor), rows, features=features):
            results.append({**result, "text tower": name, "MB": size, "ms/text": f"{cost:.2f}"})
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("exported", type=Path)
    parser.add_argument("data")
    parser.add_argument("--split", default="validation")
    options = parser.parse_args()
    results = measure(options.checkpoint, options.exported, options.data, options.split)
    print(format_table(results, label_columns=["text tower", "MB", "ms/text", "language"]))


if __name__ == "__main__":
    main()
