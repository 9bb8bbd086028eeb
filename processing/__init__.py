"""Data for LECCR: processor, collators, row schema, readers and the built-in Scenes.

The public names are imported at their first use, so that a light module such as `processing.errors` stays light.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .caption_collator import CaptionCollator
    from .collator import RetrievalCollator
    from .processing_leccr import LeccrProcessor

__all__ = ["CaptionCollator", "LeccrProcessor", "RetrievalCollator"]

_MODULE_OF = {
    "CaptionCollator": "caption_collator",
    "LeccrProcessor": "processing_leccr",
    "RetrievalCollator": "collator",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'processing' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
