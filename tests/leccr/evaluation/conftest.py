"""Plots drawn with few pixels, and kept to be looked at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import leccr.drawing.figures


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw few pixels, to be quick."""
    monkeypatch.setitem(leccr.drawing.figures.STYLE, "savefig.dpi", 40)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Give what is saved, by the name of its file."""
    saved: dict[str, Any] = {}
    save = leccr.drawing.figures.save

    def keep(picture: Any, path: Path) -> None:
        save(picture, path)
        saved[path.name] = picture

    monkeypatch.setattr("leccr.drawing.figures.save", keep)
    monkeypatch.setattr("leccr.evaluation.plots.save", keep)
    yield saved
