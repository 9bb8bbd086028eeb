"""What is frozen: decided when a model is built or loaded, as the user sets it afterwards, and recorded when saved."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoModel, Trainer, TrainingArguments

from modeling_leccr import CrossLingualModel, LeccrModel
from modeling_leccr.base_leccr import Tower, is_frozen

from .tiny import VISION_TOWERS, batch, gradients, step, tiny_config, tiny_cross_lingual, tiny_model


class TestFrozenTowers:
    @pytest.mark.parametrize("vision", VISION_TOWERS)
    def test_vision_tower_stays_as_it_is(self, vision: str) -> None:
        model = tiny_model(vision, freeze_vision=True, freeze_text=True)
        towers = {name: value.clone() for name, value in model.state_dict().items() if ".tower." in name}
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        step(model, batch(vision))
        optimizer.step()
        assert model.training and not model.image.tower.training and not model.text.tower.training
        assert not any(module.training for module in model.image.tower.modules())
        state = model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in towers.items())
        assert gradients(model.image.tower) == {} == gradients(model.text.tower)

    @pytest.mark.parametrize("vision", ["resnet", "mobilenet_v2"])
    def test_statistics_move_where_nothing_is_frozen(self, vision: str) -> None:
        model = tiny_model(vision)
        before = {name: value.clone() for name, value in model.state_dict().items() if "running_mean" in name}
        step(model, batch(vision))
        assert before and all(not torch.equal(model.state_dict()[name], value) for name, value in before.items())

    def test_from_the_moment_a_model_is_built(self) -> None:
        model = LeccrModel(tiny_config("resnet", freeze_vision=True))
        assert model.training and not model.image.tower.training
        assert not any(weight.requires_grad for weight in model.image.tower.parameters())

    def test_evaluation_and_back(self) -> None:
        model = tiny_model(freeze_vision=True)
        model.train()
        assert (model.image.tower.training, model.text.tower.training) == (False, True)
        model.eval()
        assert not any(module.training for module in model.modules())
        assert model.train() is model

    def test_description_encoder_is_always_frozen(self) -> None:
        model = tiny_model(description_config=tiny_model().config.text_config)
        step(model, batch())
        assert gradients(model.description_encoder.tower) == {}
        assert gradients(model.text.tower)
        assert not model.description_encoder.tower.training

    def test_gradient_still_passes_descriptions_to_a_frozen_tower_s_projection(self) -> None:
        model = tiny_model(freeze_text=True, slot_anchor="text", description_gradient=True)
        step(model, batch())
        assert gradients(model.text.head) and gradients(model.image.anchor)


class TestAsTheUserSetsIt:
    def test_a_tower_stays_trainable_once_it_is_thawed(self) -> None:
        model = tiny_model(freeze_text=True)
        model.text.tower.requires_grad_(True)
        step(model, batch())
        assert model.text.tower.training and gradients(model.text.tower)
        model.eval()
        model.train()
        assert model.text.tower.training and not is_frozen(model.text.tower)

    def test_a_tower_stays_frozen_once_it_is_frozen(self) -> None:
        model = tiny_model()
        model.image.tower.requires_grad_(False)
        step(model, batch())
        assert not model.image.tower.training and not gradients(model.image.tower)

    def test_a_temperature_can_be_trained_again(self) -> None:
        for model in (tiny_model(learn_temperature=False), tiny_cross_lingual(learn_temperature=False)):
            model.logit_scale.requires_grad_(True)
            assert model.train().logit_scale.weight.requires_grad

    def test_one_trainable_weight_switches_dropout_on(self) -> None:
        model = tiny_model(freeze_text=True)
        model.text.tower.model.encoder.layer[1].requires_grad_(True)
        model.train()
        assert all(module.training for module in model.text.tower.modules())

    def test_frozen_batch_norms_keep_their_statistics_in_a_tower_that_trains(self) -> None:
        model = tiny_model("resnet", freeze_vision=True)
        model.image.tower.model.encoder.stages[1].requires_grad_(True)
        before = {name: value.clone() for name, value in model.state_dict().items() if "running_mean" in name}
        step(model, batch("resnet"))
        moved = {name for name, value in before.items() if not torch.equal(model.state_dict()[name], value)}
        assert moved == {name for name in before if "stages.1." in name} and len(moved) < len(before)

    def test_the_stock_trainer_leaves_it(self, tmp_path: Path) -> None:
        model = tiny_model(None, freeze_text=True)
        model.text.tower.requires_grad_(True)
        before = model.text.head.output.weight.clone(), next(model.text.tower.parameters()).clone()
        rows = [{name: value[row] for name, value in batch(None).items()} for row in range(4)]
        arguments = TrainingArguments(
            str(tmp_path), max_steps=2, per_device_train_batch_size=4, report_to=[], use_cpu=True, save_strategy="no"
        )
        Trainer(model=model, args=arguments, train_dataset=rows).train()
        after = model.text.head.output.weight, next(model.text.tower.parameters())
        assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def reloaded(model: nn.Module, folder: Path) -> LeccrModel:
    model.save_pretrained(folder)
    return LeccrModel.from_pretrained(folder)


class TestSavedAndLoaded:
    @pytest.mark.parametrize("frozen", ["freeze_vision", "freeze_text"])
    def test_loading_freezes_what_the_configuration_says(self, frozen: str, tmp_path: Path) -> None:
        model = reloaded(tiny_model(**{frozen: True}, learn_temperature=False), tmp_path)
        towers = {"freeze_vision": model.image.tower, "freeze_text": model.text.tower}
        assert {flag for flag, tower in towers.items() if is_frozen(tower)} == {frozen}
        assert not model.logit_scale.weight.requires_grad
        assert {flag for flag, tower in towers.items() if not tower.training} == set(towers), "as loading leaves it"
        model.train()
        assert {flag for flag, tower in towers.items() if not tower.training} == {frozen}

    def test_what_the_user_thawed_or_froze_is_so_again(self, tmp_path: Path) -> None:
        model = tiny_model(freeze_text=True)
        model.text.tower.requires_grad_(True)
        model.image.tower.requires_grad_(False)
        loaded = reloaded(model, tmp_path)
        assert is_frozen(loaded.image.tower) and not is_frozen(loaded.text.tower)
        assert (loaded.config.freeze_vision, loaded.config.freeze_text) == (True, False)

    def test_a_text_only_model(self, tmp_path: Path) -> None:
        model = tiny_cross_lingual()
        model.text.tower.requires_grad_(False)
        model.save_pretrained(tmp_path)
        loaded = CrossLingualModel.from_pretrained(tmp_path)
        assert is_frozen(loaded.text.tower) and not is_frozen(loaded.text.head)

    def test_a_model_in_use_keeps_its_settings(self, tmp_path: Path) -> None:
        loaded = reloaded(tiny_model(freeze_text=True).requires_grad_(False), tmp_path)
        assert (loaded.config.freeze_vision, loaded.config.freeze_text) == (False, True)
        assert not is_frozen(loaded.image.tower)

    def test_loading_information_comes_along(self, tmp_path: Path) -> None:
        tiny_model(freeze_text=True).save_pretrained(tmp_path)
        model, report = LeccrModel.from_pretrained(tmp_path, output_loading_info=True)
        assert not report["missing_keys"] and is_frozen(model.text.tower)
        assert is_frozen(AutoModel.from_pretrained(tmp_path, trust_remote_code=True).text.tower)


def test_is_frozen() -> None:
    layer = nn.Linear(2, 2)
    assert not is_frozen(layer) and not is_frozen(nn.Identity())
    layer.weight.requires_grad_(False)
    assert not is_frozen(layer)
    assert is_frozen(layer.requires_grad_(False))
    assert not Tower().train().model if hasattr(Tower(), "model") else Tower().train().training
