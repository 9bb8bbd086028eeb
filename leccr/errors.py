"""What becomes of bad input and of missing libraries; the exceptions are defined below all other packages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processing.errors import MissingLibraryError, UserError, missing_extra


@contextmanager
def settings_of_the_user(subject: str) -> Iterator[None]:
    """Turn what the models' own code and other libraries say about the user's settings into a `UserError`.

    The networks travel with checkpoints as remote code and know only Python's exceptions, as transformers does.

    Args:
        subject: What has the settings, the beginning of the message, such as `"Recipe leccr"`.

    Raises:
        UserError: Within the context something refused a value, found no file or missed a library.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not _is_about_settings(error):
            raise
        raise UserError(f"{subject}: {' '.join(str(error).split())}") from error


@contextmanager
def inputs_of_the_user() -> Iterator[None]:
    """Turn what a network says about its inputs into a `UserError`.

    Raises:
        UserError: Within the context a batch did not fit the network.
    """
    try:
        yield
    except ValueError as error:
        # By name: a checkpoint that was loaded with its own code has its own copy of the class.
        if type(error).__name__ != "InputError":
            raise
        raise UserError(str(error)) from error


def no_gallery(folder: str | Path, also: str = "") -> UserError:
    """Return the error for a gallery that does not exist; `also` says what else can be given, after a comma."""
    return UserError(f"There is no gallery {folder}; make one with `leccr index`{also}.")


def no_model(name: str | Path) -> UserError:
    """Return the error for a model that is neither here nor on the Hub."""
    return UserError(
        f"There is no model {name}; name a folder with a readable config.json, or a model on the Hub as org/name."
    )


def no_source(name: str | Path) -> UserError:
    """Return the error for pictures to index that do not exist."""
    return UserError(f"There is no folder, file or data set {name}; a data set on the Hub is written as org/name.")


def no_data(folder: str | Path, also: str = "") -> UserError:
    """Return the error for a prepared data set that does not exist; `also` says what else can be given."""
    return UserError(f"There is no data folder {folder}; make one with `leccr prepare`{also}.")


def _is_about_settings(error: Exception) -> bool:
    from huggingface_hub.errors import StrictDataclassError

    return isinstance(error, (ValueError, OSError, ImportError, StrictDataclassError))


__all__ = [
    "MissingLibraryError",
    "UserError",
    "inputs_of_the_user",
    "missing_extra",
    "no_data",
    "no_gallery",
    "no_model",
    "no_source",
    "settings_of_the_user",
]
