"""LoRA with the real peft: what is trained, what is saved, and that merging changes nothing."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import Trainer, TrainingArguments
from typer.testing import CliRunner

from leccr.cli import app
from leccr.errors import UserError
from leccr.models.checkpoints import load_retriever
from leccr.models.lora import ADAPTER, add_lora, merge_lora
from leccr.recipes import Recipe
from leccr.training.train import run_training
from modeling_leccr import LeccrModel
from tests.modeling_leccr.tiny import batch, tiny_cross_lingual, tiny_model
from tests.modeling_leccr.tiny_dual_encoders import dual_encoder
from tests.tiny_data import recipe, scenes, trainer_for

VISION = {
    "model_type": "clip_vision_model",
    "image_size": 32,
    "patch_size": 16,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def steps(model: Any, inputs: dict[str, Tensor], count: int = 3) -> None:
    model.train()
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    for _ in range(count):
        optimizer.zero_grad()
        model(**inputs).loss.backward()
        optimizer.step()


@torch.no_grad()
def views(model: Any) -> Tensor:
    inputs = {name: value for name, value in batch().items() if name.startswith(("pixel", "desc"))}
    return model.eval().get_image_views(**inputs)


@pytest.mark.parametrize("vision, text", [("clip", "bert"), ("siglip", "distilbert"), ("vit", "xlm-roberta")])
def test_attention_of_both_towers_and_all_of_the_rest(
    vision: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tiny_model(vision, text, slot_anchor="text", description_gradient=True)
    total = sum(weight.numel() for weight in base.parameters())
    rest = {name for name, _ in base.named_parameters() if not name.startswith(("image.tower.", "text.tower."))}
    model = add_lora(base, 4)
    trained = {name: weight for name, weight in model.get_base_model().named_parameters() if weight.requires_grad}
    updates = {name for name in trained if name.startswith(("image.tower.", "text.tower."))}
    assert all("lora_" in name for name in updates)
    # Two layers in each tower, four projections in each layer, two factors for each of them.
    for tower in ("image.tower", "text.tower"):
        assert sum(name.startswith(tower) for name in updates) == 2 * 4 * 2
    assert {name.replace(".modules_to_save.default", "") for name in trained.keys() - updates} == rest
    count = sum(weight.numel() for weight in trained.values())
    assert (
        f"LoRA of rank 4: {count:,} weights are trained, {count / total:.1%} of {total:,}." in capsys.readouterr().out
    )


def test_a_cnn_does_not_move(tmp_path: Path) -> None:
    model = add_lora(tiny_model("resnet", slot_anchor="text"), 4)
    steps(model, batch("resnet"))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny_model("resnet", slot_anchor="text"), tmp_path)
    merged = merge_lora(model)
    before = tiny_model("resnet", slot_anchor="text").image.tower.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in merged.image.tower.state_dict().items())
    torch.testing.assert_close(views(loaded), views(merged), rtol=0, atol=1e-5)
    assert not merged.config.freeze_vision


def test_adapters_on_the_base_and_merged_weights_are_the_same_model(tmp_path: Path) -> None:
    before = tiny_model(slot_anchor="text").state_dict()
    model = add_lora(tiny_model(slot_anchor="text"), 4)
    torch.testing.assert_close(views(model), views(tiny_model(slot_anchor="text")))
    steps(model, batch())
    expected = views(model)
    model.save_pretrained(tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(tiny_model(slot_anchor="text"), tmp_path / "adapter")
    torch.testing.assert_close(views(loaded), expected, rtol=0, atol=1e-6)
    merged = merge_lora(model)
    assert type(merged) is LeccrModel and merged.state_dict().keys() == before.keys()
    torch.testing.assert_close(views(merged), expected, rtol=0, atol=1e-5)
    moved = {name for name, value in merged.state_dict().items() if not torch.equal(value, before[name])}
    assert all("self" in name or "attention" in name for name in moved if ".tower." in name)
    assert {"image.slot_head.weight", "logit_scale.weight", "image.anchor.slot_gate.weight"} <= moved
    merged.save_pretrained(tmp_path / "whole")
    torch.testing.assert_close(views(LeccrModel.from_pretrained(tmp_path / "whole")), expected, rtol=0, atol=1e-5)


def test_frozen_towers_of_a_dual_encoder_get_their_updates() -> None:
    slots = {"num_slots": 2, "slot_layers": 1, "interaction_layers": 1, "interaction_heads": 2}
    base = LeccrModel.from_dual_encoder(dual_encoder("clip and xlm-r"), **slots)
    model = add_lora(base, 2)
    steps(model, batch())
    updates = {name: weight for name, weight in model.named_parameters() if "lora_B" in name}
    assert len(updates) == 16 and all(weight.any() for weight in updates.values())
    merged = merge_lora(model)
    assert merged.config.freeze_vision and merged.config.freeze_text
    trained = {name for name, weight in merged.named_parameters() if weight.requires_grad}
    assert "image.slot_head.weight" in trained
    assert not any(name.startswith(("image.tower.", "text.tower.")) for name in trained)


def test_dropout_of_a_frozen_tower_is_on_where_its_updates_are_trained() -> None:
    model = add_lora(tiny_model("resnet", slot_anchor="text", freeze_vision=True, freeze_text=True), 2)
    base = model.train().get_base_model()
    assert all(module.training for module in base.text.tower.modules())
    assert not any(module.training for module in base.image.tower.modules())


def test_the_stock_trainer_recomputes_activations(tmp_path: Path) -> None:
    model = add_lora(tiny_model(slot_anchor="text", freeze_vision=True, freeze_text=True), 2)
    rows = [{name: value[row] for name, value in batch().items()} for row in range(4)]
    settings: dict[str, Any] = {"max_steps": 1, "report_to": [], "use_cpu": True, "save_strategy": "no"}
    arguments = TrainingArguments(str(tmp_path), gradient_checkpointing=True, **settings)
    Trainer(model=model, args=arguments, train_dataset=rows).train()
    updates = {name: weight for name, weight in model.named_parameters() if "lora_B" in name}
    assert len(updates) == 16 and all(weight.any() for weight in updates.values())


def test_a_text_only_model() -> None:
    model = add_lora(tiny_cross_lingual(), 2)
    assert {
        name.split(".")[0] for name, weight in model.get_base_model().named_parameters() if weight.requires_grad
    } == {
        "text",
        "logit_scale",
    }


def test_a_run(tmp_path: Path) -> None:
    data = scenes()
    ours = recipe(vision=VISION, lora=2, training={"num_train_epochs": 1})
    base = trainer_for(recipe(vision=VISION), data, tmp_path / "base", seed=5).model
    trainer = trainer_for(ours, data, tmp_path / "trainer", seed=5)
    assert {len(group["params"]) > 0 for group in trainer.optimizer.param_groups} == {True}
    run(ours, data, tmp_path / "out")
    merged, processor = load_retriever(tmp_path / "out")
    adapter = load_file(tmp_path / "out" / ADAPTER / "adapter_model.safetensors")
    assert not any(".tower." in name and "lora_" not in name for name in adapter)
    loaded = PeftModel.from_pretrained(base, tmp_path / "out" / ADAPTER).eval()
    inputs = processor(text=["ein roter Kreis", "a blue square"])
    with torch.no_grad():
        actual, expected = merged.get_text_features(**inputs), loaded.get_text_features(**inputs)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def run(ours: Recipe, data: Any, output: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("leccr.data.training_data.load_data", lambda name, **_: (data, None))
        run_training(dataclasses.replace(ours, data="scenes", seed=5), output)


def test_the_command_line_hands_the_rank_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = []
    monkeypatch.setattr("leccr.training.train.run_training", lambda ours, **_: ranks.append(ours.lora))
    for arguments in ([], ["--lora", "16"]):
        done = CliRunner().invoke(app, ["train", "leccr", "--towers", "scenes", "--out", str(tmp_path), *arguments])
        assert done.exit_code == 0, done.output
    assert ranks == [0, 16]


class TestErrors:
    def test_no_attention(self) -> None:
        model = tiny_model("resnet")
        model.text.tower = torch.nn.Linear(1, 1)
        with pytest.raises(UserError, match="no tower has attention layers that it knows; leave --lora out"):
            add_lora(model, 4)

    def test_rank(self) -> None:
        with pytest.raises(UserError, match="The rank of LoRA is -1, but has to be at least 1"):
            add_lora(tiny_model(), -1)

    def test_without_peft(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "peft", None)
        with pytest.raises(UserError, match=r"LoRA needs libraries .*: pip install 'peft>=0.15'"):
            add_lora(tiny_model(), 4)
