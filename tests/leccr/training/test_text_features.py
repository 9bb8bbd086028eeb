"""Training over stored states of texts does what training over the tower does."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel, DebertaV2Config, DebertaV2Model
from typer.testing import CliRunner

import leccr.training.text_features as featuring
from leccr.cli import app
from leccr.data.training_data import open_training_data
from leccr.errors import UserError
from leccr.recipes import Recipe
from leccr.recipes.yaml_text import to_yaml
from leccr.training.text_cache import tell_missing
from leccr.training.text_features import encode_texts, run_text_features
from leccr.training.train import make_trainer
from processing.caption_embeddings import caption_texts
from processing.storage import write_rows
from processing.text_states import TextStates
from tests.tiny_data import COLOURS, picture, processor, recipe, row

DESCRIBED = [
    row(name, captions=2, image=picture(colour), description=f"This is {name}.\nIt is {colour}, says en a 0.")
    for name, colour in zip("abcd", COLOURS)
]
# Of a picture without a description, a caption of which is another picture's description.
ROWS = [*DESCRIBED, row("e", captions=2, description=None, source_captions=["This is a.", "en e 1"])]
CAPTIONS = {text for each in ROWS for text in caption_texts(each)}
SLOTS = {"num_slots": 2, "slot_layers": 1, "interaction_layers": 1, "interaction_heads": 2, "slot_anchor": "text"}
MODEL = {"projection_dim": 8, **SLOTS, "description_gradient": True, "text_pooling": "mean"}
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data and a pretrained text tower."""
    folder = tmp_path_factory.mktemp("texts")
    tokenizer = processor(ROWS).tokenizer
    more: dict[str, Any] = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(0)
    models = {
        "tower": BertModel(BertConfig(**SIZES, **more)),
        "other": BertModel(BertConfig(**SIZES, **more)),
        # A convolution after the first layer makes the layers depend on each other.
        "deberta": DebertaV2Model(DebertaV2Config(**SIZES, **more, conv_kernel_size=3, relative_attention=True)),
    }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    for split in ("train", "validation"):
        write_rows(folder / "data", split, ROWS, embed_images=True)
    return folder


@pytest.fixture
def data(folder: Path) -> Iterator[Path]:
    """The data, without states of texts once the test is over."""
    yield folder / "data"
    for path in (folder / "data").glob("texts-*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def tiny(data: Path, model: dict[str, Any], tower: str = "tower", **fields: Any) -> Recipe:
    network = fields.get("network", "cross-modal")
    common = MODEL if network == "cross-modal" else {"projection_dim": 8, "text_pooling": "mean", "word_weight": 0.5}
    fields = {"text": str(data.parent / tower), "tokenizer": None, "data": str(data), **fields}
    return recipe({**common, **model}, **fields)


def a_step(recipe: Recipe, folder: Path) -> tuple[dict[str, Tensor], int | None]:
    """Return loss and gradients of a training batch and embeddings of an evaluation batch, and texts not found."""
    opened = open_training_data(recipe)
    trainer = make_trainer(recipe, opened, folder)
    model = trainer.model
    torch.manual_seed(1)
    batch = next(iter(trainer.get_train_dataloader()))
    torch.manual_seed(2)
    loss = model.train()(**batch).loss
    loss.backward()
    figures = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    with torch.inference_mode():
        output = model.eval()(**next(iter(trainer.get_eval_dataloader())))
    figures |= {"loss": loss.detach(), "captions": output.caption_embeds, "evaluation": output.loss}
    return figures, None if opened.texts is None else opened.texts.missing


CASES: dict[str, dict[str, Any]] = {
    "whole": {"model": {"freeze_text": True}},
    "layers": {"model": {"freeze_text_layers": 2}},
    "sentences": {"model": {"freeze_text": True, "slot_source": "sentences"}},
    "layers and sentences": {"model": {"freeze_text_layers": 1, "slot_source": "both"}},
    "joined layers": {"model": {"freeze_text": True, "text_layers": [3, 1], "text_head": "residual"}},
    "standardised": {"model": {"freeze_text": True, "text_standardize": True}},
    "fusion": {"model": {"freeze_text": True, "num_slots": 0, "description_fusion": True}},
    "no descriptions": {"model": {"freeze_text": True, "num_slots": 0, "softened_weight": 0.0}},
    "chunks": {"model": {"freeze_text_layers": 2, "encode_chunk_size": 2}},
    "lower case": {"model": {"freeze_text": True}, "lower_case": 0.5},
    "prefixes": {
        "model": {"freeze_text": True},
        "processor": {"text_prefix": "en ", "description_prefix": "de ", "text_max_length": 4},
    },
    "cut": {"model": {"freeze_text_layers": 1}, "processor": {"text_max_length": 4, "description_max_length": 5}},
    "teacher": {"model": {"freeze_text": True}, "network": "cross-lingual"},
    "teacher's layers": {"model": {"freeze_text_layers": 2}, "network": "cross-lingual"},
}


@pytest.mark.parametrize("case", CASES)
def test_stored_states_change_nothing(case: str, data: Path, tmp_path: Path) -> None:
    chosen = tiny(data, **CASES[case])
    expected, none = a_step(chosen, tmp_path)
    run_text_features(str(data), chosen, store="fp32", batch_size=4)
    figures, missing = a_step(chosen, tmp_path)
    assert (none, missing) == (None, 0)
    assert figures.keys() == expected.keys()
    for name, value in expected.items():
        largest = max(1.0, float(value.abs().max()))
        torch.testing.assert_close(figures[name] / largest, value / largest, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("case", ["whole", "layers and sentences"])
def test_half_precision_is_near(case: str, data: Path, tmp_path: Path) -> None:
    chosen = tiny(data, **CASES[case])
    expected, _ = a_step(chosen, tmp_path)
    size = run_text_features(str(data), chosen, store="fp32").stat().st_size
    next(data.glob("texts-*")).unlink()
    assert run_text_features(str(data), chosen).stat().st_size < size
    figures, _ = a_step(chosen, tmp_path)
    torch.testing.assert_close(figures["loss"], expected["loss"], atol=2e-3, rtol=0)
    torch.testing.assert_close(figures["captions"], expected["captions"], atol=2e-3, rtol=0)


def test_texts_that_are_new_are_computed_and_counted(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = tiny(data, {"freeze_text_layers": 2}, processor={"description_prefix": "de "})
    run_text_features(str(data), dataclasses.replace(chosen, processor={}), store="fp32")
    opened = open_training_data(chosen)
    assert opened.texts is not None
    trainer = make_trainer(chosen, opened, tmp_path)
    batch = next(iter(trainer.get_eval_dataloader()))
    with torch.inference_mode():
        stored = trainer.model.eval()(**batch).image_views
        trainer.model.text.tower.cache = None
        torch.testing.assert_close(trainer.model(**batch).image_views, stored)
    # The descriptions have a prefix now; one picture has none.
    assert (opened.texts.missing, opened.texts.asked) == (4, 4 + batch["caption_input_ids"].shape[:2].numel())
    capsys.readouterr()
    tell_missing(opened.texts)
    assert "Note: 4 of 28 texts were not in texts-tower-layer-2.safetensors" in capsys.readouterr().out


def test_layers_that_the_tower_lacks(data: Path) -> None:
    with pytest.raises(UserError, match=r"text_layers is \[12, 10\], but .* from 0 to 3"):
        run_text_features(str(data), tiny(data, {"freeze_text": True, "text_layers": [12, 10]}))


def test_an_interrupted_run_resumes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = tiny(data, {"freeze_text": True})
    whole = run_text_features(str(data), chosen)
    expected = whole.read_bytes()
    whole.unlink()
    monkeypatch.setattr(featuring, "PART_TEXTS", 10)
    parts: list[object] = []

    def stop_at_second(*arguments: Any) -> Iterator[Tensor]:
        parts.append(arguments)
        if len(parts) == 2:
            raise KeyboardInterrupt
        return encode_texts(*arguments)

    monkeypatch.setattr(featuring, "encode_texts", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        run_text_features(str(data), chosen)
    assert not whole.exists() and len(list(whole.with_suffix(".parts").glob("*.safetensors"))) == 1
    assert run_text_features(str(data), chosen).read_bytes() == expected
    assert not whole.with_suffix(".parts").exists()
    with pytest.raises(UserError, match="texts-tower.safetensors exists already"):
        run_text_features(str(data), chosen)


def test_parts_of_other_texts_are_not_mixed_in(data: Path) -> None:
    (data / "texts-tower.parts").mkdir()
    (data / "texts-tower.parts" / "about.json").write_text("{}")
    with pytest.raises(UserError, match="parts of another run"):
        run_text_features(str(data), tiny(data, {"freeze_text": True}))


@pytest.mark.parametrize("model", [{"freeze_text": True}, {"freeze_text_layers": 3}])
def test_a_tower_that_has_changed_is_refused(model: dict[str, Any], data: Path, tmp_path: Path) -> None:
    chosen = tiny(data, model)
    run_text_features(str(data), chosen)
    tower, kept = data.parent / "tower", tmp_path / "kept"
    shutil.copytree(tower, kept)
    try:
        shutil.copytree(data.parent / "other", tower, dirs_exist_ok=True)
        with pytest.raises(UserError, match="other weights than those of the text tower .*tower; remove it"):
            make_trainer(chosen, open_training_data(chosen), tmp_path)
    finally:
        shutil.copytree(kept, tower, dirs_exist_ok=True)
    make_trainer(chosen, open_training_data(chosen), tmp_path)


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ({}, {}, "has no pretrained text tower with frozen layers; set freeze_text: true"),
        ({"freeze_text": True}, {"text": {"model_type": "bert"}, "tokenizer": "learned"}, "no pretrained text tower"),
        ({"freeze_text": True}, {"lora": 4}, "no pretrained text tower with frozen layers"),
        ({"freeze_text_layers": 4}, {}, "freeze_text_layers is 4, but the text tower has 3 layers"),
        (
            {"freeze_text_layers": 2},
            {"tower": "deberta"},
            "layers of the text tower .*deberta do not run by themselves",
        ),
    ],
)
def test_what_cannot_be_stored(model: dict[str, Any], fields: dict[str, Any], said: str, data: Path) -> None:
    with pytest.raises(UserError, match=said):
        run_text_features(str(data), tiny(data, model, **fields))


def test_any_tower_can_be_stored_as_a_whole(data: Path, tmp_path: Path) -> None:
    chosen = tiny(data, {"freeze_text": True}, tower="deberta")
    expected, _ = a_step(chosen, tmp_path)
    run_text_features(str(data), chosen, store="fp32", dtype="fp32")
    figures, missing = a_step(chosen, tmp_path)
    assert missing == 0
    torch.testing.assert_close(figures["loss"], expected["loss"], atol=1e-6, rtol=1e-5)


def test_the_command(data: Path, tmp_path: Path) -> None:
    chosen = tiny(data, {"freeze_text": True}, tower="tower")
    fields = {"text": chosen.text, "vision": chosen.vision, "image_processor": chosen.image_processor}
    towers = {**fields, "description": "Tiny.", "model": {"freeze_text": True, "projection_dim": 8}}
    (tmp_path / "towers.yaml").write_text(to_yaml(towers))
    arguments = ["features", str(data), "--texts", "--towers", str(tmp_path / "towers.yaml"), "--batch-size", "4"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "texts-tower.safetensors; `leccr train` uses them instead of the frozen layers" in result.output
    # Descriptions, too, without a --recipe.
    assert len(TextStates(data / "texts-tower.safetensors").probes) == 8
    assert len(TextStates(data / "texts-tower.safetensors")) > len(CAPTIONS)


def test_an_unknown_way_to_store_them(data: Path) -> None:
    with pytest.raises(UserError, match="--store is 'fp8'"):
        run_text_features(str(data), tiny(data, {"freeze_text": True}), store="fp8")
