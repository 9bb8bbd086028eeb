"""Code that a checkpoint carries is never run unless the user says so, and nobody is asked about it."""

import ast
import builtins
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoProcessor, AutoTokenizer
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from leccr.models.build import build_image_processor, build_processor
from leccr.models.dual_encoders import load_text_encoder
from leccr.models.encoder import Encoder
from leccr.recipes import Recipe
from modeling_leccr import LeccrModel
from modeling_leccr.base_leccr import build_tower
from modeling_leccr.image_encoder_leccr import VisionTower
from processing.errors import UserError
from processing.generation.models import load, load_model
from processing.pretrained import load_pretrained

ROOT = Path(__file__).parents[2]
CODE = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nPath({mark!r}).touch()\n"
CLASSES = (AutoConfig, AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, AutoProcessor, AutoImageProcessor)


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who answers every question with yes, as `yes |` does, must find none."""
    monkeypatch.setattr(builtins, "input", lambda *words: pytest.fail(f"It was asked: {words}"))


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[str]:
    """A checkpoint that wants its own code for everything."""
    folder, mark = tmp_path / "hostile", tmp_path / "ran"
    folder.mkdir()
    (folder / "code.py").write_text(CODE.format(mark=str(mark)))
    names = {auto_class.__name__: "code.Own" for auto_class in CLASSES}
    fields = {"model_type": "own", "auto_map": names, "architectures": ["Own"]}
    for file in ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
        content: dict[str, Any] = dict(fields)
        if file == "tokenizer_config.json":
            content["auto_map"] = {"AutoTokenizer": ["code.Own", None]}
        (folder / file).write_text(json.dumps(content))
    (folder / "model.safetensors").write_bytes(b"")
    yield str(folder)
    assert not mark.exists() and not (folder / "ran").exists()


@pytest.mark.parametrize("auto_class", CLASSES, ids=lambda auto_class: auto_class.__name__)
def test_no_class_runs_a_checkpoints_code(hostile: str, auto_class: Any) -> None:
    with pytest.raises(UserError, match=r"needs code that it carries.*--trust-remote-code"):
        load_pretrained(auto_class, hostile)


DOORS: dict[str, Callable[[str], Any]] = {
    "describe and translate": lambda name: load(AutoProcessor, name),
    "their models": lambda name: load_model(AutoModelForSeq2SeqLM, name, None, "auto", "cpu"),
    "a teacher": load_text_encoder,
    "a searched model": Encoder.load,
    "a model of sentence-transformers": lambda name: Encoder.load(f"st:{name}"),
    "a tokenizer": lambda name: build_processor(Recipe(name="r", tokenizer=name, vision=name), []),
    "an image processor": lambda name: build_image_processor(Recipe(name="r", vision=name)),
    "a vision tower": VisionTower.from_pretrained,
    "towers": lambda name: LeccrModel.from_pretrained_towers(name, name),
    "a dual encoder": LeccrModel.from_dual_encoder,
}


@pytest.mark.parametrize("door", DOORS)
def test_no_way_in_runs_or_asks(hostile: str, door: str) -> None:
    with pytest.raises(ValueError) as caught:
        DOORS[door](hostile)
    assert "code" in str(caught.value)


def test_a_configuration_that_names_code_is_not_followed() -> None:
    config = AutoConfig.for_model("bert", hidden_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=9)
    config.auto_map = {"AutoModel": "somebody/else--code.Own"}
    assert type(build_tower(config)).__name__ == "BertModel"


def test_trusted_code_is_run(hostile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda name, **options: seen.update(options))
    load(AutoTokenizer, hostile, trust_remote_code=True)
    assert seen == {"trust_remote_code": True}


def test_every_load_says_whether_it_trusts() -> None:
    """transformers asks at the terminal wherever nothing is said."""
    silent = []
    for folder in ("processing", "leccr", "modeling_leccr", "hub_card"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = ast.unparse(node.func.value)
                    said = {keyword.arg for keyword in node.keywords}
                    if (
                        node.func.attr in ("from_pretrained", "from_config")
                        and ("Auto" in owner or "auto_class" in owner or "model_class" in owner)
                        and "trust_remote_code" not in said
                    ):
                        silent.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert silent == []
