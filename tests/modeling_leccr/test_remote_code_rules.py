"""The rules for files that a checkpoint carries as remote code, each checked on the source and on a bad snippet.

Transformers copies such files into one flat folder, finds the ones to copy by scanning the text for relative imports,
and refuses to load them where an import that it sees is not installed.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OUR_PACKAGES = {"hub_card", "leccr", "modeling_leccr", "processing"}
RELATIVE_IMPORT_LINE = re.compile(r"^\s*(from|import)\s+\.")


def imports(tree: ast.AST) -> Iterator[tuple[int, str, int]]:
    """Yield the line, the module and the relative level of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name, 0) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", node.level


def nested_relative_imports(source: str) -> list[int]:
    """Relative imports of anything but `from .module import name`."""
    return [
        line
        for line, module, level in imports(ast.parse(source))
        if level and (level > 1 or not module or "." in module)
    ]


def lines_that_look_like_imports(source: str) -> list[int]:
    """Lines of docstrings and other text that the scan would take for relative imports."""
    real = {line for line, _, level in imports(ast.parse(source)) if level}
    lines = enumerate(source.splitlines(), start=1)
    return [number for number, line in lines if RELATIVE_IMPORT_LINE.match(line) and number not in real]


def type_checking_imports(source: str) -> list[int]:
    """Imports under `if TYPE_CHECKING`, which count as required."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            found += [line for line, _, _ in imports(node)]
    return found


def imports_of_our_packages(source: str) -> list[int]:
    """Absolute imports of our packages, which are not there when a checkpoint is loaded."""
    found = imports(ast.parse(source))
    return [line for line, module, level in found if not level and module.split(".")[0] in OUR_PACKAGES]


def star_imports(source: str) -> list[int]:
    """`from .module import *`, which hides what a file needs."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return [node.lineno for node in nodes if any(name.name == "*" for name in node.names)]


def isinstance_of_our_config(source: str) -> list[int]:
    """`isinstance(x, LeccrConfig)` and the like: a reloaded class is another class."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("isinstance", "issubclass")
        and len(node.args) == 2
        and re.search(r"\b(Leccr|CrossLingual)Config\b", ast.unparse(node.args[1]))
    ]


def other_libraries(source: str) -> list[int]:
    """Imports of anything but the standard library, torch, transformers, and what that cannot do without."""
    allowed = {"torch", "transformers", "huggingface_hub", *sys.stdlib_module_names}
    found = imports(ast.parse(source))
    return [line for line, module, level in found if not level and module.split(".")[0] not in allowed]


RULES: dict[Callable[[str], list[int]], list[str]] = {
    nested_relative_imports: [
        "from . import x",
        "from ..x import y",
        "from .a.b import c",
        "def f():\n    from . import x",
    ],
    lines_that_look_like_imports: ['"""Text.\n\n    from .x import y\n"""', '"""\nimport .x\n"""'],
    type_checking_imports: [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import datasets",
        "import typing\nif typing.TYPE_CHECKING:\n    from .x import y",
    ],
    imports_of_our_packages: [
        "import leccr",
        "from processing.images import open_image",
        "def f():\n    from modeling_leccr import x",
        "import torch, hub_card.cards",
    ],
    star_imports: ["from .x import *"],
    isinstance_of_our_config: [
        "isinstance(config, LeccrConfig)",
        "isinstance(config, (dict, LeccrConfig))",
        "isinstance(config, module.LeccrConfig)",
        "issubclass(kind, LeccrConfig)",
        "isinstance(config, CrossLingualConfig)",
    ],
}
GOOD = '''"""A file from .somewhere, with imports."""
import torch
from transformers import PreTrainedConfig
from .configuration_leccr import LeccrConfig

def f(config: LeccrConfig) -> bool:
    from .layers_leccr import (
        Layer,
    )
    return isinstance(config, PreTrainedConfig)
'''


def remote_code_of(folder: Path, entry: str) -> set[Path]:
    """Return a file and all that it imports relatively, which is what transformers copies."""
    files, waiting = set(), [folder / entry]
    while waiting:
        path = waiting.pop()
        if path not in files:
            files.add(path)
            found = imports(ast.parse(path.read_text(encoding="utf-8")))
            waiting += [folder / f"{module}.py" for _, module, level in found if level]
    return files


def direct_imports(folder: Path, entry: str) -> set[Path]:
    """Return the files of the folder that a file imports itself."""
    tree = ast.parse((folder / entry).read_text(encoding="utf-8"))
    return {folder / f"{module}.py" for _, module, level in imports(tree) if level}


MODELING = {path for path in (ROOT / "modeling_leccr").rglob("*.py") if path.name != "__init__.py"}
PROCESSING = remote_code_of(ROOT / "processing", "processing_leccr.py")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", sorted(MODELING | PROCESSING), ids=lambda path: path.name)
def test_a_remote_code_file_keeps_the_rule(path: Path, rule: Callable[[str], list[int]]) -> None:
    lines = rule(path.read_text(encoding="utf-8"))
    assert not lines, f"{path.relative_to(ROOT)}, lines {lines}: {rule.__doc__}"


@pytest.mark.parametrize("path", sorted(MODELING), ids=lambda path: path.name)
def test_the_network_needs_torch_and_transformers_only(path: Path) -> None:
    lines = other_libraries(path.read_text(encoding="utf-8"))
    assert not lines, f"{path.relative_to(ROOT)}, lines {lines}: {other_libraries.__doc__}"


@pytest.mark.parametrize(
    ("rule", "snippet"), [(rule, snippet) for rule, snippets in RULES.items() for snippet in snippets]
)
def test_the_rule_catches_a_bad_file_and_passes_a_good_one(rule: Callable[[str], list[int]], snippet: str) -> None:
    assert rule(snippet)
    assert not rule(GOOD)


def test_other_libraries_are_caught() -> None:
    assert other_libraries("import numpy as np\nfrom PIL import Image") == [1, 2]
    assert not other_libraries(GOOD)


def test_the_folder_is_flat() -> None:
    assert {path.parent for path in MODELING} == {ROOT / "modeling_leccr"}


def same_names(first: set[Path], second: set[Path]) -> set[str]:
    return {path.name for path in first} & {path.name for path in second}


def test_no_two_files_share_a_name() -> None:
    processing = {path for path in (ROOT / "processing").glob("*.py") if path.name != "__init__.py"}
    assert same_names(MODELING, processing) == set()
    assert same_names({Path("a/x.py"), Path("a/y.py")}, {Path("b/x.py")}) == {"x.py"}


@pytest.mark.parametrize(
    "folder, entries",
    [
        ("modeling_leccr", ["configuration_leccr.py", "modeling_leccr.py"]),
        ("modeling_leccr", ["configuration_cross_lingual.py", "modeling_cross_lingual.py"]),
        ("processing", ["processing_leccr.py"]),
    ],
)
def test_what_a_class_needs_is_imported_in_its_own_file(folder: str, entries: list[str]) -> None:
    """From a local folder, transformers 5.6 takes along what a file imports, but not what that imports in turn."""
    taken = {ROOT / folder / entry for entry in entries}
    for entry in entries:
        taken |= direct_imports(ROOT / folder, entry)
        assert remote_code_of(ROOT / folder, entry) <= taken, entry


def test_relative_imports_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from .b import x\n")
    (tmp_path / "b.py").write_text("from .a import y\nfrom .c import z\n")
    (tmp_path / "c.py").write_text("import torch\n")
    (tmp_path / "d.py").write_text("")
    assert {path.name for path in remote_code_of(tmp_path, "a.py")} == {"a.py", "b.py", "c.py"}
    assert {path.name for path in direct_imports(tmp_path, "a.py")} == {"b.py"}
