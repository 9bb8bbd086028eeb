"""A text query on 10,000 photos from its text to its answers, compared with only encoding the text.

    python -m benchmarks.query --shared ../shared               # a minute
    python -m benchmarks.query --shared ../shared --items 200 --repeats 5     # seconds, to see that it runs

The models have random weights, multilingual BERT's tokenizer, and text towers of three sizes; the gallery has 4 views
of 256 random numbers for each photo, in fp32. `Encoder.texts` and `Gallery.search` take turns on one text each, so that
the ratio is of one run. The parts are measured by themselves, in the same turns. Results go to `results/query.json`.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, BertConfig, CLIPImageProcessorPil

from hub_card.tables import markdown_table
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from leccr.models.model_encoder import ModelEncoder
from modeling_leccr import LeccrModel
from processing.processing_leccr import LeccrProcessor

from .gallery import fill, milliseconds, percentiles

RESULTS = Path(__file__).parent / "results" / "query.json"
TOWERS: dict[str, dict[str, int]] = {
    "table of embeddings": {"num_hidden_layers": 0, "hidden_size": 256, "num_attention_heads": 4},
    "6 layers, 384 wide": {
        "num_hidden_layers": 6,
        "hidden_size": 384,
        "num_attention_heads": 6,
        "intermediate_size": 1536,
    },
    "BERT-base": {},
}


def model_of(tokenizer: Any, tower: str, slots: int = 3, width: int = 256) -> Encoder:
    """Return a model with a text tower of random weights."""
    text = BertConfig(vocab_size=len(tokenizer), **TOWERS[tower])
    fields = {"num_slots": slots, "visual_feature_dim": 8, "projection_dim": width}
    torch.manual_seed(0)
    model = LeccrModel.from_pretrained_towers(None, text, **fields)
    return ModelEncoder(model, LeccrProcessor(CLIPImageProcessorPil(), tokenizer), tower)


def with_tower(encoder: Encoder, tower: str) -> Encoder:
    """Return a model like another, with a text tower of random weights."""
    assert isinstance(encoder, ModelEncoder)
    return model_of(encoder.processor.tokenizer, tower, encoder.model.config.num_slots, encoder.width)


def measure_query(encoder: Encoder, scratch: Path, items: int = 10_000, repeats: int = 200) -> dict[str, Any]:
    """Time a text query end to end, compared with the bare forward of the text encoder, in turn."""
    folder = scratch / "photos"
    shutil.rmtree(folder, ignore_errors=True)
    fill(folder, items, encoder.view_count, encoder.width, encoder.name, encoder.fingerprint())
    texts = [f"Ein Hund rennt am Strand, Nummer {place}" for place in range(repeats)]
    times: dict[str, list[float]] = {"encoding": [], "query": [], "search": [], "unknown_tokens": []}
    with Gallery.open(folder, encoder) as gallery:
        embeds = encoder.texts(texts)
        gallery.search(texts[0])
        for number, text in enumerate(texts):
            calls = {
                "encoding": lambda: encoder.texts([text]),  # noqa: B023
                "query": lambda: gallery.search(text),  # noqa: B023
                "search": lambda: gallery.search(embeds[number]),  # noqa: B023
                "unknown_tokens": lambda: encoder.unknown_shares([text]),  # noqa: B023
            }
            for name in list(calls) if number % 2 else reversed(calls):
                times[name].append(milliseconds(calls[name]))
    ratio = float(np.median(np.array(times["query"]) / np.array(times["encoding"])))
    return {name: percentiles(own) for name, own in times.items()} | {"ratio_p50": round(ratio, 3)}


def main() -> None:
    """Measure all towers, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(given.shared / "tokenizers" / "bert-base-multilingual-cased")
    results = {"items": given.items, "repeats": given.repeats, "threads": torch.get_num_threads(), "towers": {}}
    lines = []
    for tower in TOWERS:
        with tempfile.TemporaryDirectory() as scratch:
            found = measure_query(model_of(tokenizer, tower), Path(scratch), given.items, given.repeats)
        results["towers"][tower] = found
        named = {name: f"{own['p50']:.2f}" for name, own in found.items() if isinstance(own, dict)}
        lines.append({"text tower": tower, **named, "query / encoding": f"{found['ratio_p50']:.2f}"})
    print(f"{given.items:,} photos; milliseconds, medians of {given.repeats} turns.\n")
    print(markdown_table(lines))
    given.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
