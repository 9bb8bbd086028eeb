"""What the tests of publishing publish."""

import json
from pathlib import Path

import pytest

from tests.hub_card.figures import CONFIG, training


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder as training leaves it, the weights apart."""
    folder = tmp_path / "run"
    (folder / "checkpoints" / "checkpoint-3").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "training.json").write_text(json.dumps(training()))
    (folder / "processor_config.json").write_text(json.dumps({"text_max_length": 64}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "modeling_leccr.py").write_text("# code\n")
    for name in (".hidden.json", "a.json.part", "ranks.npz", "optimizer.pt"):
        (folder / name).write_text("x")
    return folder
