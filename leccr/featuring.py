"""Visual features computed once with a frozen tower, so that training and evaluation need not run it again."""

import json
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm
from transformers import BertConfig
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from modeling_leccr import LeccrModel
from modeling_leccr.towers_leccr import VisionTower
from processing.features import FEATURES_FILE, save_features
from processing.images import open_image

from .data import load_data
from .errors import UserError
from .recipes import Recipe

PART_ROWS = 512
DTYPES = {"fp16": torch.float16, "fp32": torch.float32}


def run_features(data: str, recipe: Recipe, dtype: str = "fp16", batch_size: int = 8) -> Path:
    """Write ``features.safetensors`` beside a prepared data set: what ``leccr features`` does.

    Finished parts stay in ``features.parts`` until all are done, so an interrupted run goes on where it stopped.

    Args:
        data: Folder of the data set; every split's pictures are encoded.
        recipe: Its vision tower, and how feature maps are pooled.
        dtype: ``fp16`` or ``fp32``.
        batch_size: Pictures encoded at once.

    Raises:
        UserError: If the features exist already, or the tower has no pretrained weights.
    """
    target = Path(data) / FEATURES_FILE
    if target.exists():
        raise UserError(f"{target} exists already; remove it to compute the features anew.")
    if not isinstance(recipe.vision, str):
        raise UserError(f"Recipe {recipe.name} has no pretrained vision tower; name one under vision.")
    splits, _ = load_data(data)
    tower, image_processor = load_vision_tower(recipe)
    parts = target.parent / "features.parts"
    parts.mkdir(exist_ok=True)
    _check_same_run(parts, {"vision": recipe.vision, "grid": recipe.model.get("vision_grid"), "dtype": dtype})
    pieces = [(name, rows, start) for name, rows in splits.items() for start in range(0, len(rows), PART_ROWS)]
    for name, rows, start in tqdm(pieces, desc="Computing features"):
        path = parts / f"{name}-{start:08d}.safetensors"
        if not path.exists():
            part = rows.select(range(start, min(start + PART_ROWS, len(rows))))
            _write_part(path, encode_pictures(tower, image_processor, part, batch_size).to(DTYPES[dtype]))
    ids = [row_id for rows in splits.values() for row_id in rows["id"]]
    features = (item for name, _, start in pieces for item in _read_part(parts / f"{name}-{start:08d}.safetensors"))
    save_features(target, ids, features, tower=recipe.vision)
    for path in parts.iterdir():
        path.unlink()
    parts.rmdir()
    return target


def load_vision_tower(recipe: Recipe) -> tuple[VisionTower, Any]:
    """Load a recipe's pretrained vision tower, in eval mode, and its image processor."""
    fields = {name: recipe.model[name] for name in ("vision_grid", "interpolate_pos_encoding") if name in recipe.model}
    # Only the vision tower is wanted; a model has to have a text tower, so it gets the smallest one.
    text = BertConfig(hidden_size=8, num_hidden_layers=0, num_attention_heads=1, vocab_size=2)
    model = LeccrModel.from_pretrained_towers(recipe.vision, text, num_slots=0, **fields)
    name = recipe.image_processor if isinstance(recipe.image_processor, str) else recipe.vision
    return model.vision_tower.eval(), AutoImageProcessor.from_pretrained(name, backend="pil")


@torch.inference_mode()
def encode_pictures(tower: VisionTower, image_processor: Any, rows: Dataset, batch_size: int = 8) -> Tensor:
    """Return the tower's tokens (rows, N, F) for the rows' pictures."""
    tokens = []
    for start in range(0, len(rows), batch_size):
        batch = [rows[place] for place in range(start, min(start + batch_size, len(rows)))]
        pictures = [open_image(row["image"], row["id"]) for row in batch]
        tokens.append(tower(image_processor(pictures, return_tensors="pt")["pixel_values"]))
    return torch.cat(tokens)


def _check_same_run(parts: Path, about: dict[str, Any]) -> None:
    path = parts / "about.json"
    text = json.dumps(about, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UserError(f"{parts} holds parts of another run; remove that folder to start anew.")
    path.write_text(text, encoding="utf-8")


def _write_part(path: Path, tokens: Tensor) -> None:
    beside = path.with_suffix(".part")
    save_file({"tokens": tokens.contiguous()}, beside)
    beside.replace(path)


def _read_part(path: Path) -> Tensor:
    return load_file(path)["tokens"]
