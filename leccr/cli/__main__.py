"""`python -m leccr.cli`."""

from .app import main

main()
