"""The image side of a LECCR network: pictures, videos or features, with their descriptions, into the shared space."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration_leccr import LeccrConfig
from .inputs_leccr import check_description_inputs, check_visual_inputs, check_visual_mask
from .interaction_leccr import Description, ImageAnchor, SlotAnchor, SlotInteraction, fuse
from .layers_leccr import CrossAttentionStack, FeatureStandardizer, SpaceProjection, TextHead
from .outputs_leccr import LeccrImageOutput
from .text_encoding_leccr import TextEncoding
from .towers_leccr import TextTower, VisionTower, masked_mean


class ImageEncoding(TextEncoding):
    """The image side of a network, which needs the text side for descriptions.

    The class sets the layers named here, under which names their weights are saved. Those that a configuration leaves
    out are None.
    """

    config: LeccrConfig
    vision_tower: VisionTower
    standardizer: FeatureStandardizer
    visual_dropout: nn.Dropout
    vision_projection: nn.Linear
    visual_layers: CrossAttentionStack
    image_projection: SpaceProjection
    description_tower: TextTower
    description_head: TextHead
    interaction: SlotInteraction
    slot_projection: nn.Linear
    anchor: SlotAnchor

    def set_feature_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Store the mean and the standard deviation (F,) of each visual channel, for `vision_standardize`."""
        if self.standardizer is None:
            raise ValueError("This model does not standardise visual features; set vision_standardize=True.")
        self.standardizer.mean.copy_(mean)
        self.standardizer.deviation.copy_(deviation.clamp(min=1e-6))

    def get_visual_tokens(self, pixel_values: Tensor) -> Tensor:
        """Return the vision tower's tokens (B, N, F): what `visual_features` takes when they are computed ahead."""
        if self.vision_tower is None:
            raise ValueError("This model has no vision tower; give it visual_features instead of pixel_values.")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.freeze_vision):
            return self.vision_tower(pixel_values)

    def get_image_features(
        self,
        pixel_values: Tensor | None = None,
        description_input_ids: Tensor | None = None,
        description_attention_mask: Tensor | None = None,
        **visual: Any,
    ) -> Tensor:
        """Embed whole images: (B, D), unit length. Inputs as in `encode_images`."""
        return self.encode_images(
            pixel_values, description_input_ids, description_attention_mask, **visual
        ).image_embeds

    def get_image_views(
        self,
        pixel_values: Tensor | None = None,
        description_input_ids: Tensor | None = None,
        description_attention_mask: Tensor | None = None,
        **visual: Any,
    ) -> Tensor:
        """Return views (B, max(K, 1), D): a text's largest inner product with them is the multi-level score.

        s = α·(v·h) + (1−α)·max_k(m_k·h) = max_k(w_k·h) with the views w_k = α·v + (1−α)·m_k, because v·h is the same
        for every k. Inputs as in `encode_images`.
        """
        return self.encode_images(pixel_values, description_input_ids, description_attention_mask, **visual).image_views

    def encode_images(
        self,
        pixel_values: Tensor | None = None,
        description_input_ids: Tensor | None = None,
        description_attention_mask: Tensor | None = None,
        visual_features: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        output_attentions: bool = False,
    ) -> LeccrImageOutput:
        """Encode images or videos, with their descriptions where there are any.

        Args:
            pixel_values: Pictures (B, 3, H, W) or frames (B, T, 3, H, W).
            description_input_ids: (B, L); None when no row has a description.
            description_attention_mask: (B, L); a row of zeros has no description.
            visual_features: (B, N, F) instead of pixels: ready-made, or from `get_visual_tokens`.
            visual_attention_mask: (B, N) or (B, T); zero marks padding.
            output_attentions: Return what each slot attends to, to explain an answer. Without slots there is nothing.

        Returns:
            A `LeccrImageOutput`.

        Raises:
            ValueError: If the inputs contradict each other or the model.
        """
        check_visual_inputs(self.config, pixel_values, visual_features, visual_attention_mask)
        features = visual_features if pixel_values is None else self.get_visual_tokens(pixel_values)
        check_visual_mask(features, visual_attention_mask)
        mask = None if visual_attention_mask is None else visual_attention_mask.bool()
        if self._only_summary_counts():
            features = features[:, :1]
        tokens = self._project_tokens(features, mask)
        description = self._describe(tokens.shape[0], description_input_ids, description_attention_mask)
        if not self.config.num_slots:
            image = self._embed_image(tokens, mask)
            image = fuse(image, description) if self.config.description_fusion else image
            return LeccrImageOutput(image_embeds=image, image_views=image.unsqueeze(1), vision_tokens=tokens)
        output = self._interact(tokens, mask, description)
        if output_attentions:
            self._add_attentions(output, mask, description)
        return output

    def _only_summary_counts(self) -> bool:
        return not self.config.num_slots and not self.config.visual_layers and self.config.vision_summary == "first"

    def _project_tokens(self, features: Tensor, mask: Tensor | None) -> Tensor:
        features = features.to(self.image_projection.weight.dtype)
        if self.standardizer is not None:
            features = self.standardizer(features)
        features = self.visual_dropout(features)
        if self.vision_projection is not None:
            features = self.vision_projection(features)
        return self.visual_layers(features, mask=mask)

    def _embed_image(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        summary = tokens[:, 0] if self.config.vision_summary == "first" else masked_mean(tokens, mask)
        return functional.normalize(self.image_projection(summary), dim=-1)

    def _describe(self, batch_size: int, input_ids: Tensor | None, attention_mask: Tensor | None) -> Description | None:
        if not (self.config.num_slots or self.config.description_fusion):
            return None
        if input_ids is None and self.training:
            # Rows without a description: distributed training stops at weights that take no part in the loss.
            device = self.image_projection.weight.device
            input_ids = torch.zeros(batch_size, 1, dtype=torch.long, device=device)
            attention_mask = input_ids
        if input_ids is None:
            return None
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        check_description_inputs(batch_size, input_ids, attention_mask)
        mask = attention_mask.bool()
        if self.training and self.config.description_dropout:
            kept = torch.rand(batch_size, 1, device=mask.device) >= self.config.description_dropout
            mask = mask & kept
        return self._encode_description(input_ids, mask)

    def _encode_description(self, input_ids: Tensor, mask: Tensor) -> Description:
        tower = self.text_tower if self.description_tower is None else self.description_tower
        head = self.text_projection if self.description_head is None else self.description_head
        was_training = tower.training
        tower.train(was_training and self.config.description_gradient)
        # An encoder fed nothing but padding returns NaN; what it makes of such a row is never used.
        if self.config.description_gradient:
            mask = self._visible_tokens(mask)
        visible = mask | ~mask.any(dim=1, keepdim=True)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.description_gradient):
            states = tower(input_ids, visible.long())
        tower.train(was_training)
        embedding = functional.normalize(head(tower.pool(states, visible, input_ids)), dim=-1)
        return Description(states, mask, embedding, head)

    def _interact(self, tokens: Tensor, mask: Tensor | None, description: Description | None) -> LeccrImageOutput:
        slots, interacted_tokens, interacted_slots = self.interaction(tokens, mask, description)
        image = self._embed_image(interacted_tokens, mask)
        slot_embeds = self.slot_projection(interacted_slots)
        if isinstance(self.anchor, ImageAnchor):
            own_image = self._embed_image(tokens, mask)
            slot_embeds = self.anchor.add_to_slots(slot_embeds, own_image, description)
            image = self.anchor.add_to_image(own_image, image, description)
        elif self.anchor is not None:
            slot_embeds = self.anchor.anchor_slots(slot_embeds, image, description)
            image = self.anchor.anchor_image(image, description)
        elif self.config.normalize_slots:
            slot_embeds = functional.normalize(slot_embeds, dim=-1)
        views = self.config.alpha * image.unsqueeze(1) + (1.0 - self.config.alpha) * slot_embeds
        return LeccrImageOutput(image, views, slot_embeds, tokens, slots, interacted_tokens, interacted_slots)

    def _add_attentions(self, output: LeccrImageOutput, mask: Tensor | None, description: Description | None) -> None:
        if self.config.interaction_layers:
            output.slot_vision_attentions = self.interaction.slots_from_vision.last_attention(
                output.slots, output.vision_tokens, mask
            )
        if description is not None:
            source = self.interaction.description_attention if self.anchor is None else self.anchor.attention
            output.slot_description_attentions = source(description) * description.present.unsqueeze(-1)
