"""`python -m leccr.cli`."""

from ..interrupts import run_interruptible
from .app import main

run_interruptible(main)
