"""Tests of the Space, whose folder is not a package: its modules are found by their names, as they are on the Hub."""

import sys
from pathlib import Path

SPACES = Path(__file__).parents[2] / "spaces"
sys.path.insert(0, str(SPACES))
