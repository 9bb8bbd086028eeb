"""What holds for each of these tests, whatever it reads."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import disable_progress_bars

MOST_MEMORY = 2**31
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@pytest.fixture(autouse=True)
def within_memory() -> Iterator[None]:
    """Assert that the test takes less than 2 GB; only Linux can tell the largest size since a moment."""
    if not RESET.exists():
        yield
        return
    RESET.write_text("5")
    before = _memory("VmRSS")
    yield
    assert _memory("VmHWM") - before < MOST_MEMORY


def _memory(field: str) -> int:
    match = re.search(rf"{field}:\s*(\d+) kB", STATUS.read_text())
    assert match
    return int(match[1]) * 1024


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Turn warnings that would be printed into nothing but failures of our own code."""
    disable_progress_bars()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        warnings.filterwarnings("error", module=r"(leccr|processing|modeling_leccr|hub_card)\b")
        yield


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder for what is read and written; nothing beside it may appear or change."""
    inside = tmp_path / "parent" / "place"
    inside.mkdir(parents=True)
    (tmp_path / "victim.txt").write_text("mine")
    (tmp_path / "parent" / "victim.txt").write_text("mine")
    before = _outside(tmp_path, inside)
    yield inside
    assert _outside(tmp_path, inside) == before


def _outside(root: Path, inside: Path) -> dict[str, bytes | None]:
    paths = [path for path in root.rglob("*") if path != inside and not path.is_relative_to(inside)]
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths}
