"""Commands and code in the manual: what is typed exists, whatever the models behind it may be."""

import ast
import dataclasses
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from transformers import TrainingArguments
from typer.testing import CliRunner

from leccr.cli.app import app
from leccr.recipes import load_recipe

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    *sorted((REPOSITORY / "docs").glob("*.md")),
    REPOSITORY / "spaces" / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
]
OURS = {"hub_card", "leccr", "modeling_leccr", "processing"}
COMMANDS: Any = typer.main.get_command(app)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def typed(page: Path) -> list[str]:
    """Return the commands in a page's blocks of commands."""
    lines = "\n".join(blocks(page, "(?:console|bash)")).replace("\\\n", " ").splitlines()
    return [line for line in (line.removeprefix("$ ").partition("  #")[0] for line in lines) if line[:6] == "leccr "]


def mentioned(page: Path) -> list[str]:
    """Return the commands in a page's sentences and tables, which may be short of arguments."""
    text = page.read_text(encoding="utf-8").replace("\n", " ").replace("\\|", "|")
    return [span for span in re.findall(r"`(leccr [^`]*)`", text) if "COMMAND" not in span]


def find(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the words name, and the words after its name."""
    command = COMMANDS
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert command is not COMMANDS or not words or words[0].startswith("-"), f"there is no command {words[0]}"
    return command, words


def options(command: Any) -> set[str]:
    names = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    if command.name == "train":
        names |= {f"--{field.name}" for field in dataclasses.fields(TrainingArguments)}
    return names | {"--help"}


TYPED = [(page.name, command) for page in PAGES for command in typed(page)]
MENTIONED = [(page.name, command) for page in PAGES for command in mentioned(page)]
CODE = [(page.name, block) for page in PAGES for block in blocks(page, "python")]


def test_there_are_commands_and_code() -> None:
    assert len(TYPED) > 40 and len(MENTIONED) > 40 and len(CODE) > 5


@pytest.mark.parametrize(("page", "line"), TYPED)
def test_a_typed_command_has_all_it_needs(page: str, line: str) -> None:
    command, words = find(shlex.split(line)[1:])
    if "--list" not in words:  # an option that answers at once
        command.make_context(command.name, list(words))
    assert {word for word in words if word.startswith("--")} <= options(command)


@pytest.mark.parametrize(("page", "line"), MENTIONED)
def test_a_mentioned_command_exists(page: str, line: str) -> None:
    command, words = find(line.replace("add|remove|info|check|convert", "add").split()[1:])
    assert {word for word in words if word.startswith("--")} <= options(command)


@pytest.mark.parametrize(("page", "code"), CODE)
def test_code_uses_names_that_exist(page: str, code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in OURS:
            module = importlib.import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_common_options_exist() -> None:
    for words in (["--help"], ["--version"], ["translate", "--list"], ["recipes"]):
        assert CliRunner().invoke(app, words).exit_code == 0, words


def test_recipes_and_towers_of_the_manual_are_read(tmp_path: Path) -> None:
    files = [tmp_path / "my-recipe.yaml", tmp_path / "my-towers.yaml"]
    for path, text in zip(files, blocks(REPOSITORY / "docs" / "recipes.md", "yaml"), strict=True):
        assert text.startswith(f"# {path.name}\n")
        path.write_text(text, encoding="utf-8")
    recipe = load_recipe(*files)
    assert (recipe.model["num_slots"], recipe.model["freeze_vision"]) == (8, True)
    assert (recipe.vision, recipe.training["num_train_epochs"]) == ("facebook/dinov2-small", 20)
