"""Semantic slots and their interaction with the visual tokens (section 3.2 of arXiv 2409.19961)."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from .configuration_leccr import LeccrConfig
from .layers_leccr import CrossAttentionStack, Gate, LearnedTokens


@dataclass
class Description:
    """Encoded descriptions of a batch.

    Attributes:
        states: Token states (B, L, H) of the encoder.
        mask: Boolean mask (B, L); a row without a description is all false.
        embedding: One vector per description in the queries' space (B, D), unit length.
        head: Projects pooled states (..., H) to the queries' space (..., D).
    """

    states: torch.Tensor
    mask: torch.Tensor
    embedding: torch.Tensor
    head: nn.Module

    @property
    def present(self) -> torch.Tensor:
        """Boolean (B, 1): which rows have a description."""
        return self.mask.any(dim=1, keepdim=True)


class SlotInteraction(nn.Module):
    """Distils a description into K slots and lets slots and visual tokens attend to each other.

    M = CA_q(Q; W_e E), then side by side Ẑ = CA_v(Z; M) and M̂ = CA_m(M; Z). Where an image has no description, one
    learned token takes the place of W_e E.

    Args:
        config: The model's configuration.
        description_dim: Width H of the description encoder's states.
    """

    def __init__(self, config: LeccrConfig, description_dim: int) -> None:
        super().__init__()
        width, heads, dropout = config.interaction_dim, config.interaction_heads, config.dropout
        self.description_projection = nn.Linear(description_dim, width)
        self.no_description = LearnedTokens(1, width, config.initializer_range)
        # Queries need to differ by more than numerical noise, whatever the range of the other weights.
        self.queries = LearnedTokens(config.num_slots, width, max(config.initializer_range, 0.02))
        self.slots_from_description = CrossAttentionStack(config.slot_layers, width, heads, dropout)
        self.vision_from_slots = CrossAttentionStack(config.interaction_layers, width, heads, dropout)
        self.slots_from_vision = CrossAttentionStack(config.interaction_layers, width, heads, dropout)

    def forward(
        self, vision_tokens: torch.Tensor, vision_mask: torch.Tensor | None, description: Description | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return slots M (B, K, d), interacted visual tokens Ẑ (B, N, d), interacted slots M̂ (B, K, d)."""
        memory, memory_mask = self.memory(description, vision_tokens.shape[0])
        queries = self.queries.weight.expand(vision_tokens.shape[0], -1, -1)
        slots = self.slots_from_description(queries, memory, memory_mask)
        interacted_tokens = self.vision_from_slots(vision_tokens, slots)
        interacted_slots = self.slots_from_vision(slots, vision_tokens, vision_mask)
        return slots, interacted_tokens, interacted_slots

    def description_attention(self, description: Description) -> torch.Tensor:
        """Return how much each slot takes from each description token in the last layer, (B, K, L)."""
        batch_size = len(description.mask)
        queries = self.queries.weight.expand(batch_size, -1, -1)
        return self.slots_from_description.last_attention(queries, *self.memory(description, batch_size))

    def memory(self, description: Description | None, batch_size: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what the slot queries attend to, (B, L, d), and its mask (B, L)."""
        fallback = self.no_description.weight.expand(batch_size, 1, -1)
        if description is None:
            return fallback, None
        projected = self.description_projection(description.states)
        present = description.present
        memory = torch.where(present.unsqueeze(-1), projected, fallback.to(projected.dtype))
        first = torch.arange(memory.shape[1], device=memory.device) == 0
        return memory, description.mask | (first & ~present)


class SlotAnchor(nn.Module):
    """Places every slot in the queries' own space: an attention pooling of the description's tokens.

    Not in the paper. At the first step the slots are parts of the description, the image embedding is late fusion, and
    the interaction can only add to both through gates. An image without a description is its own anchor.

    Args:
        config: The model's configuration.
        description_dim: Width H of the description encoder's states.
    """

    def __init__(self, config: LeccrConfig, description_dim: int) -> None:
        super().__init__()
        self.queries = LearnedTokens(config.num_slots, description_dim, max(config.initializer_range, 0.02))
        self.slot_gate = Gate(0.0)
        self.image_gate = Gate(1.0 if config.slot_anchor == "text" else 0.0)

    def attention(self, description: Description) -> torch.Tensor:
        """Return how much each slot takes from each description token, (B, K, L); rows sum to one."""
        scores = torch.einsum("kh,blh->bkl", self.queries.weight.to(description.states.dtype), description.states)
        keep = description.mask | ~description.present
        return scores.masked_fill(~keep[:, None, :], float("-inf")).softmax(dim=-1)

    def anchor_slots(
        self, slot_embeds: torch.Tensor, image_embeds: torch.Tensor, description: Description | None
    ) -> torch.Tensor:
        """Return m_k = unit(unit(pooled_k) + g · slot_k), (B, K, D)."""
        anchors = image_embeds.unsqueeze(1).expand_as(slot_embeds)
        if description is not None:
            parts = self.attention(description) @ description.states
            pooled = functional.normalize(description.head(parts), dim=-1)
            anchors = torch.where(description.present.unsqueeze(-1), pooled, anchors.to(pooled.dtype))
        return functional.normalize(anchors + self.slot_gate.weight * slot_embeds, dim=-1)

    def anchor_image(self, image_embeds: torch.Tensor, description: Description | None) -> torch.Tensor:
        """Return v = unit(v + g' · description), (B, D)."""
        return fuse(image_embeds, description, self.image_gate.weight)


class ImageAnchor(SlotAnchor):
    """Keeps a dual encoder's own image embedding v0, and adds everything else through gates that start at zero.

    Not in the paper. v = unit(v0 + g_v·interaction + g_d·description), m_k = unit(v0 + g_p·part_k + g_m·slot_k), where
    part k is the attention pooling of the description that `SlotAnchor` takes for an anchor. So the views are
    v0 before training, and their scores those of the dual encoder.

    Args:
        config: The model's configuration.
        description_dim: Width H of the description encoder's states.
    """

    def __init__(self, config: LeccrConfig, description_dim: int) -> None:
        super().__init__(config, description_dim)
        self.part_gate = Gate(0.0)
        self.interaction_gate = Gate(0.0)

    def add_to_slots(
        self, slot_embeds: torch.Tensor, image_embeds: torch.Tensor, description: Description | None
    ) -> torch.Tensor:
        """Return m_k, (B, K, D); the image embeddings (B, D) are v0."""
        total = image_embeds.unsqueeze(1) + self.slot_gate.weight * slot_embeds
        if description is not None:
            parts = description.head(self.attention(description) @ description.states)
            addition = self.part_gate.weight * functional.normalize(parts, dim=-1)
            total = total + addition * description.present.unsqueeze(-1)
        return functional.normalize(total, dim=-1)

    def add_to_image(
        self, image_embeds: torch.Tensor, interacted_embeds: torch.Tensor, description: Description | None
    ) -> torch.Tensor:
        """Return v, (B, D), of v0 and the embeddings of the interacted tokens, both (B, D) and of unit length."""
        total = image_embeds + self.interaction_gate.weight * interacted_embeds
        if description is not None:
            total = total + self.image_gate.weight * description.embedding * description.present
        return functional.normalize(total, dim=-1)


def fuse(image_embeds: torch.Tensor, description: Description | None, gate: torch.Tensor | float = 1.0) -> torch.Tensor:
    """Add the unit description embedding to the unit image embedding and normalise: late fusion, (B, D)."""
    if description is None:
        return image_embeds
    addition = gate * description.embedding * description.present
    return functional.normalize(image_embeds + addition, dim=-1)
