"""The modules of the Space, whose folder is not a package, as it is deployed on its own."""

import importlib
import sys
import sysconfig
from pathlib import Path
from typing import Any

from ..errors import UserError, missing_extra


def space_folder() -> Path:
    """Return the folder of the Space: next to the package in a checkout, or among the installed data files."""
    candidates = [
        Path(__file__).parents[2] / "spaces",
        Path(sysconfig.get_path("data")) / "share" / "leccr" / "spaces",
    ]
    for folder in candidates:
        if (folder / "app.py").is_file():
            return folder
    raise UserError("The folder spaces is not installed; run `leccr demo` from a checkout of the repository.")


def space(name: str) -> Any:
    """Return a module of the Space by the end of its name, such as `page` for `space_page`.

    Raises:
        UserError: If the Space, or something that it needs, is not installed.
    """
    folder = str(space_folder())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(f"space_{name}")
    except ModuleNotFoundError as error:
        raise missing_extra("demo", "The page") from error
