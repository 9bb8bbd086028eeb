"""Recipes: a method's configuration and its training settings, written as YAML."""

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import UserError
from .fields import check_fields, check_names, nearest, read_value, read_yaml

RECIPES_FOLDER = Path(__file__).parent
TOWERS_FOLDER = Path(__file__).parent / "towers"
_SECTIONS = ("model", "training", "processor", "augmentation")
# What the command line may set besides the fields of TrainingArguments.
_OWN_FIELDS: dict[str, Any] = {"new_layers_learning_rate": float | None}


@dataclass(frozen=True)
class Recipe:
    """One method and how it is trained.

    Attributes:
        name: Short name; that of a built-in recipe is its file's name.
        description: One sentence for `leccr recipes`.
        network: `"cross-modal"` for a `modeling_leccr.LeccrModel`, or `"cross-lingual"` for a text-only
            `modeling_leccr.CrossLingualModel`, for which whatever concerns pictures is left out.
        vision: Vision tower: a checkpoint's name or folder, a configuration (`model_type` and its fields) to train
            from scratch, or None for visual features computed ahead.
        text: Text tower: likewise a name, a folder or a configuration.
        tokenizer: Name or folder of a tokenizer, `"learned"` for one trained on the data, or None for the text
            tower's own.
        warm_start: Folder or name of a trained model with the same text tower, whose weights and tokenizer are the
            start, or None.
        dual_encoder: Name or folder of a dual encoder of transformers, such as CLIP or SigLIP, to start from in place
            of towers, tokenizer and image processor, or None. `slot_anchor: image` starts at its scores.
        prune_tokenizer: Keep only the word pieces that occur in the training texts.
        image_processor: Name or folder, or settings of a CLIP image processor, or None for the vision tower's own.
        processor: Lengths, as `processing.LeccrProcessor` takes them.
        augmentation: Settings of `processing.images.RandomCrop`; empty trains on the pictures as they are.
        model: Fields of `modeling_leccr.LeccrConfig`, or of `modeling_leccr.CrossLingualConfig`.
        training: Fields of `transformers.TrainingArguments`.
        new_layers_learning_rate: Learning rate of the layers that are not part of a pretrained tower; None is
            `learning_rate` for all.
        lora: Rank of LoRA's updates of the towers, which are otherwise fixed then; 0 trains without LoRA.
    """

    name: str
    description: str = ""
    network: Literal["cross-modal", "cross-lingual"] = "cross-modal"
    vision: str | dict[str, Any] | None = None
    text: str | dict[str, Any] | None = None
    tokenizer: str | None = None
    prune_tokenizer: bool = False
    warm_start: str | None = None
    dual_encoder: str | None = None
    image_processor: str | dict[str, Any] | None = None
    processor: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    new_layers_learning_rate: float | None = None
    lora: int = 0


_RECIPE_FIELDS = {item.name: item.type for item in dataclasses.fields(Recipe)}
_TOWERS_FIELDS = {name: kind for name, kind in _RECIPE_FIELDS.items() if name not in ("name", "network")}


def list_recipes() -> dict[str, str]:
    """Return the description of each built-in recipe by its name, in alphabetical order."""
    return _descriptions(RECIPES_FOLDER)


def list_towers() -> dict[str, str]:
    """Return the description of each built-in choice of towers by its name, in alphabetical order."""
    return _descriptions(TOWERS_FOLDER)


def load_recipe(name_or_path: str | Path, towers: str | Path | None = None, dual_encoder: str | None = None) -> Recipe:
    """Read a recipe, which says the method, and put the towers under it.

    Towers are a block of their own in a recipe's file (`towers:`, with any of a recipe's keys but its name), so that
    the same method can run over others. Where both say something, the towers' value holds.

    Args:
        name_or_path: Name of a built-in recipe, or a YAML file.
        towers: Name of built-in towers, or a YAML file, in place of the recipe's own block.
        dual_encoder: Name or folder of a dual encoder to start from. Without `towers` the settings are those of the
            built-in `siglip2`.

    Raises:
        UserError: There is no such recipe or file, the file is not a recipe, or a key or a value is wrong.
    """
    path = _find("recipe", str(name_or_path), RECIPES_FOLDER)
    content = {"name": path.stem, **read_yaml(path)}
    where = f"in recipe {content['name']}"
    block, block_where = content.pop("towers", None), f"{where} under towers"
    if dual_encoder is not None and towers is None:
        towers = "siglip2"
    if towers is not None:
        path = _find("choice of towers", str(towers), TOWERS_FOLDER)
        block, block_where = read_yaml(path), f"in towers {path.stem}"
    content = _checked(content, _RECIPE_FIELDS, where)
    if block is None:
        return Recipe(**content)
    block = _checked(block, _TOWERS_FIELDS, block_where)
    block.pop("description", None)
    if dual_encoder is not None:
        block["dual_encoder"] = dual_encoder
    joined = {name: {**content[name], **block[name]} for name in _SECTIONS}
    return _without_pictures(Recipe(**{**content, **block, **joined}))


def _without_pictures(recipe: Recipe) -> Recipe:
    """Leave out of a text-only recipe what its towers say for networks that see pictures, too."""
    if recipe.network == "cross-modal":
        return recipe
    known = _model_fields(recipe.network)
    model = {name: value for name, value in recipe.model.items() if name in known}
    return dataclasses.replace(recipe, vision=None, image_processor=None, augmentation={}, model=model)


def _model_fields(network: str) -> dict[str, Any]:
    from modeling_leccr import CrossLingualConfig, LeccrConfig

    return inspect.get_annotations(CrossLingualConfig if network == "cross-lingual" else LeccrConfig)


def override_training(recipe: Recipe, overrides: Mapping[str, str]) -> Recipe:
    """Return the recipe with training settings replaced, as they were written on the command line.

    Args:
        recipe: The recipe to start from; it is not changed.
        overrides: Field of `TrainingArguments`, or `new_layers_learning_rate`, to its value as YAML text.

    Raises:
        UserError: A field does not exist, or its value is of the wrong kind.
    """
    fields = overridable_fields()
    check_names(overrides, fields, "on the command line")
    values = {name: read_value(name, text, fields[name]) for name, text in overrides.items()}
    check_fields(values, fields, "on the command line")
    own = {name: values.pop(name) for name in _OWN_FIELDS if name in values}
    return dataclasses.replace(recipe, training={**recipe.training, **values}, **own)


def training_fields() -> dict[str, Any]:
    """Return the fields of `TrainingArguments` with their types."""
    from transformers import TrainingArguments

    return {item.name: item.type for item in dataclasses.fields(TrainingArguments)}


def overridable_fields() -> dict[str, Any]:
    """Return the fields that the command line may set, with their types."""
    return {**training_fields(), **_OWN_FIELDS}


def _descriptions(folder: Path) -> dict[str, str]:
    return {path.stem: read_yaml(path).get("description", "") for path in sorted(folder.glob("*.yaml"))}


def _find(kind: str, name_or_path: str, folder: Path) -> Path:
    names = [path.stem for path in sorted(folder.glob("*.yaml"))]
    if name_or_path in names:
        return folder / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise UserError(
        f'there is no {kind} "{name_or_path}" and no file of that name{nearest(name_or_path, names)} '
        f"Built-in: {', '.join(names)}."
    )


def _checked(content: Any, fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a copy of what a file says, sections left out or empty filled in, after checking every key."""
    if not isinstance(content, dict):
        raise UserError(f"what stands {where} has to be `key: value` lines.")
    check_fields(content, fields, where)
    content = {**content, **{name: content.get(name) or {} for name in _SECTIONS}}
    for section, section_fields in _section_fields(content).items():
        if not isinstance(content[section], dict):
            raise UserError(f"{section} {where} has to be `key: value` lines.")
        check_fields(content[section], section_fields, f"{where} under {section}")
    return content


def _section_fields(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fields that each section of a recipe's file may have, with their types."""
    from processing import LeccrProcessor
    from processing.images import RandomCrop

    sections = {
        "model": _model_fields(content.get("network", "cross-modal")),
        "training": training_fields(),
        "processor": _arguments_of(LeccrProcessor, ignored=("image_processor", "tokenizer")),
        "augmentation": _arguments_of(RandomCrop),
    }
    towers = {
        name: _tower_fields(name, content[name]) for name in ("vision", "text") if isinstance(content.get(name), dict)
    }
    return {**sections, **towers}


def _arguments_of(kind: type, ignored: tuple[str, ...] = ()) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters
    return {name: parameter.annotation for name, parameter in parameters.items() if name not in ignored}


def _tower_fields(name: str, tower: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a tower's configuration. Their types are transformers' business."""
    from transformers import CONFIG_MAPPING

    model_type = tower.get("model_type")
    if model_type not in CONFIG_MAPPING:
        suggestion = nearest(str(model_type), CONFIG_MAPPING)
        raise UserError(f'{name} needs a model_type that transformers has, and "{model_type}" is none{suggestion}')
    config = CONFIG_MAPPING[model_type]
    names = [item.name for item in dataclasses.fields(config)]
    return dict.fromkeys(["model_type", *names, *config.attribute_map], Any)
