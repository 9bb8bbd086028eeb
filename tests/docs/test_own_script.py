import io
import json
import os
import re
import runpy
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from leccr.models.checkpoints import load_retriever
from processing.tokenizers import train_tokenizer
from tests.crashes import needs_forks, run
from tests.tiny_data import picture

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "own-script.md"


def block(language: str) -> str:
    """Return the page's first code block in this language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{PAGE.name} shows no {language}"
    return found[1]


def replaced(script: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert script.count(old) == 1, old
        script = script.replace(old, new)
    return script


def save_towers(folder: Path, texts: list[str]) -> None:
    """Write tiny stand-ins for the two checkpoints that the script names."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    tokenizer = train_tokenizer(texts)
    tokenizer.save_pretrained(folder / "text")
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder / "text")
    vision = CLIPVisionConfig(image_size=32, patch_size=16, projection_dim=16, **sizes)
    CLIPVisionModel(vision).save_pretrained(folder / "vision")
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder / "vision")


def printed_by(folder: Path) -> str:
    """Run the script in its folder, and return what it prints."""
    os.chdir(folder)
    with redirect_stdout(io.StringIO()) as printed:
        runpy.run_path("script.py", run_name="__main__")
    return printed.getvalue()


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return json.loads(block("json"))


@pytest.fixture(scope="module")
def folder(example: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the page's script on the page's example and three more rows, and return the folder where it ran."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "photos").mkdir()
    rows = [example]
    for colour in ("green", "blue", "white"):
        more = {**example, "id": colour, "image": f"photos/{colour}.jpg", "source_captions": [f"A {colour} wall."]}
        more["target_captions"] = [{**example["target_captions"][0], "language": "fr", "text": f"Un mur {colour}."}]
        rows.append({name: value for name, value in more.items() if name != "description"})
    for row in rows:
        picture().save(folder / row["image"])
    (folder / "captions.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    save_towers(folder, [*example["source_captions"], example["description"], "Un mur green blue white."])
    smaller = {
        "openai/clip-vit-base-patch32": "vision",
        "google-bert/bert-base-multilingual-cased": "text",
        "num_train_epochs=20": "max_steps=2, use_cpu=True",
        "batch_size=64": "batch_size=3",
    }
    (folder / "script.py").write_text(replaced(block("python"), smaller), encoding="utf-8")
    assert "'train_loss'" in run(printed_by, folder=folder)
    return folder


def test_it_is_short() -> None:
    assert len(block("python").splitlines()) < 40


@needs_forks
def test_what_it_trained_answers(folder: Path, example: dict[str, Any]) -> None:
    model, processor = load_retriever(folder / "my-retriever")
    queries = model.get_text_features(**processor(text=[example["target_captions"][0]["text"], "Un mur blue."]))
    inputs = processor(images=[picture("red"), picture("blue")], descriptions=[example["description"], None])
    views = model.get_image_views(**inputs)
    assert views.shape == (2, model.config.num_slots, model.config.projection_dim)
    scores = torch.einsum("td,nkd->tnk", queries, views).amax(dim=2)
    assert scores.shape == (2, 2) and scores.isfinite().all() and scores.abs().max() <= 1.0001


@needs_forks
def test_it_trained_both_towers_and_the_new_layers(folder: Path) -> None:
    model, _ = load_retriever(folder / "my-retriever")
    before = BertModel.from_pretrained(folder / "text").embeddings.LayerNorm.weight
    assert not torch.equal(model.text.tower.model.embeddings.LayerNorm.weight, before)
    projection = CLIPVisionModel.from_pretrained(folder / "vision").state_dict()
    after = model.image.tower.model.state_dict()
    changed = [name for name in projection if not torch.equal(projection[name], after[name])]
    assert changed
    assert model.logit_scale.weight.item() != pytest.approx(model.config.logit_scale_init_value, abs=1e-9)


@needs_forks
def test_the_folder_loads_by_itself(folder: Path) -> None:
    names = {path.name for path in (folder / "my-retriever").iterdir()}
    assert {"modeling_leccr.py", "processing_leccr.py", "model.safetensors", "processor_config.json"} <= names
