"""Texts per second of our own text encoding and of sentence-transformers', on the same checkpoint.

    python -m benchmarks.text_rate --checkpoint benchmarks/cache/study/runs/recipes-leccr-seed0 --shared ../shared

The texts are Flickr8k-CN's validation captions: English, human Chinese, and both mixed. Each tower is loaded from one
folder by both libraries: the checkpoint's own, and a BERT of 6 layers, 256 wide, with random weights and the
checkpoint's tokenizer. "Ours" is `leccr.models.encoder.Encoder.texts`, theirs `SentenceTransformer.encode`; both return
one tensor of the same embeddings, which is checked. They take turns on the same texts, in changing order, with the same
batch size, one thread each. A rate is texts per second of processor time, so that other work on the machine weighs
little; the ratio is that of two turns that follow each other. Results go to `results/text_rate.json`.
"""

import argparse
import gc
import json
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentence_transformers
import tokenizers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers import BertConfig

from hub_card.tables import markdown_table
from leccr.models.checkpoints import load_retriever
from leccr.models.encoder import Encoder
from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.writing import write_json

HERE = Path(__file__).parent
CAPTIONS = {"en": "flickr8kenc.caption.txt", "zh": "flickr8kzhc.val.caption.txt"}


def read_captions(shared: Path, count: int, seed: int = 0) -> dict[str, list[str]]:
    """Return `count` validation captions in each language, and as many of both mixed."""
    folder = shared / "data" / "flickr8k-cn"
    validation = set((folder / "flickr8kval.txt").read_text(encoding="utf-8").split())
    texts = {}
    for language, name in CAPTIONS.items():
        lines = (line.split(" ", 1) for line in (folder / "captions" / name).read_text(encoding="utf-8").splitlines())
        captions = [text.strip() for image, text in lines if image.split(".")[0] in validation and text.strip()]
        texts[language] = random.Random(seed).sample(captions, min(count, len(captions)))
    mixed = [text for captions in texts.values() for text in captions[: count // len(texts)]]
    random.Random(seed).shuffle(mixed)
    return texts | {"en+zh": mixed}


def save_transformer(processor: LeccrProcessor, width: int, folder: Path) -> None:
    """Save a model over a BERT of 6 layers with random weights, which reads texts as the processor's own model does."""
    torch.manual_seed(0)
    text = BertConfig(
        vocab_size=len(processor.tokenizer),
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
    )
    model = LeccrModel.from_pretrained_towers(
        None, text, visual_feature_dim=8, projection_dim=width, num_slots=0, text_pooling="mean"
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def seconds(encode: Callable[[], Tensor]) -> float:
    started = time.process_time()
    encode()
    return time.process_time() - started


def compare(folder: str, texts: list[str], batch_size: int, turns: int) -> dict[str, Any]:
    """Time both libraries in turn on one checkpoint."""
    encoder = Encoder.load(folder, device="cpu")
    library = SentenceTransformer(folder, trust_remote_code=True, device="cpu")
    encoders: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: torch.from_numpy(encoder.texts(texts, batch_size)),
        "theirs": lambda: library.encode(texts, batch_size=batch_size, convert_to_tensor=True, show_progress_bar=False),
    }
    # This warms up, too.
    difference = (encoders["ours"]() - encoders["theirs"]()).abs().max().item()
    if difference > 1e-5:
        raise ValueError(f"The two give embeddings that differ by {difference}.")
    # Or else a turn of either pays once for looking through all that the libraries made when they were loaded.
    gc.collect()
    spent: dict[str, list[float]] = {name: [] for name in encoders}
    for turn in range(turns):
        for name in list(encoders)[:: 1 if turn % 2 else -1]:
            spent[name].append(seconds(encoders[name]))
    ratios = [theirs / ours for ours, theirs in zip(spent["ours"], spent["theirs"])]
    rates = {f"{name}_texts_per_second": round(len(texts) / statistics.median(spent[name]), 1) for name in encoders}
    return {
        **rates,
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "largest_difference": difference,
    }


def machine() -> dict[str, Any]:
    names = [line.split(":")[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "load": [round(value, 1) for value in os.getloadavg()],
        **{library.__name__: library.__version__ for library in (torch, transformers, tokenizers)},
        sentence_transformers.__name__: sentence_transformers.__version__,
    }


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--texts", type=int, nargs=2, default=(2000, 384), help="of a turn: checkpoint, transformer")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=(32, 128))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "text_rate.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    transformers.logging.disable_progress_bar()
    model, processor = load_retriever(given.checkpoint)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        transformer = Path(folder) / "leccr-bert-6x256"
        save_transformer(processor, model.config.projection_dim, transformer)
        towers = {"checkpoint": str(given.checkpoint), "BERT 6 x 256, random": str(transformer)}
        for (tower, checkpoint), count in zip(towers.items(), given.texts):
            for language, texts in read_captions(given.shared, count).items():
                for batch_size in given.batch_sizes:
                    setting = {"tower": tower, "texts": language, "count": len(texts), "batch_size": batch_size}
                    results.append(setting | compare(checkpoint, texts, batch_size, given.turns))
                    print(json.dumps(results[-1]), flush=True)
    content = {"checkpoint": given.checkpoint, "commit": commit(), "turns": given.turns, "machine": machine()}
    write_json(given.out, content | {"results": results})
    print(markdown_table([{name: str(value) for name, value in row.items()} for row in results]))


if __name__ == "__main__":
    main()
