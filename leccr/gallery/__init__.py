"""A gallery: an index of pictures and videos on disk, searched by texts in any language."""

from .gallery import Gallery
from .results import Result

__all__ = ["Gallery", "Result"]
