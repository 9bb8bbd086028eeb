"""Recipes as YAML 1.2 text: reading files and single values, and writing."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import SequenceNode
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import VersionedResolver

from ..errors import UserError


class _CoreSchema(VersionedResolver):
    """What plain words mean in YAML 1.2. ruamel.yaml adds dates and `=`, which are text there."""

    def add_version_implicit_resolver(self, version: Any, tag: str, regexp: Any, first: Any) -> None:
        if not tag.endswith((":timestamp", ":value")):
            super().add_version_implicit_resolver(version, tag, regexp, first)


class _Representer(SafeRepresenter):
    """Lists of plain values in one line, all else in several, and no anchors where two keys share a value."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Any) -> SequenceNode:
        plain = not any(isinstance(value, list | tuple | dict) for value in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)


for _kind in (list, tuple):
    _Representer.add_representer(_kind, _Representer.represent_list)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = _CoreSchema
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.width = 1_000_000
    yaml.representer.sort_base_mapping_type_on_output = False
    return yaml


def read_yaml(path: Path) -> dict[str, Any]:
    """Return what a recipe's file says.

    Raises:
        UserError: If it is not valid YAML, says something twice, or is not a mapping.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a recipe: it needs keys such as model: and training:.")
    return content


def parse_yaml(text: str) -> Any:
    """Return what a YAML text says.

    Raises:
        YAMLError: If it is not valid.
        ValueError: If it has a number that cannot be read, such as `0o9`.
    """
    return _yaml().load(text)


def to_yaml(content: Mapping[str, Any]) -> str:
    """Return a mapping as YAML, from which `parse_yaml` reads the same again; keys keep their order."""
    stream = io.StringIO()
    _yaml().dump(dict(content), stream)
    return stream.getvalue()
