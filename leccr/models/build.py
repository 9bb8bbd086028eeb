"""From a recipe and training texts to a processor and a model."""

import functools
import inspect
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from datasets import Dataset
from torch import nn
from transformers import AutoConfig, AutoTokenizer

# Not from the top: without torchvision, transformers 5.6 has an empty stand-in there.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from modeling_leccr import CrossLingualModel, LeccrModel
from processing import LeccrProcessor
from processing.features import FeatureFile
from processing.model_sizes import check_sizes
from processing.notes import note
from processing.pretrained import check_config, load_pretrained
from processing.text_rule_leccr import add_text_rule, set_text_prefix
from processing.tokenizers import keeping_normalizer, prune_tokenizer, train_tokenizer

from ..errors import UserError, settings_of_the_user
from ..recipes.recipe import Recipe
from .dual_encoders import dual_encoder_processor, load_text_encoder


def training_texts(rows: Dataset) -> Iterator[str]:
    """Yield every caption and description of the training rows."""
    columns = ["source_captions", "target_captions", "description"]
    for row in rows.select_columns(columns):
        yield from row["source_captions"]
        yield from (target["text"] for target in row["target_captions"] or [])
        if row["description"]:
            yield row["description"]


def _blames_the_recipe(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a recipe whose errors about settings are errors of the user, and name the recipe."""

    @functools.wraps(function)
    def checked(recipe: Recipe, *args: Any, **kwargs: Any) -> Any:
        with settings_of_the_user(f"Recipe {recipe.name}"):
            return function(recipe, *args, **kwargs)

    return checked


@_blames_the_recipe
def build_processor(recipe: Recipe, texts: Iterable[str]) -> Any:
    """Make the recipe's processor, or its tokenizer if it is text-only.

    A learned or cut-down vocabulary comes only from the training texts; a warm start brings its own.

    Raises:
        UserError: If the recipe names no tokenizer or image processor, or needs a new vocabulary under a pretrained
            text tower, whose embeddings belong to its own.
        UserError: If the model to start from cannot be loaded, or does not fit the rest of the recipe.
    """
    if recipe.dual_encoder is not None:
        _check_dual_encoder(recipe)
        return dual_encoder_processor(recipe.dual_encoder, **_processor_settings(recipe))
    if isinstance(recipe.text, str) and (recipe.tokenizer == "learned" or recipe.prune_tokenizer):
        raise UserError(
            f"Recipe {recipe.name} needs a new vocabulary, but the pretrained tower {recipe.text} needs its own: leave "
            "tokenizer and prune_tokenizer out, or give text as a configuration."
        )
    tokenizer = _tokenizer(recipe, texts)
    if recipe.network == "cross-modal":
        return LeccrProcessor(build_image_processor(recipe), tokenizer, **_processor_settings(recipe))
    default = inspect.signature(LeccrProcessor).parameters["text_max_length"].default
    tokenizer.model_max_length = recipe.processor.get("text_max_length", default)
    if recipe.processor.get("text_prefix") is not None:
        set_text_prefix(tokenizer, recipe.processor["text_prefix"])
    return tokenizer


def _processor_settings(recipe: Recipe) -> dict[str, Any]:
    has_sentences = recipe.model.get("slot_source", "attention") != "attention"
    return ({"sentence_slots": True} if has_sentences else {}) | recipe.processor


def _check_dual_encoder(recipe: Recipe) -> None:
    brought = ("vision", "text", "tokenizer", "image_processor", "warm_start")
    given = [name for name in brought if getattr(recipe, name) is not None]
    if given:
        raise UserError(f"{given[0]} in recipe {recipe.name} comes from {recipe.dual_encoder}; leave it out.")
    if recipe.network == "cross-lingual" or recipe.processor.get("num_frames"):
        what = "knows only texts" if recipe.network == "cross-lingual" else "is to learn from videos"
        raise UserError(f"Recipe {recipe.name} {what}, and cannot start from a dual encoder; choose towers instead.")


def _tokenizer(recipe: Recipe, texts: Iterable[str]) -> Any:
    if recipe.warm_start is not None:
        processor = load_text_encoder(recipe.warm_start)[1]
        return getattr(processor, "tokenizer", processor)
    normalized = recipe.processor.get("normalize_text", True)
    prefixes = [recipe.processor[name] for name in ("text_prefix", "description_prefix") if recipe.processor.get(name)]
    texts = itertools.chain(prefixes, texts)
    if recipe.tokenizer == "learned":
        share = recipe.lower_case_share
        if share < 1:
            texts = with_lower_case(texts, share, recipe.seed)
        return train_tokenizer(texts, normalize_text=normalized, lower_case=share == 1)
    name = recipe.tokenizer or recipe.text
    if not isinstance(name, str):
        raise UserError(f"Recipe {recipe.name} needs a tokenizer: name one, or write tokenizer: learned.")
    tokenizer = load_pretrained(AutoTokenizer, name)
    if normalized:
        add_text_rule(tokenizer)
    if normalized or prefixes:
        tokenizer = keeping_normalizer(tokenizer)
    return prune_tokenizer(tokenizer, texts) if recipe.prune_tokenizer else tokenizer


def with_lower_case(texts: Iterable[str], share: float, seed: int) -> Iterator[str]:
    """Yield the texts, and for a share of them, drawn by the seed, their copies in lower case."""
    draw = random.Random(seed)
    for text in texts:
        yield text
        if draw.random() < share:
            yield text.lower()


@_blames_the_recipe
def build_image_processor(recipe: Recipe) -> Any:
    """Make the recipe's image processor; errors as for `build_processor`."""
    if isinstance(recipe.image_processor, dict):
        from transformers import CLIPImageProcessorPil

        return CLIPImageProcessorPil(**recipe.image_processor)
    name = recipe.image_processor or recipe.vision
    if not isinstance(name, str):
        raise UserError(f"Recipe {recipe.name} needs an image_processor: a checkpoint's name, or its settings.")
    return load_pretrained(AutoImageProcessor, name, backend="pil")


@_blames_the_recipe
def build_model(recipe: Recipe, processor: Any, features: FeatureFile | None = None) -> Any:
    """Make the recipe's model: a `LeccrModel`, or a `CrossLingualModel` if it is text-only.

    Args:
        recipe: Says the towers (names or configurations), the fields of the model's configuration, and which trained
            model its text tower starts from.
        processor: The processor or tokenizer; its vocabulary sets the size of a text tower trained from scratch.
        features: Visual features computed ahead; they set the width where there is no vision tower.

    Raises:
        UserError: If there is neither a vision tower nor features, the features are of another tower, or the text tower
            cannot start from the model named for it.
    """
    fields, text = dict(recipe.model), recipe.text
    for part in (recipe.model, recipe.text, recipe.vision):
        check_sizes(part, f"Recipe {recipe.name}")
        if isinstance(part, str):
            # Whether it exists is found out when it is loaded, after simpler mistakes.
            with suppress(OSError):
                check_config(part)
    if recipe.dual_encoder is not None:
        if features is not None:
            raise UserError(f"{recipe.dual_encoder} takes the pictures themselves; move {features.path} away.")
        model = LeccrModel.from_dual_encoder(recipe.dual_encoder, **fields)
        # SigLIP 2's configuration has that of another tokenizer.
        model.config.text_config.pad_token_id = model.text.tower.pad_token = processor.tokenizer.pad_token_id
        return model.train()
    if isinstance(text, dict):
        tokenizer = getattr(processor, "tokenizer", processor)
        text = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **text}
    if recipe.network == "cross-lingual":
        model = CrossLingualModel.from_pretrained_tower(_tower(text), **fields)
    else:
        _check_features(recipe, features)
        if recipe.vision is None:
            if features is None:
                raise UserError(f"Recipe {recipe.name} has no vision tower; give it data with visual features.")
            fields.setdefault("visual_feature_dim", features.width)
        model = LeccrModel.from_pretrained_towers(_tower(recipe.vision), _tower(text), **fields)
    if recipe.warm_start is not None:
        start_warm(model, recipe)
    return model


def start_warm(model: Any, recipe: Recipe) -> None:
    """Give the model the text tower of `recipe.warm_start`, and its projection if that is of the same shape.

    Raises:
        UserError: If that model's text tower is another one.
    """
    teacher, _ = load_text_encoder(str(recipe.warm_start))
    difference = _difference(model, teacher)
    if difference:
        raise UserError(
            f"Recipe {recipe.name} cannot start from {recipe.warm_start}: their text towers differ in {difference}; "
            "train both with the same towers."
        )
    if _shapes(model.text.head) == _shapes(teacher.text.head):
        model.text.load_state_dict(teacher.text.state_dict())
    else:
        model.text.tower.load_state_dict(teacher.text.tower.state_dict())
        note(f"The projection of {recipe.warm_start} is of another shape, so the new one is random.")


def _difference(model: Any, teacher: Any) -> str | None:
    if not isinstance(teacher, LeccrModel | CrossLingualModel):
        return "kind"
    config, expected = (network.config.text_config for network in (model, teacher))
    for name in ("model_type", "num_attention_heads"):
        if getattr(config, name, None) != getattr(expected, name, None):
            return name
    if model.config.text_pooling != teacher.config.text_pooling:
        return "text_pooling"
    own, other = _shapes(model.text.tower), _shapes(teacher.text.tower)
    return next((f"the weights {name}" for name in sorted({*own, *other}) if own.get(name) != other.get(name)), None)


def _shapes(module: nn.Module) -> dict[str, Any]:
    return {name: weight.shape for name, weight in module.state_dict().items()}


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
    model: Any, learning_rate: float, weight_decay: float, new_layers_learning_rate: float | None
) -> list[dict[str, Any]]:
    """Give each group of the model's weights its settings for AdamW: new layers may learn faster than towers."""
    new_rate = learning_rate if new_layers_learning_rate is None else new_layers_learning_rate
    return [
        {
            "params": parameters,
            "lr": learning_rate if in_tower else new_rate,
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (in_tower, decays), parameters in sorted(model.group_parameters().items(), key=lambda item: item[0])
    ]


__all__ = [
    "build_image_processor",
    "build_model",
    "build_processor",
    "parameter_groups",
    "start_warm",
    "training_texts",
    "with_lower_case",
]
