"""Names that the Hub would refuse, known before anything is sent."""

import re

from hub_card.names import is_repository

from ..errors import UserError

# Addresses of the Hub's own pages.
_RESERVED = frozenset(
    ("api", "blog", "chat", "collections", "datasets", "docs", "enterprise", "join", "login", "logout", "models", "new")
    + ("notifications", "organizations", "papers", "posts", "pricing", "privacy", "search", "settings", "spaces")
    + ("storage", "tasks", "terms-of-service")
)
_ENDINGS = (".git", ".ipynb", ".lock")
_LONGEST, _LONGEST_OWNER = 96, 42
# As `git check-ref-format` has it.
_NO_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|^[-/.]|/\.|[/.]$|\.lock($|/)|^@$|^$")


def check_new_names(repository: str, revision: str | None = None) -> None:
    """Check names that are to be made on the Hub.

    Args:
        repository: Name of the repository.
        revision: Branch; None is the main one.

    Raises:
        UserError: If the Hub refuses one of them.
    """
    if not is_repository(repository):
        raise UserError(f'"{repository}" is not a valid name on the Hub; write it as org/name.')
    owner, name = repository.split("/")
    problem = None
    if owner.lower() in _RESERVED:
        problem = f"{owner} is not a user or organisation"
    elif not re.fullmatch(r"[A-Za-z0-9_-]+", owner) or len(owner) > _LONGEST_OWNER:
        problem = f"the owner has letters, digits and single hyphens, at most {_LONGEST_OWNER}"
    elif len(repository) > _LONGEST:
        problem = f"it has {len(repository)} characters, and {_LONGEST} are allowed"
    elif name.lower().endswith(_ENDINGS):
        problem = f"no name ends in {' or '.join(_ENDINGS)}"
    if problem:
        raise UserError(f'The Hub does not take the name "{repository}": {problem}; choose another.')
    if revision is not None and _NO_BRANCH.search(revision):
        raise UserError(f"The Hub does not take the branch {revision!r}; use letters, digits, hyphens and slashes.")
