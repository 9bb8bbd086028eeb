"""A trained-looking model, folders of pictures, and galleries of them, small enough for a test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from typer.testing import CliRunner

from leccr.cli import app
from leccr.gallery import Gallery, Result
from leccr.gallery.store.vectors import by_item
from leccr.models.build import build_model
from leccr.models.encoder import Encoder
from leccr.models.model_encoder import ModelEncoder
from tests.modeling_leccr.tiny import enliven
from tests.tiny_data import PICTURE_SIZE, processor, recipe, row

NAMES = ("red", "green", "blue", "white", "black", "gray", "olive", "navy", "teal", "pink", "gold", "lime")
QUERIES = [f"{language} {name} 1" for language in ("en", "de", "zh") for name in NAMES]


def encoder(name: str = "tiny", seed: int = 0, num_frames: int | None = None, **model: Any) -> Encoder:
    """Return a model with random weights and the words of `description`.

    Args:
        name: Its name.
        seed: Of its weights.
        num_frames: Frames of a video, for a model of videos.
        **model: Fields of its configuration, in place of two anchored slots.
    """
    tiny = recipe(model or None)
    if num_frames is not None:
        tiny.model["vision_summary"] = "mean"
    rows = [row(text, description=description(text)) for text in NAMES]
    torch.manual_seed(seed)
    its_processor = processor(rows, text_max_length=16, description_max_length=16)
    its_processor.num_frames = num_frames
    its_processor.sentence_slots = model.get("slot_source", "attention") != "attention"
    model_ = enliven(build_model(tiny, its_processor))
    if model_.config.num_slots and model_.config.slot_anchor != "none":
        model_.image.anchor.slot_gate.weight.data.fill_(0.6)
    return ModelEncoder(model_.eval(), its_processor, name)


def save_model(folder: Path, **options: Any) -> Path:
    """Write a checkpoint of `encoder`."""
    tiny = encoder(**options)
    tiny.model.save_pretrained(folder)
    tiny.processor.save_pretrained(folder)
    return folder


def description(name: str) -> str:
    """Return what is said about the picture of a colour."""
    return f"This is {name} de {name} 1"


def paint(path: Path, seed: int, size: tuple[int, int] = (PICTURE_SIZE, PICTURE_SIZE)) -> Path:
    """Write a picture of random blocks."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(blocks).resize(size, PillowImage.Resampling.NEAREST).save(path)
    return path


def photos(folder: Path, count: int = 12, described: bool = True) -> Path:
    """Write pictures, some of them in a folder below, and descriptions of two out of three."""
    names = [f"{'holiday/' if number % 3 == 0 else ''}{NAMES[number % 12]}{number}.png" for number in range(count)]
    for number, name in enumerate(names):
        paint(folder / name, number)
    if described:
        describe(folder, [name for number, name in enumerate(names) if number % 3])
    return folder


def describe(folder: Path, names: Sequence[str]) -> None:
    """Write `descriptions.jsonl`."""
    colours = [Path(name).stem.rstrip("0123456789") for name in names]
    records = [{"id": name, "description": description(colour)} for name, colour in zip(names, colours)]
    (folder / "descriptions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def brute_force(views: Sequence[np.ndarray], query: np.ndarray) -> tuple[list[int], list[float]]:
    """Return all items by their scores, ties by their order, and the scores: the definition that engines must meet.

    Args:
        views: Those of each item, (K, D), where K may differ.
        query: (D,).
    """
    exact = query.astype(np.float64)
    scores = [np.einsum("kd,d->k", own.astype(np.float64), exact).astype(np.float32).max() for own in views]
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return order, [float(scores[index]) for index in order]


def contents(folder: Path) -> list[Any]:
    """Return everything that a gallery answers with, but for times."""
    with Gallery.open(folder) as gallery, gallery.catalogue.reading() as connection:
        state = gallery.snapshot(connection).state
        rows = connection.execute(
            "SELECT items.position, id, path, kind, hash, size, description, picture, text FROM items "
            "LEFT JOIN thumbnails USING (number) LEFT JOIN words ON words.rowid = number ORDER BY items.position"
        ).fetchall()
        views, counts = gallery.snapshot(connection).engine.at(np.array([row[0] for row in rows], dtype=int))
        return [*(row[1:] for row in rows), views.tobytes() + counts.tobytes(), state.dtype, state.items]


def stored_views(gallery: Gallery) -> list[np.ndarray]:
    """Return the views (K, D) at each position."""
    with gallery.catalogue.reading() as connection:
        snapshot = gallery.snapshot(connection)
        return by_item(*snapshot.engine.at(np.arange(snapshot.state.positions)))


def names_of(results: list[Result]) -> list[str]:
    """Return the ids of results."""
    return [result.id for result in results]


def run(*arguments: Any, **options: Any) -> Any:
    """Run `leccr` with the arguments."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)
