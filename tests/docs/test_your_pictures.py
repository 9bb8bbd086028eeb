"""The walkthrough without the Hub, typed on a few pictures, and the script that trains by a recipe on its data."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leccr.cli.app import app
from leccr.models.checkpoints import load_retriever
from tests.tiny_data import picture

DOCS = Path(__file__).parents[2] / "docs"
SHORT = {"max_steps": "2", "eval_steps": "2", "save_steps": "2", "per_device_train_batch_size": "4"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write photos of several sizes with captions as the page shows them, and stay in their folder."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "photos").mkdir()
    lines = ["file_name,caption,caption_de"]
    for number in range(10):
        picture(size=(50 + 7 * number, 60)).save(folder / "photos" / f"{number}.jpg")
        lines.append(f"{number}.jpg,A dog runs past wall {number}.,Ein Hund rennt an Wand {number} vorbei.")
    (folder / "photos" / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_the_walkthrough_without_the_hub(folder: Path) -> None:
    section = (DOCS / "your-pictures.md").read_text(encoding="utf-8").split("\n## Without the Hub\n")[1]
    [block] = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    outputs = {}
    for line in block.splitlines():
        words = shlex.split(line.removeprefix("$ leccr "))
        training = [part for name, value in SHORT.items() for part in (f"--{name}", value)]
        result = CliRunner().invoke(app, words + training if words[0] == "train" else words)
        assert result.exit_code == 0, result.output
        outputs[words[0]] = result.output
    assert list(outputs) == ["prepare", "train", "evaluate", "index", "search"]
    assert re.search(r"\| en .*\n\| de ", outputs["evaluate"])
    assert "10 added" in outputs["index"]
    assert len(re.findall(r"^[123] .*\.jpg +slot \d", outputs["search"], re.MULTILINE)) == 3


def test_the_script_that_trains_by_a_recipe(folder: Path) -> None:
    _, script = re.findall(r"```python\n(.*?)```", (DOCS / "own-script.md").read_text(encoding="utf-8"), re.DOTALL)
    for old, new in {
        'load_recipe("leccr")': 'load_recipe("leccr", "scenes")',
        '{"num_train_epochs": "20"}': str(SHORT),
    }.items():
        assert script.count(old) == 1
        script = script.replace(old, new)
    exec(compile(script, "own-script.md", "exec"), {})
    model, _ = load_retriever(folder / "my-retriever")
    assert model.config.num_slots == 4
