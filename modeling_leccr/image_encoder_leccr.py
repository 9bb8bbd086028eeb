"""Pictures, videos or features, with their descriptions, into the shared space."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig

from .base_leccr import Tower, build_tower, without_pooler
from .configuration_leccr import LeccrConfig
from .interaction_leccr import Description, LateFusion, SentenceSlots, SlotInteraction, build_anchor
from .layers_leccr import CrossAttentionStack, FeatureStandardizer, LearnedShare, SpaceProjection, masked_mean
from .outputs_leccr import LeccrImageOutput
from .pretrained_leccr import load_vision_tower

TOWERS_WITHOUT_CLASS_TOKEN = ("siglip_vision_model", "siglip2_vision_model", "swin", "swinv2")
TOWERS_WITH_UNNORMALISED_TOKENS = ("clip_vision_model", "metaclip_2_vision_model", "altclip_vision_model")


class VisionTower(Tower):
    """Turns pictures or frames into tokens (B, N, F), with one that sums up the whole picture in front.

    Args:
        config: Configuration of any vision tower that `AutoModel` knows.
        grid: Average-pool a CNN's feature map to this many rows and columns; None keeps every position.
        pooler: Whether a ViT's learned pooling layer makes the summary token.
        interpolate: Whether a ViT's position embeddings are interpolated to the picture's size.
    """

    def __init__(
        self, config: PreTrainedConfig, grid: int | None = None, pooler: bool = False, interpolate: bool = False
    ) -> None:
        super().__init__()
        # A CNN refuses every attention implementation but the one that asks for nothing.
        attention = {} if hasattr(config, "num_attention_heads") else {"attn_implementation": "eager"}
        model = build_tower(config, **attention)
        self.model = model if pooler else without_pooler(model)
        self.model_type = config.model_type
        self.grid = grid
        self.pooler = pooler
        self.interpolate = interpolate

    @classmethod
    def from_pretrained(cls, name: Any, grid: int | None = None, interpolate: bool = False) -> "VisionTower":
        """Load a pretrained tower by itself, in eval mode, to compute features with it.

        Args:
            name: Checkpoint name or folder, as `LeccrModel.from_pretrained_towers` takes it.
            grid: As for the class.
            interpolate: As for the class.

        Raises:
            ValueError: If the checkpoint lacks weights.
        """
        config, weights, _ = load_vision_tower(name)
        tower = cls(config, grid, interpolate=interpolate)
        if weights is not None:
            tower.model.load_state_dict(weights.state_dict())
        tower.eval()
        return tower

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Encode pictures (B, 3, H, W) to tokens (B, N, F), or frames (B, T, 3, H, W) to one token each (B, T, F)."""
        if pixel_values.dim() == 5:
            tokens = self._picture_tokens(pixel_values.flatten(0, 1))[:, 0]
            return tokens.unflatten(0, pixel_values.shape[:2])
        return self._picture_tokens(pixel_values)

    def _picture_tokens(self, pixel_values: Tensor) -> Tensor:
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

    def _map_tokens(self, feature_map: Tensor) -> Tensor:
        mean = feature_map.mean(dim=(2, 3)).unsqueeze(1)
        if self.grid is not None:
            feature_map = functional.adaptive_avg_pool2d(feature_map, self.grid)
        return torch.cat([mean, feature_map.flatten(2).transpose(1, 2)], dim=1)

    def _post_layernorm(self) -> nn.Module:
        # Newer transformers keep the tower's parts at the top, older ones one level below.
        return getattr(self.model, "vision_model", self.model).post_layernorm


def visual_projection(config: LeccrConfig) -> nn.Module:
    """Return what projects visual tokens (..., F) to the interaction's width (..., d)."""
    width, hidden = config.interaction_dim, config.visual_hidden_dim
    if not hidden:
        return nn.Linear(config.visual_feature_dim, width, bias=False)
    first, dropout = nn.Linear(config.visual_feature_dim, hidden), nn.Dropout(config.visual_dropout)
    return nn.Sequential(first, nn.GELU(), dropout, nn.Linear(hidden, width, bias=False))


class ImageEncoder(nn.Module):
    """Embeds images: visual tokens are projected, and interact with the slots of a description where there are slots.

    Args:
        config: The network's configuration.
        description_dim: Width H of the description encoder's token states.
    """

    anchor: Any

    def __init__(self, config: LeccrConfig, description_dim: int) -> None:
        super().__init__()
        self.config = config
        width, input_dim, heads = config.interaction_dim, config.visual_feature_dim, config.interaction_heads
        self.tower = None if config.vision_config is None else self._build_tower(config)
        self.standardizer = FeatureStandardizer(input_dim) if config.vision_standardize else None
        self.dropout = nn.Dropout(config.visual_dropout)
        self.projection = visual_projection(config) if config.vision_projection else None
        self.visual_layers = CrossAttentionStack(config.visual_layers, width, heads, config.dropout)
        self.head = SpaceProjection(width, config.projection_dim)
        self.interaction, self.slot_head, self.anchor = None, None, None
        if config.num_slots:
            self.interaction = SlotInteraction(config, description_dim)
            self.slot_head = nn.Linear(width, config.projection_dim)
            self.anchor = build_anchor(config, description_dim)
        self.fusion = LateFusion(config) if config.description_fusion and not config.num_slots else None
        self.sentence_slots = SentenceSlots(config) if config.has_sentences else None
        self.learned_alpha = LearnedShare(config.alpha) if config.learn_alpha else None

    @staticmethod
    def _build_tower(config: LeccrConfig) -> VisionTower:
        return VisionTower(
            config.vision_config, config.vision_grid, config.vision_pooler, config.interpolate_pos_encoding
        )

    def forward(
        self, features: Tensor, mask: Tensor | None, description: Description | None, output_attentions: bool = False
    ) -> LeccrImageOutput:
        """Embed images.

        Args:
            features: Visual tokens (B, N, F), ready-made or of the tower.
            mask: Boolean (B, N), false at padding; None if all tokens are real.
            description: Their encoded descriptions, or None.
            output_attentions: Whether to return what each slot attends to.
        """
        tokens = self._project(features, mask)
        image = own_image = self._embed(tokens, mask)
        slots, interacted_tokens, interacted_slots, slot_embeds, view_mask = [None] * 5
        if self.interaction is not None:
            slots, interacted_tokens, interacted_slots = self.interaction(tokens, mask, description)
            slot_embeds, image = self.anchor(
                self.slot_head(interacted_slots), image, self._embed(interacted_tokens, mask), description
            )
        elif self.fusion is not None:
            image = self.fusion(image, description)
        if self.sentence_slots is not None:
            # Not the fused image, which has the other sentences in it already.
            beside = image if self.fusion is None else own_image
            slot_embeds, view_mask = self._with_sentences(slot_embeds, beside, description)
        views = image.unsqueeze(1)
        if slot_embeds is not None:
            views = self.alpha * views + (1.0 - self.alpha) * slot_embeds
        output = LeccrImageOutput(image, views, slot_embeds, tokens, slots, interacted_tokens, interacted_slots)
        output.view_mask, output.undescribed_embeds = view_mask, own_image
        if output_attentions and self.interaction is not None:
            self._add_attentions(output, mask, description)
        return output

    @property
    def alpha(self) -> Tensor | float:
        """Weight of the whole image against the best slot."""
        return self.config.alpha if self.learned_alpha is None else self.learned_alpha()

    def _with_sentences(
        self, slot_embeds: Tensor | None, image: Tensor, description: Description | None
    ) -> tuple[Tensor, Tensor]:
        """Return the slots, those of sentences behind the others, and which of them are real, (B, K, D) and (B, K)."""
        sentences, real = self.sentence_slots(image, description)
        if slot_embeds is None:
            return sentences, real
        others = torch.ones(slot_embeds.shape[:2], dtype=torch.bool, device=real.device)
        return torch.cat([slot_embeds, sentences.to(slot_embeds.dtype)], dim=1), torch.cat([others, real], dim=1)

    def set_feature_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Store the mean and the standard deviation (F,) of each visual channel, for `vision_standardize`."""
        if self.standardizer is None:
            raise ValueError("This model does not standardise visual features; set vision_standardize=True.")
        self.standardizer.set(mean, deviation.clamp(min=1e-6))

    def _project(self, features: Tensor, mask: Tensor | None) -> Tensor:
        if self._only_summary_counts():
            features = features[:, :1]
        features = features.to(self.head.weight.dtype)
        if self.standardizer is not None:
            features = self.standardizer(features)
        features = self.dropout(features)
        if self.projection is not None:
            features = self.projection(features)
        return self.visual_layers(features, mask=mask)

    def _only_summary_counts(self) -> bool:
        config = self.config
        return not config.num_slots and not config.visual_layers and config.vision_summary == "first"

    def _embed(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        summary = tokens[:, 0] if self.config.vision_summary == "first" else masked_mean(tokens, mask)
        return functional.normalize(self.head(summary), dim=-1)

    def _add_attentions(self, output: LeccrImageOutput, mask: Tensor | None, description: Description | None) -> None:
        if self.config.interaction_layers:
            output.slot_vision_attentions = self.interaction.slots_from_vision.last_attention(
                output.slots, output.vision_tokens, mask
            )
        if description is not None:
            anchored = self.config.slot_anchor != "none"
            source = self.anchor.attention if anchored else self.interaction.description_attention
            output.slot_description_attentions = source(description) * description.present.unsqueeze(-1)
