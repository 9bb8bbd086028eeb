"""Commands around recipes: listing them, and showing what one comes to."""

import dataclasses
from typing import Annotated

import typer

from processing.notes import note

from .overrides import parse_overrides

recipes = typer.Typer(help="List the built-in recipes and towers, or show a recipe.", invoke_without_command=True)


@recipes.callback()
def list_all(context: typer.Context) -> None:
    """List the built-in recipes, and the towers to put under them; or show one in full."""
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
    towers: Annotated[
        str | None, typer.Option(help="Built-in towers or a YAML file, instead of the recipe's own.")
    ] = None,
    dual_encoder: Annotated[
        str | None, typer.Option(metavar="NAME", help="CLIP, SigLIP or the like to start from: Hub name or folder.")
    ] = None,
    warm_start: Annotated[
        str | None, typer.Option(metavar="TEACHER", help="Model whose text tower and tokenizer to start from.")
    ] = None,
    lora: Annotated[
        int | None, typer.Option(metavar="RANK", min=1, help="Train the towers by LoRA of this rank, such as 16.")
    ] = None,
) -> None:
    """Print all settings of a recipe over its towers, as YAML that `leccr train FILE` takes."""
    overrides = parse_overrides(context.args)

    from ..recipes import load_recipe, override_training

    shown = override_training(load_recipe(recipe, towers, dual_encoder), overrides)
    shown = dataclasses.replace(shown, warm_start=warm_start or shown.warm_start, lora=lora or shown.lora)
    typer.echo(shown.to_yaml(), nl=False)
