"""The built-in Scenes for the demo: pictures to search, and a model that is trained once and kept in a cache."""

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from processing.scenes.build import description, draw_scene, example_queries, sample_scenes

from .space import space_folder

DEFAULT_SIZES = {"train": 2000, "validation": 200}
GALLERY_SCENES = 200
IDEAS = 6


def write_gallery(folder: Path, count: int = GALLERY_SCENES, seed: int = 0) -> None:
    """Draw test scenes, which training never shows, with their descriptions and queries to offer.

    Args:
        folder: Folder to write.
        count: Number of scenes.
        seed: Of the scenes.
    """
    # The order in which the splits draw scenes decides which ones they get, so the sizes are those of the default.
    scenes = sample_scenes({**DEFAULT_SIZES, "test": count}, seed)["test"]
    folder.mkdir(parents=True)
    lines = []
    for number, scene in enumerate(scenes):
        name = f"scene-{number:03d}.png"
        draw_scene(scene, 64).save(folder / name, optimize=True)
        lines.append(json.dumps({"file_name": name, "description": description(scene)}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
    asked = scenes[:: max(1, len(scenes) // IDEAS)][:IDEAS]
    ideas = json.dumps([example_queries(scene) for scene in asked], ensure_ascii=False, indent=1)
    (folder / "ideas.json").write_text(ideas + "\n", encoding="utf-8")


def prepare_scenes(cache: Path, say: Callable[[str], None], num_train: int, device: str = "auto") -> Path:
    """Return a folder with `model` and `gallery`, which the first call makes and later calls find.

    Args:
        cache: Folder of such folders.
        say: Told about progress.
        num_train: Training scenes; fewer train faster but less accurately.
        device: Where to train, as for `leccr.training.device.device_settings`.
    """
    made = cache / f"scenes-{num_train}-{_version()}"
    if made.is_dir():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    # A name of its own for each start, as two of them may train at the same time.
    with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as work:
        making = Path(work) / "made"
        say("Drawing the pictures …")
        write_gallery(making / "gallery")
        _train(making / "model", Path(work) / "checkpoints", say, num_train, device)
        try:
            making.rename(made)
        except OSError:
            # Another start was faster.
            if not made.is_dir():
                raise
    return made


def _version() -> str:
    """Return what changes whenever the model's code or the recipe does."""
    import modeling_leccr
    import processing
    from leccr import recipes

    digest = hashlib.sha256()
    folders = [Path(str(package.__file__)).parent for package in (modeling_leccr, processing, recipes)]
    files = [file for folder in folders[:2] for file in folder.rglob("*.py")]
    for file in sorted([*files, *folders[2].rglob("*.yaml")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _train(folder: Path, checkpoints: Path, say: Callable[[str], None], num_train: int, device: str) -> None:
    from transformers import TrainerCallback

    from processing.scenes.build import build_scenes

    from ..data.facts import training_facts
    from ..data.training_data import training_data
    from ..hub.push import run_card
    from ..recipes import load_recipe, override_training
    from ..training.device import device_settings
    from ..training.train import make_trainer, save_retriever, train_recipe

    class Progress(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            say(f"Training the built-in model once, for a few minutes: step {state.global_step} of {total} …")

    say("Writing captions in six languages …")
    data = build_scenes(num_train, min(200, num_train), num_test=0)
    recipe = override_training(load_recipe("leccr", towers="scenes"), device_settings(device))
    recipe = dataclasses.replace(recipe, data="scenes")
    trainer = make_trainer(recipe, training_data(recipe, data), checkpoints)
    total = int(-(-num_train // trainer.args.train_batch_size) * trainer.args.num_train_epochs)
    trainer.add_callback(Progress())
    report = train_recipe(trainer, recipe)
    report["data"] = training_facts("scenes", data)
    save_retriever(folder, trainer.model, trainer.processing_class, report, recipe)
    run_card(folder, name="scenes")


def cache_folder() -> Path:
    """Return the folder in which the built-in model is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "leccr"


def rewrite_samples(folder: Path, count: int = 48) -> None:
    """Draw the samples next to the Space's app, so that it has pictures where leccr is not installed."""
    shutil.rmtree(folder, ignore_errors=True)
    write_gallery(folder, count)


if __name__ == "__main__":
    rewrite_samples(space_folder() / "samples")
