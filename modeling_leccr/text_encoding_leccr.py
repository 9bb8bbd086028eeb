"""What the networks with a text tower share: embeddings of texts, their temperature and first weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .inputs_leccr import check_text_inputs
from .layers_leccr import FeatureStandardizer, Gate, LearnedTokens, SpaceProjection, TextHead
from .towers_leccr import TextTower

MAX_LOGIT_SCALE = 100.0


class TextEncoding:
    """The text side of a network; a class takes it in front of `PreTrainedModel`.

    The class sets `text_tower`, `text_projection` and `logit_scale`, under which names their weights are saved.
    """

    config: Any
    training: bool
    text_tower: TextTower
    text_projection: TextHead
    logit_scale: Gate

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (LearnedTokens, Gate, FeatureStandardizer, SpaceProjection)):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Embed texts (B, L) of any language: (B, D), unit length."""
        return self._encode_texts(input_ids, attention_mask)[0]

    def _encode_texts(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return embeddings (B, D), token states (B, L, H) and the mask (B, L) of the tokens that the tower saw."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        check_text_inputs(input_ids, attention_mask)
        mask = self._visible_tokens(attention_mask)
        states = self.text_tower(input_ids, mask)
        embeds = functional.normalize(self.text_projection(self.text_tower.pool(states, mask, input_ids)), dim=-1)
        return embeds, states, mask

    def _embed_captions(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Embed the captions (B, C, L) of an evaluation batch: (B, C, D)."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        embeds = self.get_text_features(input_ids.flatten(0, 1), attention_mask.flatten(0, 1))
        return embeds.unflatten(0, input_ids.shape[:2])

    def _visible_tokens(self, mask: Tensor) -> Tensor:
        if not (self.training and self.config.token_dropout):
            return mask
        kept = torch.rand(mask.shape, device=mask.device) >= self.config.token_dropout
        # Not the first column, which is padding where a tokenizer pads on the left.
        first_real = mask.bool() & (mask.long().cumsum(dim=1) == 1)
        return mask * (kept | first_real)

    def _inverse_temperature(self) -> Tensor:
        return self.logit_scale.weight.exp().clamp(max=getattr(self.config, "max_inverse_temperature", MAX_LOGIT_SCALE))
