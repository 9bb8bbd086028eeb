"""Names of repositories on the Hub."""

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id


def is_repository(name: str) -> bool:
    """Return whether a name has the form that the Hub gives to repositories, `org/name`."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name
