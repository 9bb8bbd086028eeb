"""What the configuration works out for itself, what it refuses, and that it survives saving."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import BertConfig, CLIPVisionConfig

from modeling_leccr import LeccrConfig, LeccrOutput

from .tiny import FEATURE_WIDTH, VISION_TOWERS, text_config, tiny_config, vision_config


class TestDerivedFields:
    def test_clip_tower_sets_the_interaction_width_to_its_projection(self) -> None:
        config = LeccrConfig(vision_config=vision_config("clip"), text_config=text_config())
        assert (config.visual_feature_dim, config.interaction_dim, config.vision_summary) == (32, 16, "first")

    @pytest.mark.parametrize("kind", ["vit", "siglip", "resnet"])
    def test_other_towers_interact_in_the_shared_space(self, kind: str) -> None:
        config = LeccrConfig(vision_config=vision_config(kind), text_config=text_config(), projection_dim=24)
        assert (config.visual_feature_dim, config.interaction_dim) == (VISION_TOWERS[kind][1], 24)

    def test_features_without_a_tower_are_averaged(self) -> None:
        config = LeccrConfig(text_config=text_config(), visual_feature_dim=FEATURE_WIDTH)
        assert (config.vision_config, config.vision_summary) == (None, "mean")

    def test_features_without_projection_keep_their_width(self) -> None:
        config = LeccrConfig(text_config=text_config(), visual_feature_dim=40, vision_projection=False)
        assert config.interaction_dim == 40

    def test_what_is_given_is_kept(self) -> None:
        config = tiny_config("clip", vision_summary="mean", interaction_dim=48, interaction_heads=3)
        assert (config.vision_summary, config.interaction_dim) == ("mean", 48)

    def test_towers_may_be_dictionaries(self) -> None:
        fields = vision_config("clip").to_dict()
        before = copy.deepcopy(fields)
        config = LeccrConfig(vision_config=fields, text_config=text_config().to_dict())
        assert type(config.vision_config) is CLIPVisionConfig
        assert type(config.text_config) is BertConfig
        assert config.vision_config.hidden_size == 32
        assert fields == before, "the caller's dictionary must not change"

    def test_text_tower_answers_for_sizes_and_special_tokens(self) -> None:
        config = tiny_config()
        assert config.get_text_config() is config.text_config


REFUSED = {
    "no text tower": ({"text_config": None}, "give text_config"),
    "tower without a type": ({"text_config": {"hidden_size": 8}}, "text_config has no model_type"),
    "tower by its name": ({"text_config": "bert"}, 'text_config is "bert", but has to be a configuration'),
    "second tower by its name": ({"description_config": "bert"}, 'description_config is "bert"'),
    "text for a number": ({"alpha": "high"}, "Field 'alpha' with value 'high' doesn't match any type"),
    "share for a number of layers": ({"slot_layers": 2.5}, "Field 'slot_layers' expected int, got float"),
    "number for a switch": ({"freeze_text": 1}, "Field 'freeze_text' expected bool, got int"),
    "no heads": ({"interaction_heads": 0}, "interaction_heads is 0, but has to be above 0"),
    "dropout": ({"dropout": 1.5}, "dropout is 1.5, but has to be between 0 and 1"),
    "negative visual layers": ({"visual_layers": -1}, "visual_layers is -1, but cannot be negative"),
    "unknown width": ({"vision_config": vision_config("mobilenet_v2")}, "give visual_feature_dim"),
    "widths that differ": (
        {"visual_feature_dim": 20, "vision_projection": False, "interaction_dim": 16},
        "visual_feature_dim 20 has to equal interaction_dim 16",
    ),
    "negative slots": ({"num_slots": -1}, "num_slots is -1"),
    "heads of the interaction": ({"interaction_dim": 12, "interaction_heads": 5}, "12 is not a multiple of .* 5"),
    "heads of the visual layers": (
        {"num_slots": 0, "visual_layers": 1, "interaction_dim": 12, "interaction_heads": 5},
        "12 is not a multiple of .* 5",
    ),
    "alpha": ({"alpha": 1.5}, "alpha is 1.5, but has to be between 0 and 1"),
    "beta": ({"beta": -0.1}, "beta is -0.1"),
    "softened weight": ({"softened_weight": 2.0}, "softened_weight is 2.0"),
    "description dropout": ({"description_dropout": -1.0}, "description_dropout is -1.0"),
    "anchor": ({"slot_anchor": "slot"}, "Field 'slot_anchor' expected one of .'none', 'text', 'image'., got slot"),
    "pooling": ({"text_pooling": "max"}, "Field 'text_pooling' expected one of .*, got max"),
    "head": ({"text_head": "deep"}, "Field 'text_head' expected one of .*, got deep"),
    "summary": ({"vision_summary": "last"}, "Field 'vision_summary' expected one of .*, got last"),
    "slot layers": ({"slot_layers": 0}, "slot_layers is 0, but has to be at least 1"),
    "transfer temperature": ({"transfer_temperature": -0.1}, "transfer_temperature is -0.1, but has to be above 0"),
    "temperature": ({"teacher_temperature": 0.0}, "teacher_temperature is 0.0, but has to be above 0"),
    "other temperature": ({"slot_vision_temperature": -1.0}, "slot_vision_temperature is -1.0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_values(name: str) -> None:
    fields, message = REFUSED[name]
    defaults: dict[str, Any] = {"text_config": text_config()}
    if "vision_config" not in fields:
        defaults["visual_feature_dim"] = FEATURE_WIDTH
    with pytest.raises(ValueError, match=message) as caught:
        LeccrConfig(**(defaults | fields))
    assert "\n" not in str(caught.value)


def test_whole_numbers_are_numbers() -> None:
    assert tiny_config(alpha=1, fused_weight=2).fused_weight == 2


def test_types_are_checked_afterwards_too() -> None:
    config = tiny_config()
    with pytest.raises(StrictDataclassError, match="Field 'num_slots' expected int, got str"):
        config.num_slots = "four"


class TestSaving:
    @pytest.mark.parametrize("kind", [*VISION_TOWERS, None])
    def test_a_saved_configuration_comes_back_the_same(self, kind: str | None, tmp_path: Path) -> None:
        config = tiny_config(kind, num_slots=5, alpha=0.7, description_config=text_config("distilbert"))
        config.save_pretrained(tmp_path)
        loaded = LeccrConfig.from_pretrained(tmp_path)
        assert loaded.to_dict() == config.to_dict()
        assert type(loaded.vision_config) is type(config.vision_config)
        assert type(loaded.description_config) is type(config.description_config)

    def test_defaults_are_written_down(self, tmp_path: Path) -> None:
        """So that a later change of a default leaves old checkpoints as they are."""
        tiny_config().save_pretrained(tmp_path)
        written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
        own = {field.name for field in dataclasses.fields(LeccrConfig)} & set(LeccrConfig.__annotations__)
        assert own <= set(written)
        assert len(own) > 30

    def test_it_can_be_shown_and_copied(self) -> None:
        config = tiny_config()
        assert '"model_type": "leccr"' in repr(config)
        assert copy.deepcopy(config).to_dict() == config.to_dict()


def test_trainer_sees_views_and_captions_only() -> None:
    names = {field.name for field in dataclasses.fields(LeccrOutput)}
    ignored = LeccrConfig.keys_to_ignore_at_inference
    assert names - set(ignored) - {"loss"} == {"image_views", "caption_embeds"}
    assert set(ignored) < names


@pytest.mark.parametrize("where", ["{folder}", "../shared/weights/bert", "tower"])
def test_what_is_saved_names_no_folder_and_keeps_names_on_the_hub(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tower").mkdir()
    config = tiny_config()
    config.text_config.name_or_path = where.format(folder=tmp_path)
    config.vision_config.name_or_path = "openai/clip-vit-base-patch32"
    config.save_pretrained(tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "config.json").read_text())
    assert "_name_or_path" not in stored["text_config"]
    assert stored["vision_config"]["_name_or_path"] == "openai/clip-vit-base-patch32"
    assert config.text_config.name_or_path == where.format(folder=tmp_path), "the configuration itself must not change"
    assert LeccrConfig.from_pretrained(tmp_path / "out").to_dict() == config.to_dict()
