"""The one exception that stands for bad input.

It lives here because every other package may import this one. The files that travel with a checkpoint as remote code
cannot import it and raise `ValueError`.
"""

from importlib import metadata


class UserError(ValueError):
    """Bad input, or something missing, that the user can put right.

    The message is one plain sentence that names the value, the file or the row, and says what to do. The command line
    prints nothing else and exits with code 2.
    """


class BrokenFileError(UserError):
    """A picture or a video that cannot be used, but that a command may leave out.

    Args:
        problem: What is wrong, a clause that names the file or the row.
        advice: What to do about it, a clause.

    Attributes:
        problem: What is wrong.
        reason: Problem and advice as a sentence, for where the file has been left out; the error's own message says,
            too, that it can be.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}; {advice}, or skip broken ones.")
        self._arguments = (problem, advice)
        self.problem = problem
        self.reason = f"{problem}; {advice}."

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Let the error come from another process."""
        return type(self), self._arguments


class MissingLibraryError(UserError, ImportError):
    """An optional library is not installed."""


def missing_extra(extra: str, purpose: str) -> MissingLibraryError:
    """Return the error for an optional library that is not installed.

    Args:
        extra: Name of the group of optional requirements in pyproject.toml, such as `"demo"`.
        purpose: What needs it, the subject of the sentence, such as `"The page"`.

    Returns:
        An error whose message has the command that installs the group's requirements. The command names the
        requirements and not `leccr[extra]`, so that it also works where leccr was installed from a folder.
    """
    requirements = " ".join(f"'{requirement}'" for requirement in _requirements(extra))
    return MissingLibraryError(f"{purpose} needs libraries that are not installed: pip install {requirements}")


def _requirements(extra: str) -> list[str]:
    # Comes with huggingface_hub; wanted only once something is missing.
    from packaging.requirements import Requirement

    try:
        declared = [Requirement(line) for line in metadata.requires("leccr") or ()]
    except metadata.PackageNotFoundError:
        declared = []
    requirements = []
    for requirement in declared:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            continue
        if requirement.marker.evaluate({"extra": extra}):
            requirement.marker = None
            requirements.append(str(requirement))
    # Without metadata (leccr runs from a folder that was never installed), the group's name has to do.
    return requirements or [f"leccr[{extra}]"]
