"""`leccr serve`: a gallery and its model over HTTP, for programs; the page for people is `leccr demo`."""

from .run import run_serve

__all__ = ["run_serve"]
