"""How a model was trained: its towers and hyper-parameters, from the recipe that was saved with it."""

from collections.abc import Mapping
from typing import Any

Recipe = Mapping[str, Any]
# Settings of one run that say nothing about the model.
_LEFT_OUT = ("eval_steps", "save_steps", "eval_strategy", "save_strategy", "per_device_eval_batch_size")


def training_section(recipe: Recipe) -> str:
    """Return the towers as a list, and the hyper-parameters as a table.

    Args:
        recipe: Fields of `recipe.yaml`.
    """
    lines = [f"- {line}" for line in _towers(recipe)]
    sections = ("training", "augmentation", "processor", "model")
    settings = {
        name: value for section in sections for name, value in (recipe.get(section) or {}).items() if value is not None
    }
    for name in ("new_layers_learning_rate", "lora"):
        if recipe.get(name):
            settings[name] = recipe[name]
    rows = [f"| `{name}` | {_shown(value)} |" for name, value in settings.items() if name not in _LEFT_OUT]
    table = ["| setting | value |", "| --- | ---: |", *rows, f"| `seed` | {recipe.get('seed', 0)} |"]
    return (
        f"Recipe `{recipe.get('name')}`. `recipe.yaml` has every setting; `leccr train recipe.yaml` repeats the run "
        "where the data are available.\n\n" + "\n".join(lines) + "\n\n" + "\n".join(table)
    )


def _towers(recipe: Recipe) -> list[str]:
    lines = []
    if recipe.get("dual_encoder"):
        lines.append(f"Starts from the dual encoder {_named(recipe['dual_encoder'])}.")
    elif recipe.get("network") != "cross-lingual":
        features = "none: visual features were computed ahead"
        lines.append(f"Vision tower: {_named(recipe['vision']) if recipe.get('vision') else features}.")
    if recipe.get("text"):
        lines.append(f"Text tower: {_named(recipe['text'])}.")
    if recipe.get("tokenizer"):
        learned = "learned from the training captions"
        lines.append(f"Tokenizer: {learned if recipe['tokenizer'] == 'learned' else _named(recipe['tokenizer'])}.")
    if recipe.get("warm_start"):
        lines.append(f"Its text encoder starts as that of {_named(recipe['warm_start'])}.")
    return lines


def _named(tower: Any) -> str:
    """Return a pretrained tower's name, or the kind of one that was trained from scratch."""
    if isinstance(tower, Mapping):
        return f"`{tower.get('model_type', 'unknown')}`, trained from scratch"
    return f"`{tower}`"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
