"""Commands around recipes: listing them, and showing one in full."""

import dataclasses
from typing import Annotated

import typer

from processing.notes import note

from .options import DualEncoder, Lora, Towers, WarmStart
from .overrides import own_options, parse_overrides

recipes = typer.Typer(help="List the built-in recipes and towers, or show a recipe.", invoke_without_command=True)


@recipes.callback()
def list_all(context: typer.Context) -> None:
    """List the built-in recipes and towers, or show a recipe in full."""
    if context.invoked_subcommand:
        return
    from ..recipes import list_recipes, list_towers

    for title, entries in (("Recipes", list_recipes()), ("Towers (--towers)", list_towers())):
        typer.echo(f"{title}:")
        for name, description in entries.items():
            typer.echo(f"  {name:<14} {description}")
    note("One in full, with its towers: leccr recipes show leccr --towers scenes")


@recipes.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Any field of transformers.TrainingArguments can follow, as for `leccr train`.",
)
def show(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="Built-in recipe or a YAML file.")],
    towers: Towers = None,
    dual_encoder: DualEncoder = None,
    warm_start: WarmStart = None,
    lora: Lora = None,
) -> None:
    """Print a recipe over its towers, as `leccr train FILE` reads it."""
    overrides = parse_overrides(context.args, own_options(context))

    from ..recipes import load_recipe, override_training

    shown = override_training(load_recipe(recipe, towers, dual_encoder), overrides)
    shown = dataclasses.replace(shown, warm_start=warm_start or shown.warm_start, lora=lora or shown.lora)
    typer.echo(shown.to_yaml(), nl=False)
