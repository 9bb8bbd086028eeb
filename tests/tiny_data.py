"""Rows, processors and recipes small enough to be made and trained on in a test."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from PIL import Image
from transformers import CLIPImageProcessorPil, Trainer

from leccr.data.training_data import training_data
from leccr.models.build import training_texts
from leccr.recipes import Recipe
from leccr.training.train import make_trainer
from processing import LeccrProcessor
from processing.caption_embeddings import CaptionEmbeddings
from processing.features import FeatureFile
from processing.scenes.build import build_scenes
from processing.schema import ROW_FEATURES
from processing.tokenizers import train_tokenizer

PICTURE_SIZE = 32
LANGUAGES = ("de", "zh")


def picture(colour: str = "red", size: tuple[int, int] = (PICTURE_SIZE, PICTURE_SIZE)) -> Image.Image:
    """Return a picture of one colour."""
    return Image.new("RGB", size, colour)


def target(language: str, text: str, source_number: int | None = None, weight: float | None = None) -> dict[str, Any]:
    """Return a target caption as rows hold it."""
    return {
        "language": language,
        "text": text,
        "source_number": source_number,
        "origin": "human" if source_number is None else "machine:test",
        "weight": weight,
    }


def row(name: str, languages: Sequence[str] = LANGUAGES, captions: int = 3, **fields: Any) -> dict[str, Any]:
    """Return a row whose captions say what they are, such as `de a 2`, the translation of `en a 2`."""
    numbers = range(captions)
    return {
        "id": name,
        "image": picture(),
        "video": None,
        "source_language": "en",
        "source_captions": [f"en {name} {number}" for number in numbers],
        "target_captions": [
            target(language, f"{language} {name} {number}", number) for language in languages for number in numbers
        ],
        "description": f"This is {name}",
    } | fields


COLOURS = ("red", "green", "blue", "white", "black")
ROWS = [row(name, captions=2, image=picture(colour)) for name, colour in zip("abcde", COLOURS)]


def dataset(rows: Sequence[dict[str, Any]]) -> Dataset:
    """Return rows as a data set in the project's schema."""
    return Dataset.from_list(list(rows), features=ROW_FEATURES)


def processor(rows: Sequence[dict[str, Any]] | Dataset, **lengths: int) -> LeccrProcessor:
    """Return a processor whose vocabulary holds the words of the rows."""
    rows = rows if isinstance(rows, Dataset) else dataset(rows)
    images = CLIPImageProcessorPil(size={"height": PICTURE_SIZE, "width": PICTURE_SIZE}, do_center_crop=False)
    return LeccrProcessor(images, train_tokenizer(training_texts(rows)), **lengths)


def read(processor: LeccrProcessor, input_ids: Any) -> list[str]:
    """Return the texts behind token ids."""
    return processor.tokenizer.batch_decode(input_ids, skip_special_tokens=True)


def scenes(num_train: int = 12, num_validation: int = 7, num_test: int = 5) -> DatasetDict:
    """Return a few built-in Scenes."""
    return build_scenes(num_train, num_validation, num_test, size=PICTURE_SIZE)


def trainer_for(
    recipe: Recipe,
    splits: Mapping[str, Dataset],
    folder: Path,
    languages: Sequence[str] | None = None,
    features: FeatureFile | None = None,
    seed: int = 0,
    embeddings: CaptionEmbeddings | None = None,
) -> Trainer:
    """Return the trainer of a recipe on these rows, in these languages."""
    recipe = dataclasses.replace(recipe, languages=languages and list(languages), seed=seed)
    return make_trainer(recipe, training_data(recipe, splits, features, embeddings), folder)


def recipe(model: dict[str, Any] | None = None, training: dict[str, Any] | None = None, **fields: Any) -> Recipe:
    """Return a recipe over tiny towers that are trained from scratch."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    slots = {"num_slots": 2, "slot_layers": 1, "interaction_layers": 1, "interaction_heads": 2, "slot_anchor": "text"}
    defaults: dict[str, Any] = {
        "name": "tiny",
        "vision": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
        },
        "text": {"model_type": "bert", "max_position_embeddings": 64, **sizes},
        "tokenizer": "learned",
        "image_processor": {"do_resize": False, "do_center_crop": False},
        "processor": {"text_max_length": 32, "description_max_length": 48},
        "model": {"projection_dim": 8, **(slots if model is None else model)},
        "training": {
            "learning_rate": 1e-2,
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 4,
            "num_train_epochs": 2,
            "use_cpu": True,
            # In bf16 rounding decides the ranks of a few pictures after a few steps, and only on some machines.
            "bf16": False,
            "disable_tqdm": True,
            **(training or {}),
        },
    }
    return Recipe(**(defaults | fields))


DUAL_ENCODER: dict[str, Any] = {"num_slots": 0, "softened_weight": 0.0}
