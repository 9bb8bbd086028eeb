"""Starts the app of the current folder in a process in which none of our packages can be imported."""

import importlib.abc
import runpy
import sys
from typing import Any

OURS = ("hub_card", "leccr", "modeling_leccr", "processing", "tests")


class Blocker(importlib.abc.MetaPathFinder):
    """Refuses our packages by their top-level names; `transformers_modules.*` passes."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname.partition(".")[0] in OURS:
            raise ModuleNotFoundError(f"{fullname} must not be needed here", name=fullname)


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocker())
    sys.path.insert(0, ".")
    runpy.run_path("app.py", run_name="__main__")
