import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.offline_towers.wheels import Wheel, check_wheel, fetch_wheel
from leccr.errors import UserError

WHEEL = Wheel("some==1.0", "0" * 64, 1)


def pip(monkeypatch: pytest.MonkeyPatch, status: int, said: str, file: str | None = None) -> list[str]:
    """Let pip end with a status, an error and perhaps a file; what it is called with is in the list returned."""
    called: list[str] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        called.extend(command)
        if file is not None:
            folder = Path(command[command.index("--dest") + 1])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
        return SimpleNamespace(returncode=status, stderr=said)

    monkeypatch.setattr(subprocess, "run", run)
    return called


def test_pip_downloads_the_version_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = pip(monkeypatch, 0, "", "some-1.0-py3-none-any.whl")
    assert fetch_wheel(WHEEL, tmp_path, "--wheel") == tmp_path / "some-1.0-py3-none-any.whl"
    assert called[:3] == [sys.executable, "-m", "pip"] and called[-1] == "some==1.0"


def test_without_a_network_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "WARNING: Retrying ...\nERROR: No matching distribution found for some==1.0\n"
    pip(monkeypatch, 1, said)
    with pytest.raises(UserError) as error:
        fetch_wheel(WHEEL, tmp_path, "--wheel")
    assert str(error.value) == (
        "pip cannot download some==1.0 (No matching distribution found for some==1.0); download the wheel elsewhere, "
        "and name it with --wheel."
    )


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.whl"
    path.write_bytes(b"other")
    with pytest.raises(UserError, match=r"some.whl is [0-9a-f]{64}, not 0{64}; it is not the wheel of some==1.0\.$"):
        check_wheel(path, WHEEL)
