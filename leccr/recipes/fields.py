"""The keys that a recipe's file may have, and the kinds of their values."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from ruamel.yaml.error import YAMLError

from ..errors import UserError
from .declared import declared_arguments, declared_fields
from .yaml_text import parse_yaml

# What has its own option or key.
_SET_ELSEWHERE = {
    "output_dir": "--out",
    "seed": "--seed",
    "resume_from_checkpoint": "--resume",
    "vision_config": "the recipe's key vision",
    "text_config": "the recipe's key text",
}
# Without effect, because every run has the optimizer that the recipes were made with.
_FIXED = ("optim", "optim_args", "optim_target_modules")
_PLAIN_TYPES = (bool, int, float, str, NoneType)
_TYPE_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "null"}


def check_names(names: Iterable[str], fields: Mapping[str, Any], where: str) -> None:
    """Check that every name is a field.

    Raises:
        UserError: One is not, cannot be set, or is set elsewhere; the message suggests the nearest field, or says
            where.
    """
    for name in names:
        if name in fields:
            continue
        if name in _SET_ELSEWHERE:
            raise UserError(f'The key "{name}" {where} is set elsewhere: use {_SET_ELSEWHERE[name]}.')
        if name in _FIXED:
            raise UserError(f'The key "{name}" {where} cannot be set: every recipe trains with AdamW; leave it out.')
        raise UserError(f'Unknown key "{name}" {where}{nearest(str(name), fields)}')


def check_fields(values: Mapping[str, Any], fields: Mapping[str, Any], where: str) -> None:
    """Check that every key is a field and every value of a kind that the field takes.

    Raises:
        UserError: One is not; the message names the nearest field, or the kind of value that is needed.
    """
    check_names(values, fields, where)
    for name, value in values.items():
        needed = _needed(fields[name], value)
        if needed:
            raise UserError(f'The value of {name} {where} has to be {needed}, but is "{value}".')


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return a question that names the candidate nearest to `name`, or a full stop where none is near."""
    matches = difflib.get_close_matches(name, list(candidates), n=1)
    return f': did you mean "{matches[0]}"?' if matches else "."


def read_value(name: str, text: str, annotation: Any) -> Any:
    """Return what `text` on the command line means: itself for a text field, and otherwise what YAML makes of it.

    Raises:
        UserError: If it is not valid YAML.
    """
    kinds = _kinds(annotation)
    if str in kinds and not {bool, int, float} & set(kinds):
        return text
    try:
        return parse_yaml(text)
    except (YAMLError, ValueError) as error:
        raise UserError(f'The value "{text}" of {name} on the command line cannot be read.') from error


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _needed(annotation: Any, value: Any) -> str | None:
    """Return in words what a field takes if `value` is something else; None where it fits or cannot be checked."""
    kinds = _kinds(annotation)
    if all(get_origin(kind) is Literal for kind in kinds):
        choices = [choice for kind in kinds for choice in get_args(kind)]
        return None if value in choices else " or ".join(str(choice) for choice in choices)
    if list[int] in kinds:
        fits = value is None or (isinstance(value, list) and all(type(item) is int for item in value))
        return None if fits else "a list of whole numbers, such as [12, 10]"
    if not all(kind in _PLAIN_TYPES for kind in kinds):
        return None
    # bool is a kind of int in Python, but `seed: true` is a mistake; a whole number is also a number.
    if type(value) in kinds or (type(value) is int and float in kinds):
        return None
    return " or ".join(_TYPE_WORDS[kind] for kind in kinds if not (kind is int and float in kinds))


def section_fields(network: str) -> dict[str, dict[str, Any]]:
    """Return the fields that each section of a recipe's file may have, with their types."""
    processor = declared_arguments("processing", "processing_leccr.py", "LeccrProcessor")
    return {
        "model": model_fields(network),
        "training": training_fields(),
        "processor": {name: kind for name, kind in processor.items() if name not in ("image_processor", "tokenizer")},
        "augmentation": declared_arguments("processing", "images.py", "RandomCrop"),
    }


def model_fields(network: str) -> dict[str, Any]:
    """Return the fields of a network's configuration that a recipe may set, with their types."""
    if network == "cross-lingual":
        fields = declared_fields("modeling_leccr", "configuration_cross_lingual.py", "CrossLingualConfig")
    else:
        fields = declared_fields("modeling_leccr", "configuration_leccr.py", "LeccrConfig")
    return _settable(fields)


def training_fields() -> dict[str, Any]:
    """Return the fields of `TrainingArguments` that a recipe may set, with their types."""
    return _settable(declared_fields("transformers", "training_args.py", "TrainingArguments"))


def _settable(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: kind for name, kind in fields.items() if name not in (*_SET_ELSEWHERE, *_FIXED)}


def tower_fields(name: str, tower: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a tower's configuration. Their types are left to transformers.

    Raises:
        UserError: If the tower's `model_type` is unknown.
    """
    from transformers import CONFIG_MAPPING

    model_type = tower.get("model_type")
    if model_type not in CONFIG_MAPPING:
        suggestion = nearest(str(model_type), CONFIG_MAPPING)
        raise UserError(f'The {name} tower needs a model_type that transformers has, not "{model_type}"{suggestion}')
    config = CONFIG_MAPPING[model_type]
    names = [item.name for item in dataclasses.fields(config)]
    return dict.fromkeys(["model_type", *names, *config.attribute_map], Any)
