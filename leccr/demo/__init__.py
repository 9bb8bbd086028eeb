"""`leccr demo`: the Space in the browser, over a gallery of `leccr index` or the built-in Scenes."""

from .serve import run_demo

__all__ = ["run_demo"]
