"""Starts a network from pretrained towers, or from a whole dual encoder of transformers."""

import math
import os
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, CLIPVisionModelWithProjection, PreTrainedConfig, PreTrainedModel

from .base_leccr import without_pooler

FAMILIES = ("clip", "metaclip_2", "siglip", "altclip", "vision-text-dual-encoder")
TEXT_POOLINGS = {
    "clip_text_model": "eos",
    "metaclip_2_text_model": "eos",
    "siglip_text_model": "last",
    "altclip_text_model": "cls",
}


class StartsFromPretrained:
    """Ways to build a `LeccrModel` that starts from pretrained weights."""

    @classmethod
    def from_pretrained_towers(cls, vision: Any, text: Any, **config: Any) -> Any:
        """Build a model over two pretrained towers; new layers are initialised.

        Args:
            vision: Checkpoint name, folder or configuration of a vision tower; None for ready-made visual features.
            text: Checkpoint name, folder or configuration of a text tower.
            **config: Fields of `LeccrConfig`.

        Returns:
            The model. A tower given as a configuration has random weights.
        """
        return load_pretrained_towers(cls, vision, text, config)

    @classmethod
    def from_dual_encoder(cls, source: Any, **config: Any) -> Any:
        """Build a model that starts as a dual encoder of transformers, and gives its embeddings until it is trained.

        Towers, projections and temperature are taken over. Slots and descriptions join through gates that start at
        zero; they are what one trains, for the towers stay frozen.

        Args:
            source: Checkpoint name, folder or model: CLIP, MetaCLIP 2, SigLIP (SigLIP 2 of fixed resolution, too),
                AltCLIP, or a `VisionTextDualEncoderModel`, such as CLIP with XLM-R.
            **config: Fields of `LeccrConfig` that do not come from the source, such as `freeze_text=False`.

        Returns:
            The model. `leccr.models.dual_encoders.dual_encoder_processor` makes its processor.

        Raises:
            ValueError: If the source is another kind of model or lacks weights, or a field comes from it.
        """
        return load_dual_encoder(cls, source, config)


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
    vision_config, vision_tower, projection = load_vision_tower(vision)
    text_config, text_tower = load_text_tower(text)
    description_config, description_tower = load_text_tower(fields.pop("description_config", None))
    if vision_config is not None and "visual_feature_dim" not in fields:
        fields["visual_feature_dim"] = _output_width(vision_config)
    config = model_class.config_class(
        vision_config=vision_config, text_config=text_config, description_config=description_config, **fields
    )
    model = model_class(config)
    for encoder, tower in (
        (model.image, vision_tower),
        (model.text, text_tower),
        (model.description_encoder, description_tower),
    ):
        if tower is not None:
            encoder.tower.model.load_state_dict(tower.state_dict())
    new = model.image.projection
    if projection is not None and isinstance(new, nn.Linear) and new.weight.shape == projection.weight.shape:
        new.load_state_dict(projection.state_dict())
    return model


def load_pretrained_text_tower(model_class: Any, text: Any, fields: dict[str, Any]) -> Any:
    """Build `model_class` over a pretrained text tower; see `CrossLingualModel.from_pretrained_tower`."""
    text_config, text_tower = load_text_tower(text)
    model = model_class(model_class.config_class(text_config=text_config, **fields))
    if text_tower is not None:
        model.text.tower.model.load_state_dict(text_tower.state_dict())
    return model


def load_dual_encoder(model_class: Any, source: Any, fields: dict[str, Any]) -> Any:
    """Build `model_class` over a dual encoder; see `LeccrModel.from_dual_encoder`.

    Args:
        model_class: The model class, whose `config_class` takes `fields`.
        source: Checkpoint name, folder or model.
        fields: Further configuration fields.

    Raises:
        ValueError: If the source is another kind of model or lacks weights, or a field comes from it.
    """
    if not isinstance(source, PreTrainedModel):
        source = _load_dual_encoder(source)
    _check_family(source)
    taken = _fields_of(source)
    clash = sorted(taken.keys() & fields.keys())
    if clash:
        raise ValueError(f"{clash[0]} comes from the dual encoder; leave it out.")
    defaults = {"slot_anchor": "image", "freeze_vision": True, "freeze_text": True}
    model = model_class(model_class.config_class(**(defaults | taken | fields)))
    _take_tower(model.image.tower.model, source.vision_model)
    _take_tower(model.text.tower.model, source.text_model)
    _take_projections(model, source)
    return model.train(source.training)


def load_vision_tower(vision: Any) -> tuple[PreTrainedConfig | None, nn.Module | None, nn.Module | None]:
    """Return a vision tower's configuration, the tower, and CLIP's projection where the checkpoint has one.

    Args:
        vision: Checkpoint name or folder; a configuration or None comes back by itself.

    Raises:
        ValueError: If the checkpoint lacks weights.
    """
    if vision is None or isinstance(vision, PreTrainedConfig):
        return vision, None, None
    config = AutoConfig.from_pretrained(vision, trust_remote_code=False)
    # A bare CLIPVisionModel is saved without the projection.
    bare = "CLIPVisionModel" in (config.architectures or ())
    if config.model_type in ("clip", "clip_vision_model") and not bare:
        config = getattr(config, "vision_config", config)
        model = _complete(CLIPVisionModelWithProjection, vision, config)
        return config, model.vision_model, model.visual_projection
    config = getattr(config, "vision_config", config)
    return config, without_pooler(_complete(AutoModel, vision, config)), None


def load_text_tower(text: Any) -> tuple[PreTrainedConfig | None, nn.Module | None]:
    """Return a text tower's configuration and the tower.

    Args:
        text: Checkpoint name or folder; a configuration or None comes back by itself.

    Raises:
        ValueError: If the checkpoint lacks weights.
    """
    if text is None or isinstance(text, PreTrainedConfig):
        return text, None
    config = AutoConfig.from_pretrained(text, trust_remote_code=False)
    config = getattr(config, "text_config", config)
    return config, without_pooler(_complete(AutoModel, text, config))


def _complete(auto_class: Any, name: str | os.PathLike[str], config: PreTrainedConfig) -> PreTrainedModel:
    model, report = auto_class.from_pretrained(name, config=config, output_loading_info=True, trust_remote_code=False)
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
        model = AutoModel.from_config(config, trust_remote_code=False).eval()
        states = model(pixel_values=torch.empty(1, config.num_channels, height, width)).last_hidden_state
    return states.shape[1] if states.dim() == 4 else states.shape[-1]


def _load_dual_encoder(name: Any) -> PreTrainedModel:
    model, report = AutoModel.from_pretrained(name, output_loading_info=True, trust_remote_code=False)
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(f"{name} lacks {len(missing)} weights, the first is {missing[0]}; give a complete checkpoint.")
    return model


def _check_family(source: PreTrainedModel) -> None:
    if source.config.model_type not in FAMILIES:
        raise ValueError(
            f"{type(source).__name__} ({source.config.model_type}) is not a dual encoder known here; give one of these "
            f"kinds: {', '.join(FAMILIES)}."
        )
    text = source.text_model.config.model_type
    if source.config.model_type == "vision-text-dual-encoder" and text == "siglip_text_model":
        raise ValueError("SigLIP's text tower under a VisionTextDualEncoderModel is not known here; give the SigLIP.")
    pooler = getattr(source.text_model, "pooler", None)
    if text not in TEXT_POOLINGS and not isinstance(getattr(pooler, "activation", None), nn.Tanh):
        raise ValueError(f"The text tower {text} has no pooling layer like BERT's; give a dual encoder over another.")


def _fields_of(source: PreTrainedModel) -> dict[str, Any]:
    """Return the configuration fields that the dual encoder decides."""
    vision, text = source.vision_model, source.text_model
    projection, text_layer = _projections(source)
    width, kind = text_layer.out_features, text.config.model_type
    scale, bias = source.logit_scale.item(), getattr(source, "logit_bias", None)
    return {
        "vision_config": vision.config,
        "text_config": text.config,
        "visual_feature_dim": vision.config.hidden_size,
        "projection_dim": width,
        "interaction_dim": width,
        "vision_projection": projection is not None,
        "vision_summary": "first",
        "vision_pooler": _has_learned_pooler(vision),
        "text_pooling": TEXT_POOLINGS.get(kind, "cls"),
        "text_head": "linear" if kind in TEXT_POOLINGS else "pooler",
        "logit_scale_init_value": scale,
        # Some room above: a clamped temperature has no gradient.
        "max_inverse_temperature": max(100.0, 2.0 * math.exp(scale)),
        "logit_bias": 0.0 if bias is None else bias.item(),
    }


def _projections(source: PreTrainedModel) -> tuple[nn.Linear | None, nn.Linear]:
    """Return the last linear layers of the image side, where there is one, and of the text side."""
    if source.config.model_type == "siglip":
        return None, source.text_model.head
    return source.visual_projection, source.text_projection


def _has_learned_pooler(vision: nn.Module) -> bool:
    pooler = getattr(vision, "pooler", None)
    return pooler is not None and next(pooler.parameters(), None) is not None


def _take_tower(tower: nn.Module, source: nn.Module) -> None:
    weights = source.state_dict()
    tower.load_state_dict({name: weights[name] for name in tower.state_dict()})


def _take_projections(model: Any, source: PreTrainedModel) -> None:
    projection, text_layer = _projections(source)
    if projection is not None:
        model.image.projection.load_state_dict(projection.state_dict())
    bias = torch.zeros(text_layer.out_features) if text_layer.bias is None else text_layer.bias
    model.text.head.output.load_state_dict({"weight": text_layer.weight, "bias": bias})
    if model.config.text_head == "pooler":
        model.text.head.hidden.load_state_dict(source.text_model.pooler.dense.state_dict())
