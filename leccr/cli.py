"""The command line ``leccr``.

Nothing heavy is imported here: each command imports what it runs, so that ``leccr --help`` answers at once.
"""

import dataclasses
import os
import traceback
from pathlib import Path
from typing import Annotated, Any, Never

import typer
from typer.core import TyperCommand, TyperGroup

from .cli_demo import demo
from .cli_gallery import gallery, index, search
from .cli_generation import TranslateCommand, describe, translate
from .cli_hub import card, convert_official, export, push
from .cli_preparation import prepare
from .errors import UserError

OUR_PACKAGES = ("hub_card", "leccr", "modeling_leccr", "processing", "transformers_modules")
# Raised by our own code, these mean bad input.
MENDABLE = (UserError, ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError, ImportError)


class _Commands(TyperGroup):
    """All commands; errors that the user can mend end in one line."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _stop("Interrupted.", 130)
        except MENDABLE as error:
            if os.environ.get("LECCR_DEBUG") == "1" or not _is_for_the_user(error):
                raise
            _stop(f"Error: {' '.join(str(error).split())}", 2)


class _LanguagesCommand(TyperCommand):
    """A command whose ``--languages`` takes several words, which an option of typer cannot."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, repeat_option(args, "--languages"))


app = typer.Typer(
    cls=_Commands,
    help="Search images and videos in your own language.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Languages = Annotated[
    list[str] | None,
    typer.Option(
        "--languages", metavar="CODE ...", help="Target languages, such as de fr; by default all in the data."
    ),
]
SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Count undecodable images and videos and go on.")]
DataArgument = Annotated[str, typer.Argument(help="Folder that `leccr prepare` wrote, or scenes.")]


@app.command(
    cls=_LanguagesCommand,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Any field of transformers.TrainingArguments can follow, for example --learning_rate 1e-4 --bf16.",
)
def train(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="Built-in recipe (see `leccr recipes`) or a YAML file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: new, or empty unless --resume.")],
    data: Annotated[str, typer.Option(help="Folder that `leccr prepare` wrote, or scenes.")] = "scenes",
    towers: Annotated[str | None, typer.Option(help="Built-in towers or a YAML file, not the recipe's own.")] = None,
    warm_start: Annotated[
        str | None, typer.Option(metavar="TEACHER", help="Model whose text tower and tokenizer to start from.")
    ] = None,
    dual_encoder: Annotated[
        str | None, typer.Option(metavar="NAME", help="CLIP, SigLIP or the like to start from: Hub name or folder.")
    ] = None,
    lora: Annotated[
        int | None, typer.Option(metavar="RANK", min=1, help="Train the towers by LoRA of this rank, such as 16.")
    ] = None,
    languages: Languages = None,
    seed: Annotated[int, typer.Option(help="Seed of the weights, the order of the data and the dropout.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    skip_broken: SkipBroken = False,
    plots: Annotated[
        bool, typer.Option("--plots", help="Draw the loss, its terms and the validation into OUT/plots.")
    ] = False,
) -> None:
    """Train a retriever, or the text-only teacher of one, by a recipe."""
    if recipe.startswith("-"):
        raise UserError(f"the recipe comes first: leccr train RECIPE {recipe} ...")
    overrides = parse_overrides(context.args)

    from .recipes import load_recipe, override_training

    adapted = override_training(load_recipe(recipe, towers, dual_encoder), overrides)
    if warm_start is not None:
        adapted = dataclasses.replace(adapted, warm_start=warm_start)
    if lora is not None:
        adapted = dataclasses.replace(adapted, lora=lora)

    from .training import run_training

    run_training(
        adapted,
        data=data,
        output=out,
        languages=languages,
        seed=seed,
        resume=resume,
        skip_broken=skip_broken,
        plots=plots,
    )


@app.command(cls=_LanguagesCommand)
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hub name of a trained model.")],
    data: DataArgument,
    languages: Languages = None,
    split: Annotated[str, typer.Option(help="Split to evaluate.")] = "validation",
    out: Annotated[Path | None, typer.Option("--out", help="JSON file for the figures and their protocol.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images or texts encoded at once.")] = 64,
    descriptions: Annotated[bool, typer.Option(help="Use the images' descriptions, or the images alone.")] = True,
    skip_broken: SkipBroken = False,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for plots: hit rates, ranks, similarities, worst queries."),
    ] = None,
) -> None:
    """Measure how well a trained model finds images by texts, and texts by images; or a text-only one translations."""
    from .evaluation import run_evaluation

    run_evaluation(
        checkpoint,
        data,
        split=split,
        languages=languages,
        output=out,
        batch_size=batch_size,
        descriptions=descriptions,
        skip_broken=skip_broken,
        plots=plots,
    )


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option(help="Seed of the data and the training.")] = 0,
) -> None:
    """Draw the built-in data, train three recipes on it, compare them and answer queries in six languages."""
    from .quickstart import run_quickstart

    run_quickstart(output=out, seed=seed)


app.command(cls=_LanguagesCommand)(prepare)
app.command()(describe)
app.command(cls=TranslateCommand)(translate)
app.command()(index)
app.command()(search)
app.command()(demo)
app.command("convert-official")(convert_official)
app.command()(export)
app.add_typer(gallery, name="gallery")
app.command()(card)
app.command()(push)


@app.command()
def features(
    data: Annotated[str, typer.Argument(help="Folder that `leccr prepare` wrote.")],
    towers: Annotated[str | None, typer.Option(help="Built-in towers or a YAML file with the vision tower.")] = None,
    recipe: Annotated[str, typer.Option(help="Recipe whose towers to use if --towers is left out.")] = "dual-encoder",
    dtype: Annotated[str, typer.Option(help="fp16 or fp32.")] = "fp16",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures or frames encoded at once.")] = 8,
    copies: Annotated[
        int, typer.Option(min=0, help="Randomly cropped copies of each training picture, for training to draw from.")
    ] = 0,
) -> None:
    """Compute a frozen tower's visual features once and write them beside the data."""
    from .featuring import run_features
    from .recipes import load_recipe

    path = run_features(data, load_recipe(recipe, towers), dtype=dtype, batch_size=batch_size, copies=copies)
    typer.echo(f"The features are in {path}; `leccr train` uses them in place of the pictures.")


@app.command("embed-captions")
def embed_captions(
    data: Annotated[str, typer.Argument(help="Folder that `leccr prepare` wrote.")],
    model: Annotated[
        str, typer.Option(metavar="TEACHER", help="Folder or Hub name of a model that embeds texts of all languages.")
    ],
    batch_size: Annotated[int, typer.Option(min=1, help="Captions encoded at once.")] = 256,
) -> None:
    """Write a teacher's embeddings of all captions beside the data, for cl2cm and leccr-cl2cm."""
    from .embedding import run_embedding

    path = run_embedding(data, model, batch_size=batch_size)
    typer.echo(f"The embeddings are in {path}; `leccr train cl2cm` and `leccr train leccr-cl2cm` learn from them.")


@app.command()
def recipes() -> None:
    """List the built-in recipes, and the towers to put under them."""
    from .recipes import list_recipes, list_towers

    for title, entries in (("Recipes", list_recipes()), ("Towers (--towers)", list_towers())):
        if entries:
            typer.echo(f"{title}:")
        for name, description in entries.items():
            typer.echo(f"  {name:<14} {description}")


def repeat_option(arguments: list[str], option: str) -> list[str]:
    """Return the arguments with ``option a b`` written as ``option a option b``."""
    repeated: list[str] = []
    takes_words = False
    for argument in arguments:
        if argument.startswith("-"):
            takes_words = argument == option
        elif takes_words and repeated[-1] != option:
            repeated.append(option)
        repeated.append(argument)
    return repeated


def parse_overrides(arguments: list[str]) -> dict[str, str]:
    """Return training settings written as ``--field value``, ``--field=value``, or ``--field`` for true.

    Args:
        arguments: What the command line has besides the command's own options. ``-`` and ``_`` are alike in names.

    Raises:
        UserError: A word does not belong to a field.
    """
    overrides: dict[str, str] = {}
    waiting = None
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            name = name.replace("-", "_")
            overrides[name] = value if equals else "true"
            waiting = None if equals else name
        elif waiting:
            overrides[waiting] = argument
            waiting = None
        else:
            raise UserError(f'"{argument}" belongs to no option: write --field value.')
    return overrides


def _is_for_the_user(error: BaseException) -> bool:
    """Return whether our own code raised the error; one from inside a library is a bug and keeps its traceback."""
    if isinstance(error, UserError):
        return True
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and frames[-1][0].f_globals.get("__name__", "").split(".")[0] in OUR_PACKAGES


def _stop(message: str, code: int) -> Never:
    typer.echo(message, err=True)
    raise SystemExit(code)


def main() -> None:
    """Run the command line; exit with 2 on bad input and 130 when interrupted."""
    app(prog_name="leccr")


if __name__ == "__main__":
    main()
