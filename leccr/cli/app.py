"""The command line `leccr`: all commands, and what becomes of errors."""

import os
import traceback
from typing import Any, Never

import typer
from typer.core import TyperGroup

from ..errors import UserError
from .demo import demo
from .gallery import gallery, index, search
from .generation import TranslateCommand, describe, translate
from .hub import card, convert_official, export, push
from .preparation import prepare
from .recipes import recipes
from .training import embed_captions, evaluate, features, quickstart, train
from .words import words_command

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


app = typer.Typer(
    cls=_Commands,
    help="Search images and videos in your own language.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
LanguagesCommand = words_command("--languages")
TRAINING_FIELDS: dict[str, Any] = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "epilog": "Any field of transformers.TrainingArguments can follow, for example --learning_rate 1e-4 --bf16.",
}

app.command()(quickstart)
app.command(cls=LanguagesCommand)(prepare)
app.command()(describe)
app.command(cls=TranslateCommand)(translate)
app.command()(features)
app.command(cls=LanguagesCommand, **TRAINING_FIELDS)(train)
app.command("embed-captions")(embed_captions)
app.command(cls=LanguagesCommand)(evaluate)
app.command()(index)
app.command()(search)
app.add_typer(gallery, name="gallery")
app.command()(demo)
app.command()(push)
app.command()(card)
app.command("convert-official")(convert_official)
app.command()(export)
app.add_typer(recipes, name="recipes")


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
