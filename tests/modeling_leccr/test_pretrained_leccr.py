"""Models that start from pretrained towers: the towers' weights arrive, everything else is new."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModel,
    BertForMaskedLM,
    BertModel,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    MobileNetV2Model,
    PreTrainedModel,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
    ViTModel,
)

from modeling_leccr import LeccrConfig, LeccrModel

from .tiny import SPACE, VISION_TOWERS, batch, enliven, texts, tiny_config, tiny_model, visual_inputs
from .tiny import text_config as tiny_text_config
from .tiny import vision_config as tiny_vision_config

FIELDS: dict[str, Any] = {"projection_dim": SPACE, "interaction_dim": 16, "interaction_heads": 2, "slot_layers": 1}

Save = Callable[[PreTrainedModel], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def save_model(model: PreTrainedModel) -> Path:
        folder = tmp_path / type(model).__name__
        enliven(model).save_pretrained(folder)
        return folder

    return save_model


def clip() -> CLIPModel:
    text = CLIPTextConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=tiny_vision_config("clip").to_dict(), projection_dim=16
    )
    return CLIPModel(config).eval()


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    """Whether every weight and statistic of the first is in the second, under the same name."""
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def build(vision: Any, text: Any = None, **fields: Any) -> LeccrModel:
    text = tiny_text_config() if text is None else text
    return LeccrModel.from_pretrained_towers(vision, text, **(FIELDS | fields)).eval()


class TestVisionTowers:
    def test_a_whole_clip_gives_tower_and_projection(self, save: Save) -> None:
        source = clip()
        model = build(save(source))
        pictures = visual_inputs()["pixel_values"]
        with torch.no_grad():
            projected = model.encode_images(pictures, visual_attention_mask=None).vision_tokens
            expected = source.get_image_features(pixel_values=pictures)
        expected = getattr(expected, "pooler_output", expected)
        torch.testing.assert_close(projected[:, 0], expected)
        assert model.config.vision_config.model_type == "clip_vision_model"

    def test_clip_sets_the_interaction_width(self, save: Save) -> None:
        model = LeccrModel.from_pretrained_towers(save(clip()), tiny_text_config(), interaction_heads=2)
        assert model.config.interaction_dim == 16

    def test_clip_vision_tower_with_projection(self, save: Save) -> None:
        source = CLIPVisionModelWithProjection(tiny_vision_config("clip")).eval()
        model = build(save(source))
        assert torch.equal(model.image.projection.weight, source.visual_projection.weight)
        pictures = visual_inputs()["pixel_values"]
        torch.testing.assert_close(model.encode_images(pictures).vision_tokens[:, 0], source(pictures).image_embeds)

    def test_clip_vision_tower_without_projection_gets_a_new_one(self, save: Save) -> None:
        source = CLIPVisionModel(tiny_vision_config("clip")).eval()
        model = build(save(source))
        pictures = visual_inputs()["pixel_values"]
        torch.testing.assert_close(model.get_visual_tokens(pictures)[:, 0], source(pictures).pooler_output)
        assert 0.01 < model.image.projection.weight.std() < 1

    def test_projection_of_another_width_is_new(self, save: Save) -> None:
        model = build(save(clip()), interaction_dim=24)
        assert model.image.projection.weight.shape == (24, 32)

    def test_siglip_gives_its_vision_half(self, save: Save) -> None:
        text = SiglipTextConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
        config = SiglipConfig(text_config=text.to_dict(), vision_config=tiny_vision_config("siglip").to_dict())
        source = SiglipModel(config).eval()
        model = build(save(source))
        pictures = visual_inputs()["pixel_values"]
        expected = source.vision_model(pictures).pooler_output
        torch.testing.assert_close(model.get_visual_tokens(pictures)[:, 0], expected)

    @pytest.mark.parametrize("kind, family", [("mobilenet_v2", MobileNetV2Model), ("vit", ViTModel)])
    def test_others(self, save: Save, kind: str, family: type[PreTrainedModel]) -> None:
        source = family(tiny_vision_config(kind)).eval()
        for name, buffer in source.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 1.5)
        model = build(save(source), interaction_dim=None, interaction_heads=1)
        assert model.config.visual_feature_dim == VISION_TOWERS[kind][1]
        assert same_weights(model.image.tower.model, source)
        assert model.config.interaction_dim == SPACE

    def test_none(self) -> None:
        model = build(None, visual_feature_dim=20)
        assert model.image.tower is None and model.config.vision_summary == "mean"

    @pytest.mark.parametrize("kind", VISION_TOWERS)
    def test_a_configuration_is_a_tower_with_random_weights(self, kind: str) -> None:
        model = build(tiny_vision_config(kind))
        assert model.config.visual_feature_dim == VISION_TOWERS[kind][1]
        assert model(**batch(kind)).loss.isfinite()

    def test_a_width_that_was_given_is_kept(self) -> None:
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            build(tiny_vision_config("vit"), visual_feature_dim=7)(**batch("vit"))


class TestTextTowers:
    def test_bert(self, save: Save) -> None:
        source = BertModel(tiny_text_config()).eval()
        model = build(None, save(source), visual_feature_dim=20)
        inputs = texts([3, 6])
        with torch.no_grad():
            expected = source(**inputs).last_hidden_state
            torch.testing.assert_close(model.text.tower(**inputs), expected)

    def test_a_language_model_s_encoder(self, save: Save) -> None:
        source = BertForMaskedLM(tiny_text_config())
        model = build(None, save(source), visual_feature_dim=20)
        assert same_weights(model.text.tower.model, source.bert)

    def test_an_encoder_for_descriptions(self, save: Save) -> None:
        source = AutoModel.from_config(tiny_text_config("distilbert"))
        model = build(None, visual_feature_dim=20, description_config=save(source))
        assert same_weights(model.description_encoder.tower.model, source)
        assert model.config.description_config.model_type == "distilbert"
        assert not any(weight.requires_grad for weight in model.description_encoder.tower.parameters())

    def test_half_precision_checkpoints_are_trained_in_full_precision(self, save: Save) -> None:
        model = build(None, save(BertModel(tiny_text_config()).to(torch.bfloat16)), visual_feature_dim=20)
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}


class TestWhole:
    def test_configuration_fields_arrive(self) -> None:
        model = build(tiny_vision_config("clip"), num_slots=5, freeze_vision=True, slot_anchor="text")
        assert isinstance(model.config, LeccrConfig)
        assert model.image.interaction.queries.weight.shape == (5, 16)
        assert not any(weight.requires_grad for weight in model.image.tower.parameters())

    def test_new_layers_are_initialised(self) -> None:
        queries = build(tiny_vision_config("clip")).image.interaction.queries.weight
        assert torch.pdist(queries.detach()).min() > 0.02

    def test_it_can_be_saved_and_loaded(self, save: Save, tmp_path: Path) -> None:
        model = build(save(clip()), save(BertModel(tiny_text_config())))
        model.save_pretrained(tmp_path / "whole")
        loaded = LeccrModel.from_pretrained(tmp_path / "whole")
        torch.testing.assert_close(loaded(**batch()).loss, model(**batch()).loss)


class TestIncompleteCheckpoints:
    @staticmethod
    def without(folder: Path, part: str) -> Path:
        weights: dict[str, Tensor] = load_file(folder / "model.safetensors")
        kept = {name: value for name, value in weights.items() if part not in name}
        assert len(kept) == len(weights) - 1
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        return folder

    def test_vision(self, save: Save) -> None:
        folder = self.without(save(clip()), "vision_model.encoder.layers.1.mlp.fc1.bias")
        message = f"{folder} lacks 1 weights of a clip_vision_model tower, the first is .*layers.1.mlp.fc1.bias"
        with pytest.raises(ValueError, match=message):
            build(folder)

    def test_cnn(self, save: Save) -> None:
        source = MobileNetV2Model(tiny_vision_config("mobilenet_v2"))
        folder = self.without(save(source), "conv_1x1.convolution.weight")
        with pytest.raises(ValueError, match="lacks 1 weights of a mobilenet_v2 tower"):
            build(folder)

    def test_text(self, save: Save) -> None:
        folder = self.without(save(BertModel(tiny_text_config())), "encoder.layer.0.output.dense.bias")
        with pytest.raises(ValueError, match="lacks 1 weights of a bert tower, the first is encoder.layer.0.output"):
            build(None, folder, visual_feature_dim=20)

    def test_a_missing_pooling_layer_is_no_loss(self, save: Save) -> None:
        model = build(None, save(BertModel(tiny_text_config(), add_pooling_layer=False)), visual_feature_dim=20)
        assert model.text.tower.model.pooler is None


def test_config_of_a_saved_leccr_model_can_be_used_again() -> None:
    config = tiny_config()
    model = LeccrModel.from_pretrained_towers(config.vision_config, config.text_config, **FIELDS)
    assert model.config.vision_config.to_dict() == tiny_model().config.vision_config.to_dict()
