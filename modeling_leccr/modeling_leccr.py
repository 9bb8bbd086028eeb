"""The LECCR retrieval network: images and texts of many languages in one space, with or without descriptions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_leccr import LeccrConfig
from .inputs_leccr import (
    check_description_inputs,
    check_rows,
    check_text_inputs,
    check_visual_inputs,
    check_visual_mask,
)
from .interaction_leccr import Description, SlotAnchor, SlotInteraction, fuse
from .layers_leccr import CrossAttentionStack, FeatureStandardizer, Gate, LearnedTokens, SpaceProjection, TextHead
from .matching_leccr import MatchingInputs, matching_terms, weighted_total
from .objectives_leccr import contrastive_loss, slot_vision_vectors
from .outputs_leccr import LeccrImageOutput, LeccrOutput
from .pretrained_leccr import load_pretrained_towers
from .towers_leccr import TextTower, VisionTower, masked_mean

MAX_LOGIT_SCALE = 100.0


class LeccrModel(PreTrainedModel):
    """Cross-lingual cross-modal retrieval model of arXiv 2409.19961, and its baselines, in one class.

    Args:
        config: A :class:`LeccrConfig`; it says which towers, how many slots, and which objectives.
    """

    config_class = LeccrConfig
    config: LeccrConfig
    base_model_prefix = "leccr"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    # Trainer would otherwise take ``**kwargs`` of ``forward`` for a promise to divide the loss by the number of items.
    accepts_loss_kwargs = False
    _no_split_modules = ["CrossAttentionLayer"]
    _keys_to_ignore_on_load_unexpected = [r"text_tower\.model\.pooler\."]

    def __init__(self, config: LeccrConfig) -> None:
        super().__init__(config)
        self.vision_tower = None if config.vision_config is None else VisionTower(config)
        self.text_tower = TextTower(config.text_config, config.text_pooling)
        text_dim = config.text_config.hidden_size
        self.text_projection = TextHead(text_dim, config.projection_dim, config.text_head, config.dropout)
        self.description_tower = None
        self.description_head = None
        if config.description_config is not None:
            self.description_tower = TextTower(config.description_config, config.text_pooling)
            text_dim = config.description_config.hidden_size
            self.description_head = TextHead(text_dim, config.projection_dim, config.text_head, config.dropout)
        self._build_visual_layers(config)
        if config.num_slots:
            self._build_slots(config, text_dim)
        self.logit_scale = Gate(config.logit_scale_init_value)
        self.post_init()
        self.train()

    def _build_visual_layers(self, config: LeccrConfig) -> None:
        width, input_dim = config.interaction_dim, config.visual_feature_dim
        self.standardizer = FeatureStandardizer(input_dim) if config.vision_standardize else None
        self.visual_dropout = nn.Dropout(config.visual_dropout)
        self.vision_projection = nn.Linear(input_dim, width, bias=False) if config.vision_projection else None
        self.visual_layers = CrossAttentionStack(config.visual_layers, width, config.interaction_heads, config.dropout)
        self.image_projection = SpaceProjection(width, config.projection_dim)

    def _build_slots(self, config: LeccrConfig, description_dim: int) -> None:
        width = config.interaction_dim
        self.interaction = SlotInteraction(config, description_dim)
        self.slot_projection = nn.Linear(width, config.projection_dim)
        self.slot_matching_projection = nn.Linear(width, width)
        self.vision_matching_projection = nn.Linear(width, width)
        self.anchor = SlotAnchor(config, description_dim) if config.slot_anchor == "text" else None

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

    def _frozen_towers(self) -> list[nn.Module]:
        flags = ((self.config.freeze_vision, self.vision_tower), (self.config.freeze_text, self.text_tower))
        towers = [tower for frozen, tower in flags if frozen] + [self.description_tower]
        return [tower for tower in towers if tower is not None]

    def train(self, mode: bool = True) -> "LeccrModel":
        """Set training mode; frozen towers stay in eval mode, so neither dropout nor batch statistics move."""
        super().train(mode)
        # What is frozen is so from here on: loading a checkpoint makes every weight trainable again, then calls this.
        for tower in self._frozen_towers():
            tower.eval().requires_grad_(False)
        if not self.config.learn_temperature:
            self.logit_scale.requires_grad_(False)
        return self

    @classmethod
    def from_pretrained_towers(cls, vision: Any, text: Any, **config: Any) -> "LeccrModel":
        """Build a model over two pretrained towers; new layers are initialised.

        Args:
            vision: Checkpoint name, folder or configuration of a vision tower; None for ready-made visual features.
            text: Checkpoint name, folder or configuration of a text tower.
            **config: Fields of :class:`LeccrConfig`.

        Returns:
            The model. A tower given as a configuration has random weights.
        """
        return load_pretrained_towers(cls, vision, text, config)

    def set_feature_statistics(self, mean: Tensor, deviation: Tensor) -> None:
        """Store the mean and the standard deviation (F,) of each visual channel, for ``vision_standardize``."""
        if self.standardizer is None:
            raise ValueError("This model does not standardise visual features; set vision_standardize=True.")
        self.standardizer.mean.copy_(mean)
        self.standardizer.deviation.copy_(deviation.clamp(min=1e-6))

    def get_visual_tokens(self, pixel_values: Tensor) -> Tensor:
        """Return the vision tower's tokens (B, N, F): what ``visual_features`` takes when they are computed ahead."""
        if self.vision_tower is None:
            raise ValueError("This model has no vision tower; give it visual_features instead of pixel_values.")
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.freeze_vision):
            return self.vision_tower(pixel_values)

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Embed texts (B, L) of any language: (B, D), unit length."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        check_text_inputs(input_ids, attention_mask)
        attention_mask = self._visible_tokens(attention_mask)
        pooled = self.text_tower.pool(self.text_tower(input_ids, attention_mask), attention_mask)
        return functional.normalize(self.text_projection(pooled), dim=-1)

    def _visible_tokens(self, mask: Tensor) -> Tensor:
        if not (self.training and self.config.token_dropout):
            return mask
        kept = torch.rand(mask.shape, device=mask.device) >= self.config.token_dropout
        kept[:, 0] = True
        return mask * kept

    def get_image_features(
        self,
        pixel_values: Tensor | None = None,
        description_input_ids: Tensor | None = None,
        description_attention_mask: Tensor | None = None,
        **visual: Any,
    ) -> Tensor:
        """Embed whole images: (B, D), unit length. Inputs as in :meth:`encode_images`."""
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
        for every k. Inputs as in :meth:`encode_images`.
        """
        return self.encode_images(pixel_values, description_input_ids, description_attention_mask, **visual).image_views

    def encode_images(
        self,
        pixel_values: Tensor | None = None,
        description_input_ids: Tensor | None = None,
        description_attention_mask: Tensor | None = None,
        visual_features: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
    ) -> LeccrImageOutput:
        """Encode images or videos, with their descriptions where there are any.

        Args:
            pixel_values: Pictures (B, 3, H, W) or frames (B, T, 3, H, W).
            description_input_ids: (B, L); None when no row has a description.
            description_attention_mask: (B, L); a row of zeros has no description.
            visual_features: (B, N, F) instead of pixels: ready-made, or from :meth:`get_visual_tokens`.
            visual_attention_mask: (B, N) or (B, T); zero marks padding.

        Returns:
            A :class:`LeccrImageOutput`.

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
        return self._interact(tokens, mask, description)

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
        if input_ids is None or not (self.config.num_slots or self.config.description_fusion):
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
        embedding = functional.normalize(head(tower.pool(states, visible)), dim=-1)
        return Description(states, mask, embedding, head)

    def _interact(self, tokens: Tensor, mask: Tensor | None, description: Description | None) -> LeccrImageOutput:
        slots, interacted_tokens, interacted_slots = self.interaction(tokens, mask, description)
        image = self._embed_image(interacted_tokens, mask)
        slot_embeds = self.slot_projection(interacted_slots)
        if self.anchor is not None:
            slot_embeds = self.anchor.anchor_slots(slot_embeds, image, description)
            image = self.anchor.anchor_image(image, description)
        elif self.config.normalize_slots:
            slot_embeds = functional.normalize(slot_embeds, dim=-1)
        views = self.config.alpha * image.unsqueeze(1) + (1.0 - self.config.alpha) * slot_embeds
        return LeccrImageOutput(image, views, slot_embeds, tokens, slots, interacted_tokens, interacted_slots)

    def forward(
        self,
        pixel_values: Tensor | None = None,
        source_input_ids: Tensor | None = None,
        source_attention_mask: Tensor | None = None,
        target_input_ids: Tensor | None = None,
        target_attention_mask: Tensor | None = None,
        description_input_ids: Tensor | None = None,
        description_attention_mask: Tensor | None = None,
        visual_features: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        image_ids: Tensor | None = None,
        target_weights: Tensor | None = None,
        caption_input_ids: Tensor | None = None,
        caption_attention_mask: Tensor | None = None,
        caption_languages: Tensor | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> LeccrOutput:
        """Embed a batch of rows and compute the objectives.

        Args:
            pixel_values: As in :meth:`encode_images`.
            source_input_ids: (B, L) captions in the source language.
            source_attention_mask: (B, L).
            target_input_ids: (B, L') captions in target languages.
            target_attention_mask: (B, L').
            description_input_ids: As in :meth:`encode_images`.
            description_attention_mask: As in :meth:`encode_images`.
            visual_features: As in :meth:`encode_images`.
            visual_attention_mask: As in :meth:`encode_images`.
            image_ids: (B,); equal ids are the same image. None means that all rows are different images.
            target_weights: (B,) trust in each target caption.
            caption_input_ids: (B, C, L) all captions of each row, in an evaluation batch.
            caption_attention_mask: (B, C, L).
            caption_languages: (B, C) labels that evaluation needs beside the output; not used here.
            return_loss: Whether to compute the objectives.
            **kwargs: Ignored, so that a batch may carry more columns.

        Returns:
            A :class:`LeccrOutput`. In an evaluation batch the loss is image-text matching of the first captions.
        """
        images = self.encode_images(
            pixel_values, description_input_ids, description_attention_mask, visual_features, visual_attention_mask
        )
        check_rows(
            len(images.image_embeds),
            source_input_ids=source_input_ids,
            target_input_ids=target_input_ids,
            caption_input_ids=caption_input_ids,
            image_ids=image_ids,
            target_weights=target_weights,
        )
        output = LeccrOutput(
            image_views=images.image_views, image_embeds=images.image_embeds, slot_embeds=images.slot_embeds
        )
        if caption_input_ids is not None:
            return self._evaluation_output(output, caption_input_ids, caption_attention_mask, return_loss)
        if source_input_ids is not None:
            output.source_embeds = self.get_text_features(source_input_ids, source_attention_mask)
        if target_input_ids is not None:
            output.target_embeds = self.get_text_features(target_input_ids, target_attention_mask)
        if return_loss and (source_input_ids is not None or target_input_ids is not None):
            terms = self._matching_terms(images, output, visual_attention_mask, image_ids, target_weights)
            for name, term in terms.items():
                output[name] = term
            output.loss = weighted_total(terms, self.config)
        return output

    def _inverse_temperature(self) -> Tensor:
        return self.logit_scale.weight.exp().clamp(max=MAX_LOGIT_SCALE)

    def _evaluation_output(
        self, output: LeccrOutput, input_ids: Tensor, attention_mask: Tensor | None, return_loss: bool
    ) -> LeccrOutput:
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        embeds = self.get_text_features(input_ids.flatten(0, 1), attention_mask.flatten(0, 1))
        output.caption_embeds = embeds.unflatten(0, input_ids.shape[:2])
        if return_loss:
            logits = self._inverse_temperature() * output.caption_embeds[:, 0] @ output.image_embeds.T
            output.loss = contrastive_loss(logits)
        return output

    def _matching_terms(
        self,
        images: LeccrImageOutput,
        output: LeccrOutput,
        visual_attention_mask: Tensor | None,
        image_ids: Tensor | None,
        target_weights: Tensor | None,
    ) -> dict[str, Tensor]:
        slot_vectors, vision_vectors = None, None
        if images.slots is not None:
            slot_vectors, vision_vectors = slot_vision_vectors(
                self.slot_matching_projection(images.slots),
                self.vision_matching_projection(images.vision_tokens),
                visual_attention_mask,
            )
        if image_ids is None:
            image_ids = self._different_images(images.image_embeds)
        inputs = MatchingInputs(
            images.image_embeds,
            output.source_embeds,
            output.target_embeds,
            images.image_views,
            images.slot_embeds,
            images.slots,
            slot_vectors,
            vision_vectors,
            image_ids,
            target_weights,
        )
        return matching_terms(inputs.gathered(), self.config, self._inverse_temperature())

    @staticmethod
    def _different_images(image_embeds: Tensor) -> Tensor:
        batch_size, rank = image_embeds.shape[0], 0
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank = torch.distributed.get_rank()
        return torch.arange(batch_size, device=image_embeds.device) + rank * batch_size


LeccrConfig.register_for_auto_class()
LeccrModel.register_for_auto_class("AutoModel")
