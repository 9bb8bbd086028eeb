"""Which of the texts' states next to a data set a recipe can train with: those of its own frozen tower."""

import re
from pathlib import Path
from typing import Any

from processing.notes import note
from processing.text_states import TextStates

from ..errors import UserError
from ..recipes.recipe import Recipe

POOLED, TOKENS = "pooled", "tokens"


def _all_states(folder: str | Path) -> list[TextStates]:
    """Return the states of texts in a folder, of all towers.

    Raises:
        UserError: If one of the files is broken.
    """
    return [TextStates(path) for path in sorted(Path(folder).glob("texts-*.safetensors")) if path.is_file()]


def text_settings(recipe: Recipe) -> dict[str, Any] | None:
    """Return what the states of a recipe's texts depend on; None if it trains its whole text tower.

    `layers` is how many of the tower's layers they have been through, None for all. `captions` and `descriptions` say
    whether there is one state per token, or only the pooled one, which suffices where texts are matched as a whole;
    `joined` which layers' states are in one, where that is not the last one's.
    """
    tower = recipe.dual_encoder or recipe.warm_start or recipe.text
    # Dual encoders are frozen unless the recipe says otherwise.
    frozen = recipe.model.get("freeze_text", recipe.dual_encoder is not None)
    layers = None if frozen else recipe.model.get("freeze_text_layers", 0)
    if layers == 0 or recipe.lora or not isinstance(tower, str):
        return None
    # Aligning words takes token states.
    whole = frozen and (recipe.network == "cross-modal" or recipe.model.get("word_weight") == 0)
    return {
        "tower": tower,
        "layers": layers,
        "pooling": recipe.model.get("text_pooling", "cls"),
        "captions": POOLED if whole else TOKENS,
        "descriptions": TOKENS if not whole or _reads_tokens(recipe) else POOLED,
        **({"joined": recipe.model["text_layers"]} if recipe.model.get("text_layers") else {}),
    }


def _reads_tokens(recipe: Recipe) -> bool:
    """Return whether slots attend to the tokens of descriptions."""
    return recipe.model.get("slot_source", "attention") != "sentences" and recipe.model.get("num_slots") != 0


def fits_recipe(states: TextStates, recipe: Recipe) -> bool:
    """Return whether states can take the place of the frozen layers of a recipe's text tower.

    States of all tokens serve where pooled ones would, since they are pooled when they are read.
    """
    settings, stored = text_settings(recipe), states.settings
    if settings is None or stored.keys() != settings.keys():
        return False
    return all(stored[name] == value or (value, stored[name]) == (POOLED, TOKENS) for name, value in settings.items())


def text_states_path(data: str | Path, recipe: Recipe) -> Path:
    """Return the file for the states of a recipe's texts: the one that has them, or else one that does not exist."""
    settings = text_settings(recipe) or {}
    tower = str(settings["tower"])
    name = Path(tower).name if Path(tower).is_dir() else tower
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "tower"
    depth = "" if settings["layers"] is None else f"-layer-{settings['layers']}"
    path = first = Path(data) / f"texts-{slug}{depth}.safetensors"
    number = 1
    while path.is_file() and not fits_recipe(TextStates(path), recipe):
        number += 1
        path = first.with_name(f"{first.stem}-{number}{first.suffix}")
    return path


def choose_text_states(data: str | Path, recipe: Recipe) -> TextStates | None:
    """Return the states next to a data set that fit a recipe, and print which; None if the tower has to run.

    Raises:
        UserError: If one of the files is broken.
    """
    existing, settings = _all_states(data), text_settings(recipe)
    fitting = [states for states in existing if fits_recipe(states, recipe)]
    # Pooled states are read much faster than those of all tokens.
    fitting.sort(key=lambda states: states.settings != settings)
    if fitting and recipe.model.get("token_dropout"):
        note(
            f"Note: token_dropout hides tokens before the text tower sees them, so {fitting[0].path.name} is not used."
        )
        return None
    if fitting:
        layers = fitting[0].layers
        what = "the frozen text tower" if layers is None else f"the frozen lowest {layers} layers of the text tower"
        note(f"Note: the states in {fitting[0].path.name} take the place of {what}.")
        return fitting[0]
    if existing and settings is not None:
        names = ", ".join(f"{states.path.name} ({states.settings['tower']})" for states in existing)
        note(f"Note: the text tower runs, since no states of texts next to the data are of its frozen layers: {names}.")
    return None


def check_frozen(recipe: Recipe) -> dict[str, Any]:
    """Return `text_settings`.

    Raises:
        UserError: If nothing of the text tower is frozen, or it has no pretrained weights.
    """
    settings = text_settings(recipe)
    if settings is None:
        raise UserError(
            f"Recipe {recipe.name} has no pretrained text tower with frozen layers; set freeze_text: true, or "
            "freeze_text_layers, under model, and name the tower under text."
        )
    return settings


__all__ = [
    "check_frozen",
    "choose_text_states",
    "fits_recipe",
    "text_settings",
    "text_states_path",
]
