"""Semantic slots and their interaction with the visual tokens (section 3.2 of arXiv 2409.19961)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration_leccr import LeccrConfig
from .layers_leccr import CrossAttentionStack, Gate, LearnedTokens, Trust, masked_mean


@dataclass
class Description:
    """Encoded descriptions of a batch.

    Attributes:
        states: Token states (B, L, H) of the encoder.
        mask: Boolean mask (B, L); a row without a description is all false.
        embedding: One vector per description in the queries' space (B, D), unit length.
        head: Projects pooled states (..., H) to the queries' space (..., D).
        sentences: One vector per sentence in the queries' space (B, S, D), unit length, for sentence slots.
        sentence_mask: Boolean mask (B, S); false where there is no sentence.
    """

    states: Tensor
    mask: Tensor
    embedding: Tensor
    head: nn.Module
    sentences: Tensor | None = None
    sentence_mask: Tensor | None = None

    @property
    def present(self) -> Tensor:
        """Boolean (B, 1): which rows have a description."""
        return self.mask.any(dim=1, keepdim=True)

    def by_sentence(self, count: int) -> "Description":
        """Join encoded sentences (B·S, ...) to the descriptions (B, ...) that have `count`, S, of them each.

        A description's embedding is the mean of its sentences', its tokens are those of all of them.
        """
        sentences, present = self.embedding.unflatten(0, (-1, count)), self.present.view(-1, count)
        states, mask = self.states.unflatten(0, (-1, count)).flatten(1, 2), self.mask.reshape(len(present), -1)
        whole = functional.normalize(masked_mean(sentences, present), dim=-1)
        return Description(states, mask, whole, self.head, sentences, present)


class SlotInteraction(nn.Module):
    """Distils a description into K slots and lets slots and visual tokens attend to each other.

    M = CA_q(Q; W_e E), then side by side Ẑ = CA_v(Z; M) and M̂ = CA_m(M; Z). Where an image has no description, one
    learned token replaces W_e E.

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
        self, vision_tokens: Tensor, vision_mask: Tensor | None, description: Description | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return slots M (B, K, d), interacted visual tokens Ẑ (B, N, d), interacted slots M̂ (B, K, d)."""
        memory, memory_mask = self.memory(description, vision_tokens.shape[0])
        queries = self.queries.weight.expand(vision_tokens.shape[0], -1, -1)
        slots = self.slots_from_description(queries, memory, memory_mask)
        interacted_tokens = self.vision_from_slots(vision_tokens, slots)
        interacted_slots = self.slots_from_vision(slots, vision_tokens, vision_mask)
        return slots, interacted_tokens, interacted_slots

    def description_attention(self, description: Description) -> Tensor:
        """Return how much each slot takes from each description token in the last layer, (B, K, L)."""
        batch_size = len(description.mask)
        queries = self.queries.weight.expand(batch_size, -1, -1)
        return self.slots_from_description.last_attention(queries, *self.memory(description, batch_size))

    def memory(self, description: Description | None, batch_size: int) -> tuple[Tensor, Tensor | None]:
        """Return what the slot queries attend to, (B, L, d), and its mask (B, L)."""
        fallback = self.no_description.weight.expand(batch_size, 1, -1)
        if description is None:
            return fallback, None
        projected = self.description_projection(description.states)
        present = description.present
        memory = torch.where(present.unsqueeze(-1), projected, fallback.to(projected.dtype))
        first = torch.arange(memory.shape[1], device=memory.device) == 0
        return memory, description.mask | (first & ~present)


class PlainSlots(nn.Module):
    """Leaves slots and image as the interaction made them: the published form.

    Args:
        normalize: Whether slot embeddings get unit length.
    """

    def __init__(self, normalize: bool) -> None:
        super().__init__()
        self.normalize = normalize

    def forward(
        self, slot_embeds: Tensor, own_image: Tensor, interacted_image: Tensor, description: Description | None
    ) -> tuple[Tensor, Tensor]:
        """Return slot embeddings (B, K, D) and image embeddings (B, D); inputs as for `SlotAnchor`."""
        return functional.normalize(slot_embeds, dim=-1) if self.normalize else slot_embeds, interacted_image


class SlotAnchor(nn.Module):
    """What every anchor has: an attention pooling of the description's tokens for each slot, and gates.

    Args:
        config: The model's configuration.
        description_dim: Width H of the description encoder's states.
        image_gate: How much of the description joins the image before training.
    """

    def __init__(self, config: LeccrConfig, description_dim: int, image_gate: float) -> None:
        super().__init__()
        self.queries = LearnedTokens(config.num_slots, description_dim, max(config.initializer_range, 0.02))
        self.slot_gate = Gate(0.0)
        self.image_gate = Gate(image_gate)

    def forward(
        self, slot_embeds: Tensor, own_image: Tensor, interacted_image: Tensor, description: Description | None
    ) -> tuple[Tensor, Tensor]:
        """Place slots and image in the queries' own space.

        Args:
            slot_embeds: Projected slots (B, K, D) after the interaction.
            own_image: Embeddings (B, D) of the images before the interaction, of unit length.
            interacted_image: The same after it.
            description: Encoded descriptions, or None.

        Returns:
            Slot embeddings (B, K, D) and image embeddings (B, D).
        """
        raise NotImplementedError

    def attention(self, description: Description) -> Tensor:
        """Return how much each slot takes from each description token, (B, K, L); rows sum to one."""
        scores = torch.einsum("kh,blh->bkl", self.queries.weight.to(description.states.dtype), description.states)
        keep = description.mask | ~description.present
        return scores.masked_fill(~keep[:, None, :], float("-inf")).softmax(dim=-1)

    def parts(self, description: Description) -> Tensor:
        """Return the part of the description that each slot takes, (B, K, D), of unit length."""
        return functional.normalize(description.head(self.attention(description) @ description.states), dim=-1)


class TextAnchor(SlotAnchor):
    """Slots start as parts of the description: m_k = unit(part_k + g · slot_k), v = unit(v + g' · description).

    Not in the paper. At the first step the image embedding is late fusion, and the interaction can only add to both
    through gates. An image without a description is its own anchor.
    """

    def __init__(self, config: LeccrConfig, description_dim: int) -> None:
        super().__init__(config, description_dim, image_gate=1.0)

    def forward(
        self, slot_embeds: Tensor, own_image: Tensor, interacted_image: Tensor, description: Description | None
    ) -> tuple[Tensor, Tensor]:
        """Return slot embeddings (B, K, D) and image embeddings (B, D); inputs as for `SlotAnchor`."""
        anchors = interacted_image.unsqueeze(1).expand_as(slot_embeds)
        if description is not None:
            parts = self.parts(description)
            anchors = torch.where(description.present.unsqueeze(-1), parts, anchors.to(parts.dtype))
        slots = functional.normalize(anchors + self.slot_gate.weight * slot_embeds, dim=-1)
        return slots, fuse(interacted_image, description, self.image_gate.weight)


class ImageAnchor(SlotAnchor):
    """Keeps a dual encoder's own image embedding v0, and adds everything else through gates that start at zero.

    Not in the paper. v = unit(v0 + g_v·interaction + g_d·description), m_k = unit(v0 + g_p·part_k + g_m·slot_k). So the
    views are v0 before training, and their scores those of the dual encoder.
    """

    def __init__(self, config: LeccrConfig, description_dim: int) -> None:
        super().__init__(config, description_dim, image_gate=0.0)
        self.part_gate = Gate(0.0)
        self.interaction_gate = Gate(0.0)

    def forward(
        self, slot_embeds: Tensor, own_image: Tensor, interacted_image: Tensor, description: Description | None
    ) -> tuple[Tensor, Tensor]:
        """Return slot embeddings (B, K, D) and image embeddings (B, D); inputs as for `SlotAnchor`."""
        slots = own_image.unsqueeze(1) + self.slot_gate.weight * slot_embeds
        image = own_image + self.interaction_gate.weight * interacted_image
        if description is not None:
            parts = self.part_gate.weight * self.parts(description)
            slots = slots + parts * description.present.unsqueeze(-1)
            image = image + self.image_gate.weight * description.embedding * description.present
        return functional.normalize(slots, dim=-1), functional.normalize(image, dim=-1)


class LateFusion(nn.Module):
    """Adds the description to the image: v = unit(g·image + w·description), with a gate g and perhaps `Trust` w.

    An image without a description stays as it is.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: LeccrConfig) -> None:
        super().__init__()
        self.fixed_gate = config.fusion_gate
        self.gate = Gate(config.fusion_gate) if config.learn_fusion_gate else None
        self.trust = Trust() if config.description_trust else None

    def forward(self, image: Tensor, description: Description | None) -> Tensor:
        """Return embeddings (B, D) of unit length.

        Args:
            image: Embeddings (B, D) of the images, of unit length.
            description: Their encoded descriptions, or None.
        """
        if description is None:
            return image
        addition = description.embedding
        if self.trust is not None:
            addition = self.trust(image, addition) * addition
        gate = self.fixed_gate if self.gate is None else self.gate.weight
        fused = functional.normalize(gate * image + addition, dim=-1)
        return torch.where(description.present, fused, image.to(fused.dtype))


class SentenceSlots(nn.Module):
    """Places each sentence t_k next to the image v: m_k = unit(g·v + w_k·t_k), with a gate g and perhaps `Trust` w.

    Of late fusion, v is the image before.

    Not in the paper. An image has as many slots as its description has sentences. Without a description it has one, v
    itself, so that its only view is v.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: LeccrConfig) -> None:
        super().__init__()
        self.gate = Gate(config.sentence_gate)
        self.trust = Trust() if config.description_trust else None

    def forward(self, image: Tensor, description: Description | None) -> tuple[Tensor, Tensor]:
        """Return slot embeddings (B, S, D), and which of them are real (B, S).

        Those of absent sentences repeat the image's first real one, which changes no largest inner product.

        Args:
            image: Embeddings (B, D) of the images, of unit length.
            description: Encoded sentences, or None.
        """
        if description is None:
            return image.unsqueeze(1), torch.ones(len(image), 1, dtype=torch.bool, device=image.device)
        images, sentences = image.unsqueeze(1), description.sentences
        if self.trust is not None:
            sentences = self.trust(images, sentences) * sentences
        slots = functional.normalize(self.gate.weight * images + sentences, dim=-1)
        present = description.sentence_mask
        described = present.any(dim=1, keepdim=True)
        first = slots[torch.arange(len(slots), device=slots.device), present.long().argmax(dim=1)]
        filler = torch.where(described, first, image.to(first.dtype)).unsqueeze(1)
        first_column = torch.arange(present.shape[1], device=present.device) == 0
        return torch.where(present.unsqueeze(-1), slots, filler), present | (first_column & ~described)


def build_anchor(config: LeccrConfig, description_dim: int) -> nn.Module:
    """Return what `slot_anchor` names: a module with the inputs and outputs of `SlotAnchor`.

    Args:
        config: The model's configuration.
        description_dim: Width H of the description encoder's states.
    """
    if config.slot_anchor == "none":
        return PlainSlots(config.normalize_slots)
    anchors = {"text": TextAnchor, "image": ImageAnchor}
    return anchors[config.slot_anchor](config, description_dim)


def fuse(image_embeds: Tensor, description: Description | None, gate: Tensor | float = 1.0) -> Tensor:
    """Add the gated unit description embedding to the unit image embedding and normalise, (B, D)."""
    if description is None:
        return image_embeds
    addition = gate * description.embedding * description.present
    return functional.normalize(image_embeds + addition, dim=-1)
