"""A checkpoint on the Hub works without our packages: with the newest transformers, and with the lowest allowed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPImageProcessorPil

from modeling_leccr import CrossLingualModel, LeccrModel
from processing import LeccrProcessor
from processing.tokenizers import train_tokenizer

from . import remote_code_child
from .modeling_leccr.test_remote_code_rules import remote_code_of
from .modeling_leccr.tiny import PICTURE_SIZE, tiny_cross_lingual, tiny_model

REPOSITORY = "org/leccr-multi30k"
REVISION = "0123456789abcdef0123456789abcdef01234567"
LOWEST = Path(__file__).parents[1] / ".lowest"

TEXTS = ["Ein Hund läuft über die Wiese.", "Dvě děti si hrají na pláži.", "一只狗在草地上奔跑。", "a red ball"]
DESCRIPTIONS = ["A brown dog runs over a meadow. The sky is blue.", None, "Two children. Both of them laugh."]
REQUEST = {"texts": TEXTS, "descriptions": DESCRIPTIONS, "pictures": ["0.png", "1.png", "2.png"]}

Checkpoint = tuple[LeccrModel | CrossLingualModel, LeccrProcessor]
ENTRIES = {"LeccrModel": "modeling_leccr.py", "CrossLingualModel": "modeling_cross_lingual.py"}


def close(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        difference = (actual[name] - tensor).abs().max()
        assert difference < 1e-6, f"{name} differ by {difference}"


@pytest.fixture(scope="module")
def checkpoints() -> dict[str, Checkpoint]:
    """A model of each class, by its name, with its processor."""
    tokenizer = train_tokenizer([*TEXTS, *(text for text in DESCRIPTIONS if text)], vocabulary_size=200)
    size = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
    image_processor = CLIPImageProcessorPil(size={"shortest_edge": PICTURE_SIZE}, crop_size=size)
    processor = LeccrProcessor(image_processor, tokenizer, text_max_length=12, description_max_length=24)
    model = tiny_model(slot_anchor="text", vocabulary=len(tokenizer))
    model.image.anchor.slot_gate.weight.data.fill_(0.5)
    models = (model, tiny_cross_lingual(vocabulary=len(tokenizer), text_pooling="mean"))
    return {type(each).__name__: (each, processor) for each in models}


def fabricate_cache(checkpoint: Checkpoint, home: Path, repository: str) -> Path:
    """Put the checkpoint where the Hub's client would have put it, and return its folder."""
    entry = home / "hub" / f"models--{repository.replace('/', '--')}"
    folder = entry / "snapshots" / REVISION
    for part in checkpoint:
        part.save_pretrained(folder)
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text(REVISION, encoding="utf-8")
    return folder


def run_child(home: Path, arguments: list[str], overlay: Path | None) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    variables |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    if overlay is not None:
        variables["PYTHONPATH"] = str(overlay)
    child = [sys.executable, "-P", remote_code_child.__file__, *arguments]
    done = subprocess.run(child, cwd=home, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def left(checkpoints: dict[str, Checkpoint], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Run another process, once with each transformers, and return the folder with what it leaves of each model."""

    @cache
    def run(version: str) -> Path:
        home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")
        arguments = []
        for kind, checkpoint in checkpoints.items():
            fabricate_cache(checkpoint, home, f"org/{kind}")
            (folder / kind).mkdir()
            for number, name in enumerate(REQUEST["pictures"]):
                generator = torch.Generator().manual_seed(number)
                pixels = torch.randint(256, (40, 50, 3), generator=generator, dtype=torch.uint8)
                Image.fromarray(pixels.numpy()).save(folder / kind / str(name))
            (folder / kind / "request.json").write_text(json.dumps(REQUEST), encoding="utf-8")
            arguments += [f"org/{kind}", str(folder / kind)]
        run_child(home, arguments, LOWEST if version == "lowest" else None)
        return folder

    return run


@pytest.fixture(scope="module", params=product(("newest", "lowest"), ENTRIES), ids="-".join)
def round_trip(
    request: pytest.FixtureRequest, left: Callable[[str], Path], checkpoints: dict[str, Checkpoint]
) -> dict[str, Any]:
    """What the other process left of a model, beside what is computed here."""
    version, kind = request.param
    if version == "lowest" and not LOWEST.is_dir():
        pytest.skip("run make lowest")
    folder = left(version) / kind
    return {
        "name": kind.removesuffix("Model"),
        "lowest": version == "lowest",
        "folder": folder,
        "checkpoint": checkpoints[kind],
        "report": json.loads((folder / "report.json").read_text(encoding="utf-8")),
        "expected": remote_code_child.embed(*checkpoints[kind], folder),
    }


def test_versions(round_trip: dict[str, Any]) -> None:
    expected = "5.6.0" if round_trip["lowest"] else transformers.__version__
    assert round_trip["report"]["transformers"] == expected


@pytest.mark.parametrize("time", ["first", "second"])
class TestStrangersProcess:
    """The first time from the Hub's cache, the second time from the folder into which it saved."""

    def test_classes_are_ours_and_came_with_the_checkpoint(self, round_trip: dict[str, Any], time: str) -> None:
        report = round_trip["report"][time]
        name = round_trip["name"]
        names = {"config": f"{name}Config", "processor": "LeccrProcessor", "model": f"{name}Model"}
        assert report["classes"] == names
        assert all(module.startswith("transformers_modules.") for module in report["modules"])
        assert round_trip["report"]["imported"] == []
        assert round_trip["report"]["refused"] == list(remote_code_child.OURS)

    def test_no_weight_is_missing_or_left_over(self, round_trip: dict[str, Any], time: str) -> None:
        loading = round_trip["report"][time]["loading"]
        assert {"missing_keys", "unexpected_keys"} <= set(loading)
        assert {problem: keys for problem, keys in loading.items() if keys} == {}

    def test_same_pixels_and_embeddings(self, round_trip: dict[str, Any], time: str) -> None:
        close(load_file(round_trip["folder"] / f"{time}.safetensors"), round_trip["expected"])


def test_what_the_stranger_saved_works_here(round_trip: dict[str, Any]) -> None:
    saved = round_trip["folder"] / "saved"
    model = type(round_trip["checkpoint"][0]).from_pretrained(saved)
    processor = LeccrProcessor.from_pretrained(saved)
    assert (processor.text_max_length, processor.description_max_length) == (12, 24)
    close(remote_code_child.embed(model, processor, round_trip["folder"]), round_trip["expected"])


def test_embeddings_tell_texts_and_pictures_apart(round_trip: dict[str, Any]) -> None:
    """Equal embeddings would prove nothing if all of them were the same."""
    expected = round_trip["expected"]
    for name in expected.keys() & {"texts", "images", "images_alone"}:
        assert torch.pdist(expected[name]).min() > 1e-2
    if "images" not in expected:
        return
    described = [text is not None for text in DESCRIPTIONS]
    differs = (expected["images"] - expected["images_alone"]).abs().amax(-1) > 1e-2
    assert differs.tolist() == described


@pytest.mark.parametrize("kind", ENTRIES)
def test_files(kind: str, checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    folder = fabricate_cache(checkpoints[kind], tmp_path, REPOSITORY)
    weights = [path.name for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".pt", ".pth")]
    assert weights == ["model.safetensors"]
    code = {path.name for path in folder.glob("*.py")}
    own = Path(__file__).parents[1] / "modeling_leccr"
    processor = {path.name for path in remote_code_of(own.parent / "processing", "processing_leccr.py")}
    assert code == {path.name for path in remote_code_of(own, ENTRIES[kind])} | processor
    assert not any(path.is_dir() for path in folder.iterdir())
    for name in code - processor:
        assert (folder / name).read_bytes() == (own / name).read_bytes()
