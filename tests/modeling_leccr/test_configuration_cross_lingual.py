"""What the cross-lingual network's configuration refuses, and that it survives saving."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, BertConfig

from modeling_leccr import CrossLingualConfig, CrossLingualOutput, LeccrConfig

from .tiny import text_config, tiny_config

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no text tower": ({"text_config": None}, "give text_config"),
    "tower without a type": ({"text_config": {"hidden_size": 8}}, "text_config has no model_type"),
    "nothing to train": ({"sentence_weight": 0.0, "word_weight": 0.0}, "both 0, which leaves nothing to train"),
    "sentence weight": ({"sentence_weight": -1.0}, "sentence_weight is -1.0, but cannot be negative"),
    "word weight": ({"word_weight": -0.1}, "word_weight is -0.1, but cannot be negative"),
    "regularization": ({"transport_regularization": 0.0}, "transport_regularization is 0.0, but has to be above 0"),
    "iterations": ({"transport_iterations": 0}, "transport_iterations is 0, but has to be above 0"),
    "temperature": ({"word_temperature": -0.1}, "word_temperature is -0.1, but has to be above 0"),
    "token dropout": ({"token_dropout": 1.5}, "token_dropout is 1.5, but has to be between 0 and 1"),
    "text for a number": ({"word_weight": "none"}, "Field 'word_weight' with value 'none' doesn't match any type"),
    "tower by its name": ({"text_config": "bert"}, 'text_config is "bert", but has to be a configuration'),
    "pooling": ({"text_pooling": "max"}, "Field 'text_pooling' expected one of .'cls', 'mean'., got max"),
    "head": ({"text_head": "deep"}, "Field 'text_head' expected one of .*, got deep"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    fields, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        CrossLingualConfig(**({"text_config": text_config()} | fields))
    assert "\n" not in str(caught.value)


def test_either_objective_is_enough() -> None:
    for fields in ({"word_weight": 0.0}, {"sentence_weight": 0.0}):
        CrossLingualConfig(text_config=text_config(), **fields)


def test_tower_may_be_a_dictionary() -> None:
    fields = text_config().to_dict()
    before = copy.deepcopy(fields)
    config = CrossLingualConfig(text_config=fields)
    assert type(config.text_config) is BertConfig and config.text_config.hidden_size == 32
    assert fields == before, "the caller's dictionary must not change"
    assert config.get_text_config() is config.text_config


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_saved_configuration_comes_back_the_same(kind: str, tmp_path: Path) -> None:
    config = CrossLingualConfig(text_config=text_config(kind), word_weight=0.3, transport_iterations=7)
    config.save_pretrained(tmp_path)
    loaded = CrossLingualConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict()
    assert type(loaded.text_config) is type(config.text_config)
    assert AutoConfig.from_pretrained(tmp_path, trust_remote_code=True).to_dict()["word_weight"] == 0.3
    written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    own = {field.name for field in dataclasses.fields(CrossLingualConfig)} & set(CrossLingualConfig.__annotations__)
    assert len(own) == 19 and own <= set(written)


def test_fields_that_both_networks_have_start_alike() -> None:
    """So that a retrieval network of the same recipe can start from the cross-lingual one."""
    shared = set(CrossLingualConfig.__annotations__) & set(LeccrConfig.__annotations__)
    default, tiny = CrossLingualConfig(text_config=text_config()), tiny_config(projection_dim=256)
    assert len(shared) == 14
    for name in shared - {"text_config"}:
        assert getattr(default, name) == getattr(tiny, name), name


def test_trainer_sees_captions_only() -> None:
    names = {field.name for field in dataclasses.fields(CrossLingualOutput)}
    assert names - set(CrossLingualConfig.keys_to_ignore_at_inference) - {"loss"} == {"caption_embeds"}


def test_what_is_saved_names_no_folder(tmp_path: Path) -> None:
    config = CrossLingualConfig(text_config=text_config())
    config.text_config.name_or_path = str(tmp_path)
    config.save_pretrained(tmp_path)
    assert str(tmp_path) not in (tmp_path / "config.json").read_text()
    config.text_config.name_or_path = "FacebookAI/xlm-roberta-base"
    config.save_pretrained(tmp_path)
    assert "FacebookAI/xlm-roberta-base" in (tmp_path / "config.json").read_text()
