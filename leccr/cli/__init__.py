"""The command line `leccr`.

Nothing heavy is imported here: each command imports what it runs, so that `leccr --help` answers at once.
"""

from .app import app, main

__all__ = ["app", "main"]
