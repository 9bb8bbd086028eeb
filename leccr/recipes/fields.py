"""Reading a recipe's YAML, and checking its keys and the kinds of its values."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from ..errors import UserError

# What the command and the recipe set by other means, so that it has one place only.
_SET_ELSEWHERE = {
    "output_dir": "--out",
    "seed": "--seed",
    "resume_from_checkpoint": "--resume",
    "vision_config": "the recipe's key vision",
    "text_config": "the recipe's key text",
}
# What has no effect, because every run has the optimizer that the recipes were made with.
_FIXED = ("optim", "optim_args", "optim_target_modules")
_PLAIN_TYPES = (bool, int, float, str, NoneType)
_TYPE_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "null"}


class _Loader(yaml.SafeLoader):
    """YAML in which `1e-5` is a number and `no` is text, as in YAML 1.2; PyYAML follows YAML 1.1."""


_FLOAT, _BOOL = "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != _BOOL]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_FLOAT, re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))


def check_names(names: Iterable[str], fields: Mapping[str, Any], where: str) -> None:
    """Check that every name is a field.

    Raises:
        UserError: One is not, cannot be set, or is set elsewhere; the message suggests the nearest field, or says
            where.
    """
    for name in names:
        if name in _SET_ELSEWHERE:
            raise UserError(f'"{name}" {where} is set elsewhere: use {_SET_ELSEWHERE[name]}.')
        if name in _FIXED:
            raise UserError(f'"{name}" {where} cannot be set: every recipe trains with AdamW; leave it out.')
        if name not in fields:
            raise UserError(f'unknown key "{name}" {where}{nearest(str(name), fields)}')


def check_fields(values: Mapping[str, Any], fields: Mapping[str, Any], where: str) -> None:
    """Check that every key is a field and every value of a kind that the field takes.

    Raises:
        UserError: One is not; the message names the nearest field, or the kind of value wanted.
    """
    check_names(values, fields, where)
    for name, value in values.items():
        wanted = _wanted(fields[name], value)
        if wanted:
            raise UserError(f'{name} {where} has to be {wanted}, but is "{value}".')


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return a question that names the candidate nearest to `name`, or a full stop where none is near."""
    matches = difflib.get_close_matches(name, list(candidates), n=1)
    return f': did you mean "{matches[0]}"?' if matches else "."


def read_yaml(path: Path) -> dict[str, Any]:
    """Return what a recipe's file says.

    Raises:
        UserError: If it is no YAML, or no mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a recipe: it needs keys such as model: and training:.")
    return content


def read_value(name: str, text: str, annotation: Any) -> Any:
    """Return what `text` on the command line means: itself for a text field, and otherwise what YAML makes of it."""
    kinds = _kinds(annotation)
    if str in kinds and not {bool, int, float} & set(kinds):
        return text
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UserError(f'the value "{text}" of {name} on the command line cannot be read.') from error


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _wanted(annotation: Any, value: Any) -> str | None:
    """Return in words what a field takes if `value` is something else; None where it fits or cannot be told."""
    kinds = _kinds(annotation)
    if all(get_origin(kind) is Literal for kind in kinds):
        choices = [choice for kind in kinds for choice in get_args(kind)]
        return None if value in choices else " or ".join(str(choice) for choice in choices)
    if not all(kind in _PLAIN_TYPES for kind in kinds):
        return None
    # bool is a kind of int in Python, but `seed: true` is a mistake; a whole number is also a number.
    if type(value) in kinds or (type(value) is int and float in kinds):
        return None
    return " or ".join(_TYPE_WORDS[kind] for kind in kinds)
