"""Cheap checks of what a command is given, before anything heavy is imported: a typo is reported at once."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from processing.notes import is_main_process
from processing.writable import check_writable

from .errors import UserError, no_data, no_gallery, no_model, no_source

SCENES = "scenes"
SENTENCE_TRANSFORMERS = "st:"
"""What the name of a model begins with that sentence-transformers is to load."""
WRITTEN_BY_US = "name one that `leccr train`, `prepare` or `index` wrote"
QUICKSTART_FILE = "quickstart.json"
"""What marks a folder that `leccr quickstart` wrote."""


def check_choice(option: str, value: str | None, choices: Iterable[str]) -> None:
    """Check that a value is one of the choices; None, which leaves it to the program, always is.

    Raises:
        UserError: It is not.
    """
    known = list(choices)
    if value is None or value in known:
        return
    close = get_close_matches(value, known, 1)
    hint = f': did you mean "{close[0]}"?' if close else f"; choose {', '.join(known[:-1])} or {known[-1]}."
    raise UserError(f"{option} {value} is not known{hint}")


def check_new_folder(folder: str | Path, also: str = "") -> None:
    """Check that a folder to write does not exist, or is empty.

    Args:
        folder: The folder.
        also: What else the user can do, such as `"add --resume to resume the run in it"`.

    Raises:
        UserError: It has files in it, is a file, or nothing can be written there.
    """
    folder = Path(folder)
    if not is_main_process():
        # The main process decides, before it writes anything there.
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; {also or 'remove it'}, or choose another folder with --out.")
    check_writable(folder, folder=True)


def check_data(data: str | Path, scenes: bool = False) -> None:
    """Check that a folder holds a prepared data set.

    Args:
        data: Folder that `leccr prepare` wrote.
        scenes: Also accept `scenes`, the built-in data set.

    Raises:
        UserError: It does not.
    """
    if scenes and str(data) == SCENES:
        return
    folder = Path(data)
    other = " or use scenes" if scenes else ""
    if not folder.is_dir():
        raise no_data(data, other)
    if not any(folder.glob("*.parquet")):
        raise UserError(f"{data} holds no prepared data (no .parquet file); make some with `leccr prepare`{other}.")


def check_file(option: str, path: str | Path | None) -> None:
    """Check that a file exists; None, where the option is not given, is all right.

    Raises:
        UserError: There is none.
    """
    if path is not None and not Path(path).is_file():
        raise UserError(f"{path} does not exist; give a file that exists to {option}.")


def check_folder(path: str | Path | None, hint: str) -> None:
    """Check that a folder exists; None, where the option is not given, is all right.

    Raises:
        UserError: There is none; the message ends with the hint.
    """
    if path is not None and not Path(path).is_dir():
        raise UserError(f"There is no folder {path}; {hint}.")


def repository_of(model: str | Path) -> str:
    """Return the folder or Hub name of a model, without the prefix of those for sentence-transformers.

    As in that library, a name without an organisation is one of its own models.
    """
    name = str(model)
    where = name.removeprefix(SENTENCE_TRANSFORMERS)
    is_bare = where != name and "/" not in where and not Path(where).exists()
    return f"sentence-transformers/{where}" if is_bare else where


def check_checkpoint(name: str | Path, bare: bool = False) -> None:
    """Check that a name can be that of a model: a folder with a config.json, or a repository of the Hub.

    Args:
        name: Folder or Hub name.
        bare: Also accept names without an organisation, as some old models of other people have.

    Raises:
        UserError: It cannot.
    """
    where = repository_of(name)
    folder = Path(where)
    if folder.is_dir():
        possible = any((folder / file).is_file() for file in ("config.json", "modules.json"))
    else:
        from hub_card.names import is_repository

        possible = is_repository(f"org/{where}" if bare and "/" not in where else where)
    if not possible:
        raise no_model(name)


def check_towers(towers: str | None) -> None:
    """Check that towers are built in or a file; None, the recipe's own, is all right.

    Raises:
        UserError: They are not.
    """
    if towers is not None and not Path(towers).is_file():
        from .recipes import list_towers

        check_choice("--towers", towers, list_towers())


def check_source(name: str) -> None:
    """Check that what is to be searched exists here, or has the form of a data set's name on the Hub.

    Raises:
        UserError: It does not.
    """
    from hub_card.names import is_repository

    if not Path(name).exists() and not is_repository(name):
        raise no_source(name)


def check_gallery_to_show(name: str) -> None:
    """Check that what the page is to show is a folder, or has the form of a data set's name on the Hub.

    Raises:
        UserError: It is neither.
    """
    from hub_card.names import is_repository

    if not Path(name).is_dir() and not is_repository(name):
        raise no_gallery(name, ", or name a folder of pictures, or a data set on the Hub as org/name")
