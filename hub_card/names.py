"""Names of repositories on the Hub."""

from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id


def is_repository(name: str) -> bool:
    """Return whether a name has the form that the Hub gives to repositories, `org/name`."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name


def public_name(name: str) -> str:
    """Return the name of a model or a data set as others may see it: of a folder's path only the last part."""
    path = Path(name)
    is_path = path.exists() or path.is_absolute() or ("/" in name and not is_repository(name))
    return path.resolve().name if is_path else name
