"""The walkthrough, typed on a few pictures over tiny towers, and the script that trains by a recipe on its data."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil
from typer.testing import CliRunner

from benchmarks.offline_towers.__main__ import write_recipe
from benchmarks.own_pictures import commands
from leccr.cli.app import app
from leccr.models.checkpoints import load_retriever
from processing.tokenizers import train_tokenizer
from tests.tiny_data import picture

DOCS = Path(__file__).parents[2] / "docs"
SHORT = {"max_steps": "2", "eval_steps": "2", "save_steps": "2", "per_device_train_batch_size": "4"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write photos of several sizes, captions as the page shows them and tiny towers, and stay in their folder."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "photos").mkdir()
    lines = ["file_name,caption"]
    for number in range(10):
        picture(size=(50 + 7 * number, 60)).save(folder / "photos" / f"{number}.jpg")
        lines.append(f"{number}.jpg,A dog runs past wall {number}.")
    (folder / "photos" / "captions.csv").write_text("\n".join(lines), encoding="utf-8")
    write_towers(folder / "towers", lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def write_towers(folder: Path, texts: list[str]) -> None:
    """Write what `benchmarks.offline_towers` writes, with networks as small as can be and without training."""
    tokenizer = train_tokenizer(["query: ", *texts])
    tokenizer.save_pretrained(folder / "text")
    # As many layers as E5 has, of which the recipe joins two.
    sizes = {"hidden_size": 16, "num_hidden_layers": 12, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder / "text")
    vision = ResNetConfig(layer_type="basic", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    ResNetModel(vision).save_pretrained(folder / "vision")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder / "vision")
    write_recipe(folder / "towers.yaml", folder / "text", folder / "vision")


def typed(*words: str) -> str:
    """Return what a command prints."""
    training = [part for name, value in SHORT.items() for part in (f"--{name}", value)]
    # To networks without training all pictures look alike.
    more = {"train": training, "search": ["--all"]}.get(words[0], [])
    result = CliRunner().invoke(app, [*words, *more])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_walkthrough(folder: Path) -> None:
    written = list(commands())
    assert ["python", "-m", "benchmarks.offline_towers", "towers"] in written
    outputs = {}
    for _, *words in (command for command in written if command[0] == "leccr"):
        outputs[words[-1] if words[-1] == "--texts" else words[0]] = typed(*words)
    assert list(outputs) == ["prepare", "features", "--texts", "train", "evaluate", "index", "search"]
    assert "features-vision.safetensors" in outputs["features"]
    assert re.search("in en only, .* in other languages as far as .*text knows them", outputs["train"])
    assert "features-vision.safetensors take the place of the pictures" in outputs["train"]
    assert re.search(r"\| en .*", outputs["evaluate"])
    assert "10 added" in outputs["index"]
    assert len(re.findall(r"^[123] .*\.jpg", outputs["search"], re.MULTILINE)) == 3
    assert (folder / "answers.png").exists()


def test_with_descriptions_and_captions_in_german(folder: Path) -> None:
    # What `describe` and `translate` would add.
    lines = (folder / "photos" / "captions.csv").read_text(encoding="utf-8").splitlines()
    more = [f"{line},Ein Hund läuft an einer Wand vorbei.,A brown dog and a wall." for line in lines[1:]]
    shutil.copytree(folder / "photos", folder / "described")
    text = "\n".join([lines[0] + ",caption_de,description", *more])
    (folder / "described" / "captions.csv").write_text(text, encoding="utf-8")
    typed("prepare", "folder", "--root", "described", "--out", "described-data")
    typed("features", "described-data", "--towers", "towers/towers.yaml")
    typed("train", "leccr", "--towers", "towers/towers.yaml", "--data", "described-data", "--out", "better")
    assert re.search(r"\| en .*\n\| de ", typed("evaluate", "better", "described-data", "--split", "test"))


def test_the_script_that_trains_by_a_recipe(folder: Path) -> None:
    _, script = re.findall(r"```python\n(.*?)```", (DOCS / "own-script.md").read_text(encoding="utf-8"), re.DOTALL)
    for old, new in {
        'load_recipe("leccr")': 'load_recipe("leccr", "towers/towers.yaml")',
        '{"num_train_epochs": "20"}': str(SHORT),
    }.items():
        assert script.count(old) == 1
        script = script.replace(old, new)
    exec(compile(script, "own-script.md", "exec"), {})
    model, _ = load_retriever(folder / "my-retriever")
    assert model.config.num_slots == 4
