"""The Space on a model and pictures small enough for a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from space_page import build_page, serve
from transformers import set_seed

from processing.scenes.build import build_scenes
from tests import tiny_data

SCENES = 24


def learn_scenes(folder: Path) -> list[dict[str, Any]]:
    """Train a small model by heart on a few Scenes with captions in six languages, save it, and return the scenes.

    It knows no others: what is tested is the page, not the model.
    """
    rows = list(build_scenes(SCENES, 0, 0, size=tiny_data.PICTURE_SIZE, noise_rate=0.0)["train"])
    data = {"train": tiny_data.dataset(rows), "validation": tiny_data.dataset(rows[:4])}
    recipe = tiny_data.recipe(
        model={
            "num_slots": 2,
            "slot_layers": 1,
            "interaction_layers": 1,
            "interaction_heads": 2,
            "slot_anchor": "text",
            "description_gradient": True,
            "description_dropout": 0.5,
            "text_pooling": "mean",
            "projection_dim": 32,
            "logit_scale_init_value": 3.0,
        },
        training={
            "learning_rate": 3e-3,
            "per_device_train_batch_size": SCENES,
            "num_train_epochs": 120,
            "eval_strategy": "no",
            "save_strategy": "no",
            "load_best_model_at_end": False,
            "logging_strategy": "no",
        },
    )
    recipe.text.update(hidden_size=48, intermediate_size=64)
    recipe.vision.update(embedding_size=16, hidden_sizes=[16, 32])
    set_seed(0)
    trainer = tiny_data.trainer_for(recipe, data, folder.with_name("checkpoints"))
    trainer.train()
    trainer.model.save_pretrained(folder)
    trainer.processing_class.save_pretrained(folder)
    return rows


@contextmanager
def served(setup: Any, **options: Any) -> Iterator[str]:
    """Serve a page for as long as this lasts, and give its address."""
    page = build_page(setup)
    _, address, _ = serve(page, prevent_thread_lock=True, server_port=None, **options)
    try:
        yield address
    finally:
        page.close(verbose=False)
