"""What classes declare, read from their source: a recipe is checked without importing torch, which takes seconds."""

import ast
import importlib.util
from functools import cache, reduce
from operator import or_
from pathlib import Path
from types import GenericAlias, NoneType
from typing import Any, Literal

_TYPES = {"bool": bool, "int": int, "float": float, "str": str}


@cache
def declared_fields(package: str, file: str, name: str) -> dict[str, Any]:
    """Return the annotated attributes of a class with their types.

    Args:
        package: Top-level package, which is not imported.
        file: File of the package.
        name: Name of the class.

    Returns:
        The types by the attributes' names. What is not a plain type, a list of one, None or a Literal is `Any`.
    """
    fields = [node for node in _body(package, file, name) if isinstance(node, ast.AnnAssign)]
    return {node.target.id: _type(node.annotation) for node in fields if isinstance(node.target, ast.Name)}


@cache
def declared_arguments(package: str, file: str, name: str) -> dict[str, Any]:
    """Return the arguments of a class's `__init__` with their types, as `declared_fields` does."""
    for node in _body(package, file, name):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return {argument.arg: _type(argument.annotation) for argument in node.args.args[1:]}
    return {}


def _body(package: str, file: str, name: str) -> list[ast.stmt]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    source = (Path(spec.origin).parent / file).read_text(encoding="utf-8")
    return next(node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)


def _type(annotation: ast.expr | None) -> Any:
    return reduce(or_, _kinds(annotation))


def _kinds(annotation: ast.expr | None) -> list[Any]:
    match annotation:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _kinds(left) + _kinds(right)
        case ast.Name(id=name) if name in _TYPES:
            return [_TYPES[name]]
        case ast.Constant(value=None):
            return [NoneType]
        case ast.Subscript(value=ast.Name(id="list"), slice=ast.Name(id=name)) if name in _TYPES:
            return [GenericAlias(list, (_TYPES[name],))]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return [Literal[ast.literal_eval(choices)]]
    return [Any]
