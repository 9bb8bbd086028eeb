from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leccr import demo as demo_module
from leccr.cli import app
from leccr.errors import UserError


def test_the_command_passes_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(demo_module, "run_demo", lambda *names, **options: asked.update(options, names=names))
    monkeypatch.setattr("leccr.hub.reach.need_from_hub", lambda *args, **kwargs: None)
    arguments = ["demo", "--gallery", str(tmp_path), "--model", "org/m", "--port", "8000", "--no-browser"]
    arguments += ["--training-scenes", "60", "--device", "cpu", "--dtype", "bf16", "--trust-remote-code"]
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stderr) == (0, "Starting the page …\n")
    assert asked.pop("names") == (str(tmp_path), "org/m")
    assert asked == {
        "server_port": 8000,
        "share": False,
        "inbrowser": False,
        "training_scenes": 60,
        "device": "cpu",
        "dtype": "bf16",
        "trust_remote_code": True,
        "new": False,
    }


def test_it_says_that_it_starts_before_anything_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*args: Any, **kwargs: Any) -> None:
        raise UserError("The Hub was asked.")

    monkeypatch.setattr("leccr.hub.reach.need_from_hub", slow)
    result = CliRunner().invoke(app, ["demo"])
    assert result.stderr.splitlines() == ["Starting the page …", "Error: The Hub was asked."]
