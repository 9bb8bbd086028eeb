"""Fixtures that several test folders use."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, and no opinion on how fast the machine is.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder of reference material beside the repository: `LECCR_SHARED`, or else `../shared`."""
    folder = Path(os.environ.get("LECCR_SHARED") or Path(__file__).parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"no reference material at {folder}: set LECCR_SHARED to the folder that holds `golden/`")
    return folder
