"""The two towers of a LECCR model: a thin shell around any vision and any text encoder of transformers."""

from typing import Any

import torch
import transformers
from torch import nn
from torch.nn import functional
from transformers import AutoModel, PreTrainedConfig

from .configuration_leccr import LeccrConfig

# Halves of dual encoders that AutoModel does not know by themselves.
CLASS_NAMES = {
    "altclip_text_model": "AltCLIPTextModel",
    "altclip_vision_model": "AltCLIPVisionModel",
    "metaclip_2_text_model": "MetaClip2TextModel",
    "metaclip_2_vision_model": "MetaClip2VisionModel",
    "siglip_text_model": "SiglipTextModel",
}
TOWERS_WITHOUT_CLASS_TOKEN = ("siglip_vision_model", "siglip2_vision_model", "swin", "swinv2")
TOWERS_WITH_UNNORMALISED_TOKENS = ("clip_vision_model", "metaclip_2_vision_model", "altclip_vision_model")


def masked_mean(states: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Average `states` (B, N, d) over the positions where `mask` (B, N) is true; no mask means all of them."""
    if mask is None:
        return states.mean(dim=1)
    weights = mask.to(states.dtype).unsqueeze(-1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


class VisionTower(nn.Module):
    """Turns pictures or frames into tokens (B, N, F), with one that sums up the whole picture in front.

    Args:
        config: The model's configuration; `vision_config` says which tower.
    """

    def __init__(self, config: LeccrConfig) -> None:
        super().__init__()
        # A CNN refuses every attention implementation but the one that asks for nothing.
        attention = {} if hasattr(config.vision_config, "num_attention_heads") else {"attn_implementation": "eager"}
        self.model = _build(config.vision_config, **attention)
        if not config.vision_pooler:
            without_pooler(self.model)
        self.pooler = config.vision_pooler
        self.model_type = config.vision_config.model_type
        self.grid = config.vision_grid
        self.interpolate = config.interpolate_pos_encoding

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Encode pictures (B, 3, H, W) to tokens (B, N, F), or frames (B, T, 3, H, W) to one token each (B, T, F)."""
        if pixel_values.dim() == 5:
            tokens = self._picture_tokens(pixel_values.flatten(0, 1))[:, 0]
            return tokens.unflatten(0, pixel_values.shape[:2])
        return self._picture_tokens(pixel_values)

    def _picture_tokens(self, pixel_values: torch.Tensor) -> torch.Tensor:
        extra = {"interpolate_pos_encoding": True} if self.interpolate else {}
        output = self.model(pixel_values=pixel_values.to(self.model.dtype), **extra)
        states = output.last_hidden_state
        if states.dim() == 4:
            return self._map_tokens(states)
        if self.model_type in TOWERS_WITH_UNNORMALISED_TOKENS:
            return self._post_layernorm()(states)
        if self.model_type in TOWERS_WITHOUT_CLASS_TOKEN:
            return torch.cat([output.pooler_output.unsqueeze(1), states], dim=1)
        if self.pooler:
            return torch.cat([output.pooler_output.unsqueeze(1), states[:, 1:]], dim=1)
        return states

    def _map_tokens(self, feature_map: torch.Tensor) -> torch.Tensor:
        mean = feature_map.mean(dim=(2, 3)).unsqueeze(1)
        if self.grid is not None:
            feature_map = functional.adaptive_avg_pool2d(feature_map, self.grid)
        return torch.cat([mean, feature_map.flatten(2).transpose(1, 2)], dim=1)

    def _post_layernorm(self) -> nn.Module:
        # Newer transformers keep the tower's parts at the top, older ones one level below.
        return getattr(self.model, "vision_model", self.model).post_layernorm


class TextTower(nn.Module):
    """A text encoder whose token states (B, L, H) serve queries and descriptions.

    Args:
        config: Configuration of any text encoder that `AutoModel` knows.
        pooling: `"cls"`, `"mean"`, `"eos"` or `"last"`, as `text_pooling` of `LeccrConfig`.
    """

    def __init__(self, config: PreTrainedConfig, pooling: str) -> None:
        super().__init__()
        self.pooling = pooling
        self.end_token = _end_token(config)
        self.model = without_pooler(_build(config))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return token states (B, L, H)."""
        # Where the padding stands for the text, the tower was trained to see it.
        mask = None if self.pooling == "last" else attention_mask
        return self.model(input_ids=input_ids, attention_mask=mask).last_hidden_state

    def pool(
        self, states: torch.Tensor, attention_mask: torch.Tensor, input_ids: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return one vector (B, H) per text of the token states (B, L, H); `"eos"` needs the `input_ids`."""
        if self.pooling == "mean":
            return masked_mean(states, attention_mask.bool())
        if self.pooling == "last":
            return states[:, -1]
        # Not always in the first column: some tokenizers pad on the left.
        places = attention_mask.long() if self.pooling == "cls" else self._ends(input_ids)
        return states[torch.arange(states.shape[0], device=states.device), places.argmax(dim=1)]

    def _ends(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return numbers (B, L) whose first largest is at the end-of-text token."""
        return input_ids if self.end_token is None else (input_ids == self.end_token).long()


def text_width(config: PreTrainedConfig) -> int:
    """Return the width H of a text tower's token states."""
    return config.project_dim if config.model_type == "altclip_text_model" else config.hidden_size


def _end_token(config: PreTrainedConfig) -> int | None:
    """Return the number of the end-of-text token; None where it is the largest in every text."""
    # OpenAI's configurations name a wrong one, 2, which transformers reads in this way, too.
    if config.model_type == "clip_text_model" and config.eos_token_id == 2:
        return None
    return getattr(config, "eos_token_id", None)


def _build(config: PreTrainedConfig, **attention: str) -> Any:
    name = CLASS_NAMES.get(config.model_type)
    build = AutoModel.from_config if name is None else getattr(transformers, name)._from_config
    # A tower's configuration may name the precision of the checkpoint it came from; the whole model has only one.
    return build(config, dtype=torch.get_default_dtype(), **attention)


def without_pooler(model: Any) -> Any:
    """Drop an encoder's learned pooling layer, which nothing here uses and distributed training would trip over."""
    pooler = getattr(model, "pooler", None)
    if pooler is not None and next(pooler.parameters(), None) is not None:
        model.pooler = None
    if model.config.model_type == "siglip_text_model":
        model.head = nn.Identity()
    return model
