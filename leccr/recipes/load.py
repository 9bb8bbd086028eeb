"""Finding recipes and towers, and putting the one on the other."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from .fields import check_fields, model_fields, nearest, section_fields, tower_fields
from .recipe import RECIPE_FIELDS, SECTIONS, Change, Recipe
from .yaml_text import read_yaml

RECIPES_FOLDER = Path(__file__).parent
TOWERS_FOLDER = Path(__file__).parent / "towers"
# What belongs to the method or to one run of it.
_NOT_OF_TOWERS = ("name", "network", "data", "languages", "skip_broken", "seed")
_TOWERS_FIELDS = {name: kind for name, kind in RECIPE_FIELDS.items() if name not in _NOT_OF_TOWERS}


def list_recipes() -> dict[str, str]:
    """Return the description of each built-in recipe by its name, in alphabetical order."""
    return _descriptions(RECIPES_FOLDER)


def list_towers() -> dict[str, str]:
    """Return the description of each built-in choice of towers by its name, in alphabetical order."""
    return _descriptions(TOWERS_FOLDER)


def towers_without_download() -> list[str]:
    """Return the names of the built-in towers that are trained from scratch, so that nothing is downloaded."""
    pretrained = ("vision", "text", "dual_encoder", "image_processor")
    contents = {path.stem: read_yaml(path) for path in sorted(TOWERS_FOLDER.glob("*.yaml"))}
    return [
        name for name, towers in contents.items() if not any(isinstance(towers.get(key), str) for key in pretrained)
    ]


def _descriptions(folder: Path) -> dict[str, str]:
    return {path.stem: read_yaml(path).get("description", "") for path in sorted(folder.glob("*.yaml"))}


def names_to_load(
    name_or_path: str | Path, towers: str | Path | None = None, dual_encoder: str | None = None
) -> list[str]:
    """Return the names of all models and tokenizers that a recipe starts from, without checking the rest of it.

    Unlike `load_recipe`, with the same arguments, it imports nothing heavy.

    Raises:
        UserError: There is no such recipe or file, or it is not YAML.
    """
    content, own_towers, folder = _read_method(_find("recipe", str(name_or_path), RECIPES_FOLDER))
    if dual_encoder is not None:
        return [dual_encoder]
    if towers is not None:
        own_towers, folder = str(towers), Path()
    block = own_towers or {}
    if isinstance(block, str):
        block = read_yaml(_find("choice of towers", block, TOWERS_FOLDER, folder))
    merged = {**content, **block} if isinstance(block, dict) else content
    keys = ["text", "tokenizer", "warm_start", "dual_encoder"]
    if merged.get("network") != "cross-lingual":
        keys += ["vision", "image_processor"]
    return [merged[key] for key in keys if isinstance(merged.get(key), str) and merged[key] != "learned"]


def load_recipe(name_or_path: str | Path, towers: str | Path | None = None, dual_encoder: str | None = None) -> Recipe:
    """Read a recipe, which says the method, and put the towers under it.

    A recipe's file may name another recipe (`extends: leccr`), whose keys it then has, too, and towers
    (`towers: published`, or a block with any of a recipe's keys that are not the method's), so that the same method can
    run over others. Where both say something, the towers' value holds, and `Recipe.changes` says so.

    Args:
        name_or_path: Name of a built-in recipe, or a YAML file.
        towers: Name of built-in towers, or a YAML file, in place of the recipe's own.
        dual_encoder: Name or folder of a dual encoder to start from. Without `towers` the settings are those of the
            built-in `siglip2`.

    Raises:
        UserError: There is no such recipe or file, the file is not a recipe, or a key or a value is wrong.
    """
    path = _find("recipe", str(name_or_path), RECIPES_FOLDER)
    content, own_towers, towers_folder = _read_method(path)
    where = f"in recipe {content['name']}"
    if dual_encoder is not None and towers is None:
        towers = "siglip2"
    if towers is not None:
        own_towers, towers_folder = str(towers), Path()
    content = _checked(content, RECIPE_FIELDS, where)
    if own_towers is None:
        return Recipe(**content)
    block = _read_towers(own_towers, towers_folder, where)
    if dual_encoder is not None:
        block["dual_encoder"] = dual_encoder
    return _join(content, block)


def _read_method(path: Path, extended_by: tuple[Path, ...] = ()) -> tuple[dict[str, Any], Any, Path]:
    """Return what a recipe and those that it extends say, their towers, and the folder that these are relative to."""
    if path.resolve() in extended_by:
        raise UserError(f"Recipe {path} extends itself; remove one `extends:`.")
    content, folder = {"name": path.stem, **read_yaml(path)}, path.parent
    towers, base_name = content.pop("towers", None), content.pop("extends", None)
    if base_name is None:
        return content, towers, folder
    if not isinstance(base_name, str):
        raise UserError(f'The value of extends in recipe {content["name"]} has to be text, but is "{base_name}".')
    base_path = _find("recipe", base_name, RECIPES_FOLDER, folder)
    base, base_towers, base_folder = _read_method(base_path, (*extended_by, path.resolve()))
    base.pop("description", None)
    if towers is None:
        towers, folder = base_towers, base_folder
    return _merged(base, content), towers, folder


def _read_towers(towers: Any, folder: Path, where: str) -> dict[str, Any]:
    """Return what towers say: a block in a recipe's file, a built-in name, or another file."""
    where, built_in = f"{where} under towers", False
    if isinstance(towers, str):
        path = _find("choice of towers", towers, TOWERS_FOLDER, folder)
        towers, where, built_in = read_yaml(path), f"in towers {path.stem}", path.parent == TOWERS_FOLDER
    block = _checked(towers, _TOWERS_FIELDS, where, built_in)
    block.pop("description", None)
    return block


def _join(content: Mapping[str, Any], block: Mapping[str, Any]) -> Recipe:
    recipe = Recipe(**_merged(content, block))
    if recipe.network == "cross-lingual":
        # Towers also say what concerns pictures, for the networks that see them.
        known = model_fields(recipe.network)
        model = {name: value for name, value in recipe.model.items() if name in known}
        recipe = dataclasses.replace(recipe, vision=None, image_processor=None, augmentation={}, model=model)
    return dataclasses.replace(recipe, changes=tuple(_changes(content, block)))


def _merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return what both say, and the upper one's value where both say something; sections are merged key by key."""
    sections = {
        name: {**(lower.get(name) or {}), **(upper.get(name) or {})}
        for name in SECTIONS
        if all(isinstance(side.get(name), dict | None) for side in (lower, upper))
    }
    return {**lower, **upper, **sections}


def _changes(content: Mapping[str, Any], block: Mapping[str, Any]) -> list[Change]:
    changes = []
    for name in block.keys() & content.keys():
        if name in SECTIONS:
            both = block[name].keys() & content[name].keys()
            changes += [Change(f"{name}.{key}", content[name][key], block[name][key]) for key in both]
        else:
            changes.append(Change(name, content[name], block[name]))
    return sorted(change for change in changes if change.recipe != change.towers)


def _find(kind: str, name_or_path: str, built_in: Path, folder: Path = Path()) -> Path:
    """Return the file of a built-in name, or the file of that path, relative to `folder`."""
    names = [path.stem for path in sorted(built_in.glob("*.yaml"))]
    if name_or_path in names:
        return built_in / f"{name_or_path}.yaml"
    path = folder / name_or_path
    if path.is_file():
        return path
    raise UserError(
        f'There is no {kind} "{name_or_path}" and no file of that name{nearest(name_or_path, names)} '
        f"Built-in: {', '.join(names)}."
    )


def _checked(content: Any, fields: Mapping[str, Any], where: str, built_in: bool = False) -> dict[str, Any]:
    """Return a copy of what a file says, sections left out or empty filled in, after checking every key.

    The configurations of built-in towers are not checked, because only transformers, which takes seconds to import,
    knows their keys.
    """
    if not isinstance(content, dict):
        raise UserError(f"The text {where} has to be `key: value` lines.")
    check_fields(content, fields, where)
    content = {**content, **{name: content.get(name) or {} for name in SECTIONS}}
    for section, known in section_fields(content.get("network", "cross-modal")).items():
        if not isinstance(content[section], dict):
            raise UserError(f"The section {section} {where} has to be `key: value` lines.")
        check_fields(content[section], known, f"{where} under {section}")
    if not all(isinstance(code, str) for code in content.get("languages") or []):
        raise UserError(f"The languages {where} have to be a list of codes, such as [de, fr].")
    for name in ("vision", "text"):
        tower = content.get(name)
        if isinstance(tower, dict) and not built_in:
            check_fields(tower, tower_fields(name, tower), f"{where} under {name}")
    return content
