"""A gallery: an index of pictures and videos on disk, searched by texts in any language.

The public names are imported at their first use, so that the command line can show the options' defaults quickly.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gallery import Gallery
    from .results import Result

__all__ = ["Gallery", "Result"]

_MODULE_OF = {"Gallery": "gallery", "Result": "results"}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'leccr.gallery' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
