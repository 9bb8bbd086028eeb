"""Folders that nobody may read, not even the administrator, whom permissions do not stop."""

import os
from pathlib import Path
from typing import Any

import pytest


def close_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse to list folders of the name `closed`."""
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(os.fspath(path)).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
