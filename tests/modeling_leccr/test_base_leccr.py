"""What both networks offer to transformers and to the application: token embeddings, and LoRA's targets."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, Trainer, TrainingArguments

from modeling_leccr import LeccrModel

from .tiny import (
    TEXT_TOWERS,
    VOCABULARY,
    batch,
    sentence_pairs,
    text_config,
    texts,
    tiny_config,
    tiny_cross_lingual,
    tiny_model,
)

QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def quiet_model() -> LeccrModel:
    """Return a model without any dropout, so that equal inputs give equal losses while it trains."""
    torch.manual_seed(0)
    config = tiny_config(None, dropout=0.0)
    config.text_config = BertConfig(**{**config.text_config.to_dict(), **QUIET})
    return LeccrModel(config)


def training_loss(model: nn.Module, inputs: dict[str, Tensor], folder: Path, **settings: Any) -> float:
    rows = [{name: value[row] for name, value in inputs.items()} for row in range(4)]
    arguments = TrainingArguments(
        str(folder),
        max_steps=1,
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        **settings,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows)
    return float(trainer.train().training_loss)


def test_the_stock_trainer_can_add_noise_to_token_embeddings(tmp_path: Path) -> None:
    without, again = (training_loss(quiet_model(), batch(None), tmp_path) for _ in range(2))
    noisy = training_loss(quiet_model(), batch(None), tmp_path, neftune_noise_alpha=20.0)
    assert without == again
    assert abs(noisy - without) > 1e-3


def test_a_frozen_text_tower_gets_no_noise(tmp_path: Path) -> None:
    losses = []
    for settings in ({}, {"neftune_noise_alpha": 20.0}):
        model = quiet_model()
        model.text.tower.requires_grad_(False)
        losses.append(training_loss(model, batch(None), tmp_path, **settings))
    assert losses[0] == losses[1]


class TestTokenEmbeddings:
    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    def test_they_are_the_text_tower_s(self, kind: str) -> None:
        for model in (tiny_model(None, kind), tiny_cross_lingual(kind)):
            embeddings = model.get_input_embeddings()
            assert embeddings.weight.shape == (VOCABULARY, 32)
            seen: list[Tensor] = []
            embeddings.register_forward_pre_hook(lambda _, arguments, seen=seen: seen.append(arguments[0]))
            inputs = texts([3, 5])
            model.get_text_features(**inputs)
            assert len(seen) == 1 and torch.equal(seen[0], inputs["input_ids"])

    def test_they_can_be_replaced(self) -> None:
        model, new = tiny_model(None), nn.Embedding(VOCABULARY, 32)
        before = model.get_text_features(**texts([3, 5]))
        model.set_input_embeddings(new)
        assert model.get_input_embeddings() is new
        assert not torch.allclose(model.get_text_features(**texts([3, 5])), before)

    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    @pytest.mark.parametrize("mean_resizing", [True, False])
    def test_new_tokens(self, kind: str, mean_resizing: bool, tmp_path: Path) -> None:
        model = tiny_model(None, kind)
        before = model.get_text_features(**texts([3, 5]))
        resized = model.resize_token_embeddings(VOCABULARY + 5, mean_resizing=mean_resizing)
        assert resized is model.get_input_embeddings() and resized.weight.shape == (VOCABULARY + 5, 32)
        torch.testing.assert_close(model.get_text_features(**texts([3, 5])), before)
        new = torch.full((1, 3), VOCABULARY + 4)
        assert model.get_text_features(new).isfinite().all()
        model.save_pretrained(tmp_path)
        loaded = LeccrModel.from_pretrained(tmp_path)
        assert loaded.config.text_config.vocab_size == VOCABULARY + 5
        torch.testing.assert_close(loaded.get_text_features(new), model.get_text_features(new))

    def test_an_encoder_of_descriptions_knows_the_new_tokens_too(self) -> None:
        model = tiny_model(None, description_config=text_config("distilbert"))
        model.resize_token_embeddings(VOCABULARY + 3)
        config = model.config
        assert config.text_config.vocab_size == config.description_config.vocab_size == VOCABULARY + 3
        inputs = batch(None)
        inputs["description_input_ids"][:, 1] = VOCABULARY + 2
        inputs["source_input_ids"][:, 1] = VOCABULARY + 2
        assert model(**inputs).loss.isfinite()
        assert not any(weight.requires_grad for weight in model.description_encoder.tower.parameters())

    def test_new_tokens_are_trained_by_the_stock_trainer(self, tmp_path: Path) -> None:
        model, pairs = tiny_cross_lingual(), sentence_pairs()
        model.resize_token_embeddings(VOCABULARY + 1)
        pairs["source_input_ids"][:, 1] = VOCABULARY
        before = model.get_input_embeddings().weight[VOCABULARY].clone()
        training_loss(model, pairs, tmp_path, learning_rate=1e-2)
        assert not torch.equal(model.get_input_embeddings().weight[VOCABULARY].cpu(), before)


class TestLoraSettings:
    def test_new_layers_are_named_whole(self) -> None:
        settings = tiny_model(slot_anchor="text", visual_layers=1, vision_standardize=True).lora_settings()
        assert settings["modules_to_save"] == [
            "text.head",
            "image.standardizer",
            "image.projection",
            "image.visual_layers",
            "image.head",
            "image.interaction",
            "image.slot_head",
            "image.anchor",
            "objective",
            "logit_scale",
        ]

    def test_what_is_frozen_is_not_among_them(self) -> None:
        model = tiny_model(None, description_config=text_config("distilbert"), learn_temperature=False)
        names = model.lora_settings()["modules_to_save"]
        assert not [name for name in names if name.startswith(("logit_scale", "description_encoder"))]

    def test_a_text_only_model(self) -> None:
        assert tiny_cross_lingual().lora_settings()["modules_to_save"] == ["text.head", "logit_scale"]


def test_one_network_can_start_from_the_text_encoder_of_the_other() -> None:
    teacher, student = tiny_cross_lingual(seed=1), tiny_model(None)
    student.text.load_state_dict(teacher.text.state_dict())
    torch.testing.assert_close(student.get_text_features(**texts([3, 5])), teacher.get_text_features(**texts([3, 5])))
