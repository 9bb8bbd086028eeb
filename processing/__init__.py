"""Data for LECCR: processor, collator, row schema, readers and the built-in Scenes."""

from .collator import RetrievalCollator
from .processing_leccr import LeccrProcessor

__all__ = ["LeccrProcessor", "RetrievalCollator"]
