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


def _is_about_settings(error: Exception) -> bool:
    from huggingface_hub.errors import StrictDataclassError

    return isinstance(error, (ValueError, OSError, ImportError, StrictDataclassError))


__all__ = ["MissingLibraryError", "UserError", "missing_extra", "settings_of_the_user"]
