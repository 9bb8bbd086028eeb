"""Time of a training step over stored states of texts, as a share of that over the text tower itself.

    python -m benchmarks.text_cache

The model is `leccr` over visual features and a BERT of the size of multilingual E5-small (12 layers, 384 wide) with
random weights and a small vocabulary, which changes no time. Captions have 16 tokens and descriptions 48; each step
sees 256 pictures. The tower is frozen as a whole, or its lowest 10 layers are. With and without stored states take
turns in one process, forward, backward and AdamW, and the states are read from the file as `leccr train` reads them.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig

from benchmarks.text_rate import commit
from leccr.training.text_cache import use_text_states
from leccr.training.text_features import Text, encode_texts
from modeling_leccr import LeccrConfig, LeccrModel
from processing.text_states import TextStates, save_text_states, text_key, token_array

RESULTS = Path(__file__).parent / "results" / "text_cache.json"
LENGTHS = {"source": 16, "target": 16, "description": 48}
VOCABULARY, FEATURES = 5_000, 1280


def build(width: int, layers: int, frozen: int) -> LeccrModel:
    """Return a model in training mode over a text tower of which so many layers are frozen."""
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_attention_heads": width // 32}
    text = BertConfig(**sizes, num_hidden_layers=layers, vocab_size=VOCABULARY)
    freeze: dict[str, Any] = {"freeze_text": True} if frozen == layers else {"freeze_text_layers": frozen}
    method: dict[str, Any] = {"slot_anchor": "text", "description_gradient": True, "text_head": "mlp"}
    config = LeccrConfig(text_config=text, visual_feature_dim=FEATURES, text_pooling="mean", **method, **freeze)
    return LeccrModel(config).train()


def make_batch(rows: int) -> dict[str, Tensor]:
    """Return random features, captions and descriptions."""
    generator = torch.Generator().manual_seed(0)
    batch = {"visual_features": torch.randn(rows, 5, FEATURES, generator=generator)}
    for name, length in LENGTHS.items():
        batch[f"{name}_input_ids"] = torch.randint(5, VOCABULARY, (rows, length), generator=generator)
        batch[f"{name}_attention_mask"] = torch.ones(rows, length, dtype=torch.long)
    return batch


def store(model: LeccrModel, batch: dict[str, Tensor], frozen: int | None, path: Path) -> TextStates:
    """Write the states of a batch's texts, as `leccr features --texts` does, and open them."""
    texts = [
        Text(ids, pooled=frozen is None and name != "description")
        for name in LENGTHS
        for ids in token_array(batch[f"{name}_input_ids"])
    ]
    tower = model.text.tower.eval()
    states = [state.half() for state in encode_texts(tower, texts, frozen)]
    keys = [text_key(text.ids) for text in texts]
    settings = {"tower": "random", "layers": frozen}
    save_text_states(path, keys, states, settings, [texts[0].ids.tolist()], "float32")
    model.train()
    return TextStates(path)


def stepper(model: LeccrModel, batch: dict[str, Tensor]) -> Callable[[], float]:
    """Return what makes one step and returns its loss."""
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-5)

    def step() -> float:
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def seconds(function: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def compare(width: int, layers: int, frozen: int, rows: int, turns: int) -> dict[str, Any]:
    """Time steps with and without stored states in turn.

    Raises:
        ValueError: If a text was not in the file.
    """
    model, batch = build(width, layers, frozen), make_batch(rows)
    step, tower = stepper(model, batch), model.text.tower
    with tempfile.TemporaryDirectory() as folder:
        states = store(model, batch, None if frozen == layers else frozen, Path(folder) / "texts-random.safetensors")
        use_text_states(model, states)
        run, stored = [], []
        # The first turn warms up.
        for _ in range(turns + 1):
            tower.cache = None
            run.append(seconds(step))
            tower.cache = states
            stored.append(seconds(step))
    if states.missing:
        raise ValueError(f"{states.missing} texts were not in the file.")
    return {"frozen_layers": frozen, **summary(run[1:], stored[1:])}


def summary(run: Sequence[float], stored: Sequence[float]) -> dict[str, Any]:
    """Return medians, and the ratio of pairs of turns with its range."""
    ratios = [slow / fast for slow, fast in zip(run, stored, strict=True)]
    return {
        "tower_seconds": round(statistics.median(run), 4),
        "stored_seconds": round(statistics.median(stored), 4),
        "times_as_fast": round(statistics.median(ratios), 2),
        "range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--frozen", type=int, nargs="+", default=[12, 10], help="layers; all are the whole tower")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = []
    for frozen in options.frozen:
        results.append(compare(options.width, options.layers, frozen, options.batch_size, options.turns))
        print(results[-1], flush=True)
    names = ("width", "layers", "batch_size", "turns")
    settings: dict[str, Any] = {name: getattr(options, name) for name in names}
    settings["commit"] = commit()
    settings["machine"] = f"{platform.machine()}, {torch.get_num_threads()} threads"
    options.out.write_text(json.dumps({"settings": settings, "results": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
