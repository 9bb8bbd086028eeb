"""The command line `leccr`: all commands, what they share, and what becomes of errors."""

import errno
import os
import sys
import traceback
from typing import Annotated, Any, Never

import typer
from typer.core import TyperGroup

from processing.faults import FULL, fault_of_the_machine
from processing.screen import guard_output, shown

from .. import __version__
from ..errors import UserError
from .data import describe, prepare, translate
from .demo import demo
from .gallery import gallery, index, search
from .gallery_sync import duplicates, relocate, sync
from .hub import card, convert_official, export, push
from .lists import comma_hint
from .overrides import StrayWordError
from .processes import be_interrupted_once, has_lost_a_process, name_process, prepare_process, wait_for_the_end
from .quiet import with_quiet
from .recipes import recipes
from .serve import serve
from .training import embed_captions, evaluate, features, quickstart, train
from .usage import explain, unknown_command
from .values import name_values

REPORT = 'This is a bug in leccr. CONTRIBUTING.md says how to report it, in its section "Reporting a bug".'
SAME_COMMAND = "Run the same command again to resume."
HOW_TO_RESUME = {
    "describe": SAME_COMMAND,
    "features": SAME_COMMAND,
    "index": SAME_COMMAND,
    "train": "Add --resume to the same command to resume from the last checkpoint, if one was written.",
    "translate": SAME_COMMAND,
}
ARGUMENTS = "leccr.arguments"
USAGE_ERROR: Any = typer.BadParameter.__base__


class _Group(TyperGroup):
    """A group of commands, which suggests a near one for a misspelt one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise UserError(unknown_command(args[0], ctx.command_path, self.commands.items()))
        return super().resolve_command(ctx, args)


class _Commands(_Group):
    """All commands; what the user can put right ends in one line, and what is a bug in a traceback and a request."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        try:
            return super().parse_args(ctx, args)
        except USAGE_ERROR as error:
            self._stop_at_usage(error, ctx)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except USAGE_ERROR as error:
            self._stop_at_usage(error, ctx)
        except StrayWordError as error:
            _stop(f"Error: {error}{self._hint(ctx)}", 2)
        except KeyboardInterrupt:
            be_interrupted_once()
            _stop(f"Interrupted. {HOW_TO_RESUME.get(ctx.invoked_subcommand, '')}".rstrip(), 130)
        except (UserError, OSError) as error:
            # What reads our output has gone; typer ends quietly then.
            if os.environ.get("LECCR_DEBUG") == "1" or getattr(error, "errno", None) == errno.EPIPE:
                raise
            _stop(f"Error: {_one_line(error, ctx.invoked_subcommand)}", 2)
        except Exception as error:
            # typer's own, which end the program and are none.
            if isinstance(error, (typer.Exit, typer.Abort)) or hasattr(error, "exit_code"):
                raise
            if _is_out_of_memory(error):
                _stop("Error: The memory does not suffice; use a smaller --batch-size, or a smaller model.", 2)
            if has_lost_a_process(error):
                _stop(wait_for_the_end(), 2)
            if fault_of_the_machine(error) and os.environ.get("LECCR_DEBUG") != "1":
                _stop(f"Error: {_one_line(error, ctx.invoked_subcommand)}", 2)
            traceback.print_exc()
            _stop(REPORT, 1)

    def _stop_at_usage(self, error: Any, ctx: Any) -> Never:
        # That one is the help, of a group without a command.
        if type(error).__name__ == "NoArgsIsHelpError":
            raise error
        command = error.ctx.command_path if error.ctx else f"leccr {ctx.invoked_subcommand or ''}".rstrip()
        sentence, hint = explain(error, command, ctx.meta[ARGUMENTS]), self._hint(ctx)
        if hint:
            # Says better than the help what to do.
            sentence = f"{sentence.partition(';')[0].rstrip('.')}.{hint}"
        _stop(f"Error: {sentence}", 2)

    def _hint(self, ctx: Any) -> str:
        """Return how a list is written, if the values of one were given with spaces between."""
        parameters = [parameter for command in self.commands.values() for parameter in command.params]
        lists = {name for parameter in parameters if getattr(parameter, "multiple", False) for name in parameter.opts}
        hint = comma_hint(ctx.meta[ARGUMENTS], lists)
        return f" {hint}" if hint else ""


app = typer.Typer(
    cls=_Commands,
    help="Search images and videos in your own language.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"leccr {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Search images and videos in your own language."""


TRAINING_FIELDS: dict[str, Any] = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "epilog": "Any field of transformers.TrainingArguments can follow, for example --learning_rate 1e-4 --bf16.",
}

app.command()(quickstart)
app.command()(prepare)
app.command()(describe)
app.command()(translate)
app.command()(features)
app.command(**TRAINING_FIELDS)(train)
app.command("embed-captions")(embed_captions)
app.command()(evaluate)
app.command()(index)
app.command()(search)
gallery.command()(sync)
gallery.command()(relocate)
gallery.command()(duplicates)
app.add_typer(gallery, name="gallery", cls=_Group)
app.command()(demo)
app.command()(serve)
app.command()(push)
app.command()(card)
app.command("convert-official")(convert_official)
app.command()(export)
app.add_typer(recipes, name="recipes", cls=_Group)

for _typer in (app, gallery, recipes):
    for _registered in _typer.registered_commands:
        if _registered.callback is not None:
            name_values(_registered.callback)
            _registered.callback = with_quiet(_registered.callback)


def _one_line(error: Exception, command: str | None) -> str:
    """Return the error's message; for one of the machine, what is wrong, with which file, and how to resume."""
    fault = fault_of_the_machine(error)
    if fault is not None:
        again = HOW_TO_RESUME.get(str(command), SAME_COMMAND.replace(" to resume", "")) if FULL in fault.lower() else ""
        return shown(f"{fault}. {again}".rstrip())
    return shown(" ".join(str(error).split()) or type(error).__name__)


def _is_out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    return isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError))


def _stop(message: str, code: int) -> Never:
    said = shown(name_process(message, code))
    if said:
        print(said, file=sys.stderr)
    raise SystemExit(code)


def main() -> None:
    """Run the command line; exit with 2 on bad input, 1 on a bug and 130 when interrupted."""
    guard_output()
    prepare_process()
    app(prog_name="leccr")
