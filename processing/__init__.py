"""Data for LECCR: processor, collator, row schema, readers and the built-in Scenes."""

from .caption_collator import CaptionCollator
from .collator import RetrievalCollator
from .processing_leccr import LeccrProcessor

__all__ = ["CaptionCollator", "LeccrProcessor", "RetrievalCollator"]
