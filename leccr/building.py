"""From a recipe and training texts to a processor and a model."""

from collections.abc import Iterable, Iterator
from typing import Any

from datasets import Dataset
from torch import nn
from transformers import AutoConfig, AutoTokenizer

# Not from the top: without torchvision, transformers 5.6 has an empty stand-in there.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.features import FeatureFile
from processing.tokenizers import prune_tokenizer, train_tokenizer

from .errors import UserError
from .recipes import Recipe

NO_DECAY_LAYERS = ("LayerNorm", "LearnedTokens", "Gate", "BatchNorm", "GroupNorm", "RMSNorm")


def training_texts(rows: Dataset) -> Iterator[str]:
    """Yield every caption and description of the training rows."""
    columns = ["source_captions", "target_captions", "description"]
    for row in rows.select_columns(columns):
        yield from row["source_captions"]
        yield from (target["text"] for target in row["target_captions"] or [])
        if row["description"]:
            yield row["description"]


def build_processor(recipe: Recipe, texts: Iterable[str]) -> LeccrProcessor:
    """Make the recipe's processor; a learned or cut-down vocabulary comes from the training texts alone.

    Raises:
        ValueError: If the recipe names no tokenizer or image processor, or wants a new vocabulary under a pretrained
            text tower, whose embeddings belong to its own.
    """
    if isinstance(recipe.text, str) and (recipe.tokenizer == "learned" or recipe.prune_tokenizer):
        raise ValueError(
            f"Recipe {recipe.name} wants a new vocabulary, but the pretrained tower {recipe.text} needs its own: leave "
            "tokenizer and prune_tokenizer out, or give text as a configuration."
        )
    if recipe.tokenizer == "learned":
        tokenizer = train_tokenizer(texts)
    else:
        name = recipe.tokenizer or recipe.text
        if not isinstance(name, str):
            raise ValueError(f"Recipe {recipe.name} needs a tokenizer: name one, or write tokenizer: learned.")
        tokenizer = AutoTokenizer.from_pretrained(name)
        if recipe.prune_tokenizer:
            tokenizer = prune_tokenizer(tokenizer, texts)
    return LeccrProcessor(_image_processor(recipe), tokenizer, **recipe.processor)


def _image_processor(recipe: Recipe) -> Any:
    if isinstance(recipe.image_processor, dict):
        from transformers import CLIPImageProcessorPil

        return CLIPImageProcessorPil(**recipe.image_processor)
    name = recipe.image_processor or recipe.vision
    if not isinstance(name, str):
        raise ValueError(f"Recipe {recipe.name} needs an image_processor: a checkpoint's name, or its settings.")
    return AutoImageProcessor.from_pretrained(name, backend="pil")


def build_model(recipe: Recipe, processor: LeccrProcessor, features: FeatureFile | None = None) -> LeccrModel:
    """Make the recipe's model.

    Args:
        recipe: Says the towers (names or configurations) and the fields of ``LeccrConfig``.
        processor: Its vocabulary sets the size of a text tower that is trained from scratch.
        features: Visual features computed ahead; they set the width where there is no vision tower.
    """
    _check_features(recipe, features)
    fields = dict(recipe.model)
    if recipe.vision is None:
        if features is None:
            raise ValueError(f"Recipe {recipe.name} has no vision tower; give it data with visual features.")
        fields.setdefault("visual_feature_dim", features.width)
    text = recipe.text
    if isinstance(text, dict):
        tokenizer = processor.tokenizer
        text = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **text}
    return LeccrModel.from_pretrained_towers(_tower(recipe.vision), _tower(text), **fields)


def _check_features(recipe: Recipe, features: FeatureFile | None) -> None:
    made_by = None if features is None else features.metadata.get("tower")
    if made_by is not None and recipe.vision is not None and made_by != recipe.vision:
        raise UserError(
            f"{features.path if features else ''} was made with the tower {made_by}, but recipe {recipe.name} has "
            f"{recipe.vision}; remove the file, or train with the same tower."
        )


def _tower(tower: Any) -> Any:
    if not isinstance(tower, dict):
        return tower
    fields = dict(tower)
    return AutoConfig.for_model(fields.pop("model_type"), **fields)


def parameter_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, new_layers_learning_rate: float | None
) -> list[dict[str, Any]]:
    """Group parameters for AdamW: pretrained towers and new layers apart, and no decay where it would do harm.

    Biases, norms, the temperature, gates and learned queries are not decayed (DESIGN's training settings).
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for module_name, module in model.named_modules():
        plain = any(name in type(module).__name__ for name in NO_DECAY_LAYERS)
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                decayed = not plain and not name.endswith("bias")
                groups.setdefault((module_name.split(".")[0].endswith("_tower"), decayed), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": learning_rate if in_tower or new_layers_learning_rate is None else new_layers_learning_rate,
            "weight_decay": weight_decay if decayed else 0.0,
        }
        for (in_tower, decayed), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def standardize(model: LeccrModel, features: FeatureFile | None, rows: Dataset) -> None:
    """Take the statistics of visual features from the training rows, for a model that standardises them."""
    if model.standardizer is None:
        return
    if features is None:
        raise ValueError("vision_standardize needs visual features computed ahead, to take their statistics from.")
    model.set_feature_statistics(*features.statistics(rows["id"]))


__all__ = ["build_model", "build_processor", "parameter_groups", "standardize", "training_texts"]
