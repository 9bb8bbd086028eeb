"""Starts a network from pretrained towers."""

import os
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, CLIPVisionModelWithProjection, PreTrainedConfig, PreTrainedModel

from .towers_leccr import without_pooler


def load_pretrained_towers(model_class: Any, vision: Any, text: Any, fields: dict[str, Any]) -> Any:
    """Build `model_class` over pretrained towers; see `LeccrModel.from_pretrained_towers`.

    Args:
        model_class: The model class, whose `config_class` takes `fields`.
        vision: Checkpoint name, folder, configuration, or None.
        text: Checkpoint name, folder or configuration.
        fields: Further configuration fields. `description_config` may be a name, too.

    Raises:
        ValueError: If a tower's checkpoint lacks weights.
    """
    vision_config, vision_tower, projection = _load_vision(vision)
    text_config, text_tower = _load_text(text)
    description_config, description_tower = _load_text(fields.pop("description_config", None))
    if vision_config is not None and "visual_feature_dim" not in fields:
        fields["visual_feature_dim"] = _output_width(vision_config)
    config = model_class.config_class(
        vision_config=vision_config, text_config=text_config, description_config=description_config, **fields
    )
    model = model_class(config)
    for shell, tower in (
        (model.vision_tower, vision_tower),
        (model.text_tower, text_tower),
        (model.description_tower, description_tower),
    ):
        if tower is not None:
            shell.model.load_state_dict(tower.state_dict())
    new = model.vision_projection
    if projection is not None and new is not None and new.weight.shape == projection.weight.shape:
        new.load_state_dict(projection.state_dict())
    return model


def load_pretrained_text_tower(model_class: Any, text: Any, fields: dict[str, Any]) -> Any:
    """Build `model_class` over a pretrained text tower; see `CrossLingualModel.from_pretrained_tower`."""
    text_config, text_tower = _load_text(text)
    model = model_class(model_class.config_class(text_config=text_config, **fields))
    if text_tower is not None:
        model.text_tower.model.load_state_dict(text_tower.state_dict())
    return model


def _load_vision(vision: Any) -> tuple[PreTrainedConfig | None, nn.Module | None, nn.Module | None]:
    if vision is None or isinstance(vision, PreTrainedConfig):
        return vision, None, None
    config = AutoConfig.from_pretrained(vision)
    # A bare CLIPVisionModel is saved without the projection.
    bare = "CLIPVisionModel" in (config.architectures or ())
    if config.model_type in ("clip", "clip_vision_model") and not bare:
        config = getattr(config, "vision_config", config)
        model = _complete(CLIPVisionModelWithProjection, vision, config)
        return config, model.vision_model, model.visual_projection
    config = getattr(config, "vision_config", config)
    return config, without_pooler(_complete(AutoModel, vision, config)), None


def _load_text(text: Any) -> tuple[PreTrainedConfig | None, nn.Module | None]:
    if text is None or isinstance(text, PreTrainedConfig):
        return text, None
    config = AutoConfig.from_pretrained(text)
    config = getattr(config, "text_config", config)
    return config, without_pooler(_complete(AutoModel, text, config))


def _complete(auto_class: Any, name: str | os.PathLike[str], config: PreTrainedConfig) -> PreTrainedModel:
    model, report = auto_class.from_pretrained(name, config=config, output_loading_info=True)
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise ValueError(
            f"{name} lacks {len(missing)} weights of a {config.model_type} tower, the first is {missing[0]}; "
            "give a complete checkpoint."
        )
    return model


def _output_width(config: PreTrainedConfig) -> int:
    size = getattr(config, "image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    with torch.device("meta"):
        model = AutoModel.from_config(config).eval()
        states = model(pixel_values=torch.empty(1, config.num_channels, height, width)).last_hidden_state
    return states.shape[1] if states.dim() == 4 else states.shape[-1]
