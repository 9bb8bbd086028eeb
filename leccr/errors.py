"""What becomes of bad input and of missing libraries; the exceptions are defined below all other packages."""

from collections.abc import Iterator
from contextlib import contextmanager

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


def _is_about_settings(error: Exception) -> bool:
    from huggingface_hub.errors import StrictDataclassError

    return isinstance(error, (ValueError, OSError, ImportError, StrictDataclassError))


__all__ = ["MissingLibraryError", "UserError", "inputs_of_the_user", "missing_extra", "settings_of_the_user"]
