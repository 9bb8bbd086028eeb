"""Texts of any language into the shared space: a tower of transformers, pooling, and a head."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig

from .base_leccr import Tower, build_tower, is_frozen, without_pooler
from .fields_leccr import check_joined_layers
from .inputs_leccr import check_text_inputs
from .layers_leccr import AddedProjection, FeatureStandardizer, PassingProjection, masked_mean
from .pretrained_leccr import load_text_tower
from .text_layers_leccr import frozen_depth, lower_parts, run_lower, run_upper


class TextTower(Tower):
    """A text encoder of transformers, whose token states (B, L, H) serve queries and descriptions.

    `cache` is None, or what knows the states that frozen layers have for texts: with `layers`, how many of them
    (None for the whole tower), and `look_up(input_ids, seen)`, which returns states (B, L, H), zero at tokens that
    are not `seen`, and which rows (B,) it knows.

    Args:
        config: Configuration of any text encoder that `AutoModel` knows.
        pooling: `"cls"`, `"mean"`, `"eos"` or `"last"`, as `text_pooling` of `LeccrConfig`.
        frozen_layers: How many of its lowest layers run without dropout while they are frozen, as
            `freeze_text_layers` of `LeccrConfig`.
        joined_layers: Which layers' states are joined, as `text_layers` of `LeccrConfig`; None for the last.
    """

    cache: Any = None

    def __init__(
        self, config: PreTrainedConfig, pooling: str, frozen_layers: int = 0, joined_layers: Any = None
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.joined_layers = joined_layers
        self.positions = getattr(config, "max_position_embeddings", None)
        self.pad_token = getattr(config, "pad_token_id", None) or 0
        self.frozen_layers = frozen_layers
        self.end_token = _end_token(config)
        self.model = without_pooler(build_tower(config))

    @classmethod
    def from_pretrained(cls, name: Any, pooling: str, joined_layers: Any = None) -> "TextTower":
        """Load a pretrained tower by itself, in eval mode, to compute states with it.

        Args:
            name: Checkpoint name or folder, as `LeccrModel.from_pretrained_towers` takes it.
            pooling: As for the class.
            joined_layers: As for the class.

        Raises:
            ValueError: If the checkpoint lacks weights, or one of the layers.
        """
        config, weights = load_text_tower(name)
        check_joined_layers(joined_layers, config)
        tower = cls(config, pooling, joined_layers=joined_layers)
        tower.model.load_state_dict(weights.state_dict())
        tower.eval()
        return tower

    def train(self, mode: bool = True) -> "TextTower":
        """Set training mode as far as there is something to train."""
        super().train(mode)
        for part in self.frozen_parts():
            if is_frozen(part):
                part.eval()
        return self

    def frozen_parts(self) -> list[nn.Module]:
        """Return the embeddings and the lowest layers, as many as `freeze_text_layers` says; none if it is 0."""
        return lower_parts(self.model, self.frozen_layers)

    def frozen_depth(self) -> int:
        """Return how many of the lowest layers are frozen now, together with the embeddings."""
        return frozen_depth(self.model)

    def padded(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return texts (B, L) and their mask with as much padding as the tower needs."""
        if self.pooling != "last" or not self.positions:
            return input_ids, attention_mask
        # The padding stands for the text: there has to be as much as in training, whoever tokenized.
        missing = (0, self.positions - input_ids.shape[1])
        padded = functional.pad(input_ids, missing, value=self.pad_token)
        return padded, functional.pad(attention_mask, missing)

    def seen(self, attention_mask: Tensor) -> Tensor:
        """Return which tokens (B, L) the tower sees: the text, or also padding where that stands for it."""
        return torch.ones_like(attention_mask) if self.pooling == "last" else attention_mask

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return token states (B, L, H); those of a text without any token are finite, and mean nothing."""
        if self.cache is not None:
            return self._from_cache(input_ids, attention_mask)
        return self._run(self._inputs(input_ids, attention_mask))

    def _run(self, inputs: dict[str, Tensor | None]) -> Tensor:
        """Return the token states (B, L, H) of the last layer, or of several in one."""
        if not self.joined_layers:
            return self.model(**inputs).last_hidden_state
        states = self.model(**inputs, output_hidden_states=True).hidden_states
        return torch.cat([states[number] for number in self.joined_layers], dim=-1)

    def _inputs(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor | None]:
        """Return what the tower takes."""
        if self.pooling == "last":
            return {"input_ids": input_ids, "attention_mask": None}
        # An encoder fed nothing but padding returns NaN.
        empty = (~attention_mask.bool().any(dim=1, keepdim=True)).to(attention_mask.dtype)
        return {"input_ids": input_ids, "attention_mask": attention_mask + empty}

    def _from_cache(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return token states (B, L, H) of frozen layers as stored, or pooled ones (B, 1, H); run the layers above."""
        layers = self.cache.layers
        states, known = self.cache.look_up(input_ids, self.seen(attention_mask))
        states, unknown = states.to(input_ids.device, self.model.dtype), ~known.to(input_ids.device)
        if unknown.any():
            states[unknown] = self._unknown(input_ids[unknown], attention_mask[unknown], states).to(states.dtype)
        return states if layers is None else self.upper(states, input_ids, attention_mask, layers)

    @torch.no_grad()
    def _unknown(self, input_ids: Tensor, attention_mask: Tensor, stored: Tensor) -> Tensor:
        """Return the states of texts that are not stored, pooled if the `stored` ones are."""
        states = self.lower(input_ids, attention_mask, self.cache.layers)
        if stored.shape[1] == input_ids.shape[1]:
            return states
        return self.pool(states, attention_mask, input_ids).unsqueeze(1)

    def lower(self, input_ids: Tensor, attention_mask: Tensor, layers: int | None) -> Tensor:
        """Return the states (B, L, H) after the lowest layers, or of the whole tower where `layers` is None."""
        inputs = self._inputs(input_ids, attention_mask)
        return self._run(inputs) if layers is None else run_lower(self.model, layers, **inputs)

    def upper(self, states: Tensor, input_ids: Tensor, attention_mask: Tensor, layers: int) -> Tensor:
        """Return the tower's token states (B, L, H) of what `lower` returned."""
        return run_upper(self.model, layers, states, **self._inputs(input_ids, attention_mask))

    def pool(self, states: Tensor, attention_mask: Tensor, input_ids: Tensor | None = None) -> Tensor:
        """Return one vector (B, H) per text of the states (B, L, H), or pooled ones; `"eos"` needs the `input_ids`."""
        if self.cache is not None and states.shape[1] < attention_mask.shape[1]:
            return states[:, 0]
        if self.pooling == "mean":
            return masked_mean(states, attention_mask.bool())
        if self.pooling == "last":
            return states[:, -1]
        # Not always in the first column: some tokenizers pad on the left.
        marks = attention_mask.long() if self.pooling == "cls" else self._ends(input_ids)
        return states[torch.arange(states.shape[0], device=states.device), marks.argmax(dim=1)]

    def _ends(self, input_ids: Tensor) -> Tensor:
        """Return numbers (B, L) whose first largest is at the end-of-text token."""
        return input_ids if self.end_token is None else (input_ids == self.end_token).long()


class TextHead(nn.Module):
    """Projection of text states to the shared space: linear as published, or with one hidden layer.

    The `"mlp"` head normalises first: it is for text towers trained from scratch, whose embeddings may have any
    length. The `"residual"` head adds such an `"mlp"`, which starts at zero, to a linear map that starts by passing
    states on: it is for towers that stay as they are. The `"pooler"` head is the pooling layer of BERT and its kin,
    tanh(W·state), under a linear one.

    Args:
        input_dim: Width of the text tower.
        output_dim: Width D of the shared space.
        kind: `"linear"`, `"mlp"`, `"residual"` or `"pooler"`.
        dropout: Dropout before the last layer of the `"mlp"` and `"residual"` heads.
        standardize: Whether states are standardised by stored means and deviations first.
    """

    def __init__(self, input_dim: int, output_dim: int, kind: str, dropout: float, standardize: bool = False) -> None:
        super().__init__()
        has_mlp = kind in ("mlp", "residual")
        hidden_dim = 2 * output_dim if has_mlp else input_dim
        self.standardizer = FeatureStandardizer(input_dim) if standardize else None
        self.skip = PassingProjection(input_dim, output_dim) if kind == "residual" else None
        self.norm = nn.LayerNorm(input_dim) if has_mlp else None
        self.hidden = None if kind == "linear" else nn.Linear(input_dim, hidden_dim)
        self.dropout = nn.Dropout(dropout)
        self.output = (nn.Linear if self.skip is None else AddedProjection)(hidden_dim, output_dim)

    def forward(self, states: Tensor) -> Tensor:
        """Map (..., input_dim) to (..., output_dim)."""
        states = states if self.standardizer is None else self.standardizer(states)
        hidden = states
        if self.norm is not None:
            hidden = self.dropout(functional.gelu(self.hidden(self.norm(states))))
        elif self.hidden is not None:
            hidden = self.hidden(states).tanh()
        output = self.output(hidden)
        return output if self.skip is None else self.skip(states) + output


class TextEncoder(nn.Module):
    """Embeds texts. Both networks have one for captions and queries, so that one can start from the other's.

    Args:
        tower_config: Configuration of the tower.
        config: The network's configuration, which says how texts are pooled, projected and disturbed.
        is_own: Whether the configuration's other fields of the text tower are meant for this one: not for an encoder of
            descriptions.
    """

    def __init__(self, tower_config: PreTrainedConfig, config: Any, is_own: bool = True) -> None:
        super().__init__()
        frozen_layers, joined_layers = (config.freeze_text_layers, config.text_layers) if is_own else (0, None)
        self.width = text_width(tower_config) * len(joined_layers or (1,))
        self.token_dropout = config.token_dropout
        self.tower = TextTower(tower_config, config.text_pooling, frozen_layers, joined_layers)
        standardized = is_own and config.text_standardize
        self.head = TextHead(self.width, config.projection_dim, config.text_head, config.dropout, standardized)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Embed texts (B, L).

        Returns:
            Embeddings (B, D) of unit length, token states (B, L, H), and the mask (B, L) of the tokens that the tower
            saw.

        Raises:
            ValueError: If a text has no token at all.
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        check_text_inputs(input_ids, attention_mask, self.tower.positions)
        input_ids, attention_mask = self.tower.padded(input_ids, attention_mask)
        mask = self.hide_tokens(attention_mask)
        states = self.tower(input_ids, mask)
        return self.embed(states, mask, input_ids), states, mask

    def embed_captions(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Embed the captions (B, C, L) of an evaluation batch: (B, C, D)."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        embeds, _, _ = self(input_ids.flatten(0, 1), attention_mask.flatten(0, 1))
        return embeds.unflatten(0, input_ids.shape[:2])

    def embed(self, states: Tensor, mask: Tensor, input_ids: Tensor) -> Tensor:
        """Return unit embeddings (B, D) of the tower's token states (B, L, H)."""
        return functional.normalize(self.head(self.tower.pool(states, mask, input_ids)), dim=-1)

    def hide_tokens(self, mask: Tensor) -> Tensor:
        """Return the mask (B, L) without the tokens that training hides; the first real one always stays."""
        if not (self.training and self.token_dropout):
            return mask
        kept = torch.rand(mask.shape, device=mask.device) >= self.token_dropout
        # Not the first column, which is padding where a tokenizer pads on the left.
        first_real = mask.bool() & (mask.long().cumsum(dim=1) == 1)
        return mask * (kept | first_real)


def text_width(config: PreTrainedConfig) -> int:
    """Return the width H of a text tower's token states."""
    return config.project_dim if config.model_type == "altclip_text_model" else config.hidden_size


def _end_token(config: PreTrainedConfig) -> int | None:
    """Return the id of the end-of-text token; None where it is the largest in every text."""
    # OpenAI's configurations name a wrong one, 2, which transformers reads in this way, too.
    if config.model_type == "clip_text_model" and config.eos_token_id == 2:
        return None
    return getattr(config, "eos_token_id", None)
