from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leccr import demo as demo_module
from leccr.cli import app


def test_the_command_passes_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(demo_module, "run_demo", lambda *names, **options: asked.update(options, names=names))
    monkeypatch.setattr("leccr.hub.reach.need_from_hub", lambda *args, **kwargs: None)
    arguments = ["demo", "--gallery", str(tmp_path), "--model", "org/m", "--port", "8000", "--no-browser"]
    arguments += ["--training-scenes", "60", "--device", "cpu", "--dtype", "bf16"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert asked.pop("names") == (str(tmp_path), "org/m")
    assert asked == {
        "server_port": 8000,
        "share": False,
        "inbrowser": False,
        "training_scenes": 60,
        "device": "cpu",
        "dtype": "bf16",
    }
