"""Tiny dual encoders of every family, with random weights."""

from typing import Any

import torch
from transformers import (
    AltCLIPConfig,
    AltCLIPModel,
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedModel,
    SiglipConfig,
    SiglipModel,
    VisionTextDualEncoderConfig,
    VisionTextDualEncoderModel,
    ViTConfig,
    ViTModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from .tiny import PICTURE_SIZE, TRANSFORMER, VOCABULARY

LENGTH = 48
"""Positions of each text tower, and what texts for SigLIP are padded to."""
END = 3
"""The end-of-text token."""

PICTURES = TRANSFORMER | {"image_size": PICTURE_SIZE, "patch_size": 8}
SPACE = 16


def _joined(config_class: Any, model_class: Any, vocabulary: int, **text: Any) -> PreTrainedModel:
    texts = TRANSFORMER | {"vocab_size": vocabulary, "max_position_embeddings": LENGTH} | text
    return model_class(config_class(text_config=texts, vision_config=PICTURES, projection_dim=SPACE))


def two_models(vision: PreTrainedModel, text: PreTrainedModel) -> PreTrainedModel:
    config = VisionTextDualEncoderConfig.from_vision_text_configs(vision.config, text.config, projection_dim=SPACE)
    return VisionTextDualEncoderModel(config=config, vision_model=vision, text_model=text)


def _build(family: str, vocabulary: int) -> PreTrainedModel:
    texts: dict[str, Any] = TRANSFORMER | {"vocab_size": vocabulary, "max_position_embeddings": LENGTH + 2}
    match family:
        case "clip":
            return _joined(CLIPConfig, CLIPModel, vocabulary, eos_token_id=END)
        case "clip of OpenAI":
            return _joined(CLIPConfig, CLIPModel, vocabulary, eos_token_id=2)
        case "metaclip 2":
            return _joined(MetaClip2Config, MetaClip2Model, vocabulary, eos_token_id=END)
        case "altclip":
            more = {"project_dim": 24, "pad_token_id": 0, "max_position_embeddings": LENGTH + 2}
            return _joined(AltCLIPConfig, AltCLIPModel, vocabulary, **more)
        case "siglip":
            text = TRANSFORMER | {"vocab_size": vocabulary, "max_position_embeddings": LENGTH, "projection_size": 32}
            return SiglipModel(SiglipConfig(text_config=text, vision_config=PICTURES))
        case "clip and xlm-r":
            vision = CLIPVisionModel(CLIPVisionConfig(**PICTURES))
            return two_models(vision, XLMRobertaModel(XLMRobertaConfig(**texts, pad_token_id=0)))
        case "vit and bert":
            return two_models(ViTModel(ViTConfig(**PICTURES)), BertModel(BertConfig(**texts)))
    raise ValueError(family)


FAMILIES = ("clip", "clip of OpenAI", "metaclip 2", "altclip", "siglip", "clip and xlm-r", "vit and bert")


def dual_encoder(family: str, vocabulary: int = VOCABULARY) -> PreTrainedModel:
    """Return a dual encoder whose weights all differ, in eval mode."""
    torch.manual_seed(0)
    model = _build(family, vocabulary)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model.eval()
