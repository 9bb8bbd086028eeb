"""The LECCR retrieval network: images and texts of many languages in one space, with or without descriptions."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from .base_leccr import LeccrPreTrainedModel, Tower
from .chunks_leccr import EncodesBatches
from .configuration_leccr import LeccrConfig
from .image_encoder_leccr import ImageEncoder
from .inputs_leccr import InputError, check_description_inputs, check_rows, check_visual_inputs, check_visual_mask
from .interaction_leccr import Description
from .layers_leccr import Gate
from .matching_leccr import MatchingObjective, weighted_total
from .objectives_leccr import best_slot_scores, contrastive_loss
from .outputs_leccr import LeccrImageOutput, LeccrOutput
from .pretrained_leccr import StartsFromPretrained
from .text_encoder_leccr import TextEncoder
from .text_layers_leccr import check_frozen_layers


class LeccrModel(EncodesBatches, StartsFromPretrained, LeccrPreTrainedModel):
    """Cross-lingual cross-modal retrieval model of arXiv 2409.19961, and its baselines, in one class.

    Args:
        config: A `LeccrConfig`; it says which towers, how many slots, and which objectives.
    """

    config_class = LeccrConfig
    config: LeccrConfig
    main_input_name = "pixel_values"
    more_auto_classes = ("AutoModelForZeroShotImageClassification",)
    # Not of the whole model: its own layers call PyTorch's attention. Towers can, by the name of their configuration.
    _supports_flash_attn = False
    _no_split_modules = ["CrossAttentionLayer"]

    def __init__(self, config: LeccrConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text_config, config)
        check_frozen_layers(self.text.tower.model, config.freeze_text_layers)
        self.description_encoder = None
        if config.description_config is not None:
            self.description_encoder = TextEncoder(config.description_config, config, is_own=False)
        self.image = ImageEncoder(config, (self.description_encoder or self.text).width)
        self.objective = MatchingObjective(config)
        self.logit_scale = Gate(config.logit_scale_init_value)
        self.post_init()
        self.freeze_as_configured()

    def _towers_by_flag(self) -> dict[str, Tower]:
        vision = {} if self.image.tower is None else {"freeze_vision": self.image.tower}
        return vision | super()._towers_by_flag()

    def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        """Save with a configuration that says which towers are frozen, and α as it was learned."""
        if self.config.learn_alpha:
            self.config.alpha = round(self.image.learned_alpha().item(), 6)
        return super().save_pretrained(*args, **kwargs)

    def _frozen_parts(self) -> list[nn.Module]:
        frozen = super()._frozen_parts()
        if self.description_encoder is not None:
            frozen.append(self.description_encoder.tower)
            # Published slots take only a description's states, and distributed training stops at an unused head.
            anchored = self.config.slot_anchor != "none"
            used = anchored if self.config.num_slots else self.config.description_fusion
            if not (used or self.config.has_sentences):
                frozen.append(self.description_encoder.head)
        if self.config.num_slots and not self.config.slot_vision_weight:
            frozen += [self.objective.slot_projection, self.objective.vision_projection]
        return frozen

    def _text_encoders(self) -> list[tuple[TextEncoder, PreTrainedConfig]]:
        described = [(self.description_encoder, self.config.description_config)]
        return [*super()._text_encoders(), *(described if self.description_encoder is not None else [])]

    def get_visual_tokens(self, pixel_values: Tensor) -> Tensor:
        """Return the vision tower's tokens (B, N, F): what `visual_features` takes when they are computed ahead."""
        if self.image.tower is None:
            raise InputError("This model has no vision tower; give it visual_features instead of pixel_values.")
        return self.image.tower(pixel_values)

    def get_image_features(
        self,
        pixel_values: Tensor | None = None,
        description_input_ids: Tensor | None = None,
        description_attention_mask: Tensor | None = None,
        **visual: Any,
    ) -> Tensor:
        """Embed whole images: (B, D), unit length. Inputs as in `encode_images`."""
        images = self.encode_images(pixel_values, description_input_ids, description_attention_mask, **visual)
        return images.image_embeds

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
        images = self.encode_images(pixel_values, description_input_ids, description_attention_mask, **visual)
        return images.image_views

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
            description_input_ids: (B, L), or (B, S, L) for sentence slots; None when no row has a description.
            description_attention_mask: The same shape; a row of zeros has no description, or is no sentence.
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
        description = self._describe(features.shape[0], description_input_ids, description_attention_mask)
        return self.image(features, mask, description, output_attentions)

    def _describe(self, batch_size: int, input_ids: Tensor | None, attention_mask: Tensor | None) -> Description | None:
        if not self.config.takes_descriptions:
            return None
        if input_ids is None and self.training:
            # Rows without a description: distributed training stops at weights that take no part in the loss.
            input_ids = attention_mask = torch.zeros(batch_size, 1, dtype=torch.long, device=self.device)
        if input_ids is None:
            return None
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        check_description_inputs(batch_size, input_ids, attention_mask, self.config.has_sentences)
        input_ids, mask = self._disturbed(input_ids, attention_mask.bool())
        if not self.config.has_sentences:
            return self._encode_description(input_ids, mask)
        # A description in one piece is one sentence.
        count = input_ids.shape[1] if input_ids.dim() == 3 else 1
        length = input_ids.shape[-1]
        return self._encode_description(input_ids.reshape(-1, length), mask.reshape(-1, length)).by_sentence(count)

    def _disturbed(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return descriptions of which training hides some, and exchanges some for that of the row before."""
        if self.training and self.config.description_noise:
            rows = torch.arange(len(mask), device=mask.device)
            wrong = torch.rand(len(mask), device=mask.device) < self.config.description_noise
            rows = torch.where(wrong, rows.roll(1), rows)
            input_ids, mask = input_ids[rows], mask[rows]
        if self.training and self.config.description_dropout:
            kept = torch.rand(len(mask), 1, device=mask.device) >= self.config.description_dropout
            mask = mask & kept.view(len(mask), *[1] * (mask.dim() - 1))
        return input_ids, mask

    def _encode_description(self, input_ids: Tensor, mask: Tensor) -> Description:
        encoder = self.text if self.description_encoder is None else self.description_encoder
        if self.config.description_gradient:
            mask = encoder.hide_tokens(mask)
        # Rows without a description have states, too, which are never used.
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.config.description_gradient):
            states = encoder.tower(input_ids, mask.long())
        return Description(states, mask, encoder.embed(states, mask, input_ids), encoder.head)

    def get_logits(self, text_embeds: Tensor, image_views: Tensor) -> Tensor:
        """Score texts (T, D) against views (B, K, D): (T, B), the multi-level score over the temperature, and the bias.

        Of a model that starts from a dual encoder these are the dual encoder's own logits.
        """
        return self.inverse_temperature() * best_slot_scores(text_embeds, image_views) + self.config.logit_bias

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
        source_teacher_embeds: Tensor | None = None,
        target_teacher_embeds: Tensor | None = None,
        caption_input_ids: Tensor | None = None,
        caption_attention_mask: Tensor | None = None,
        caption_languages: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> LeccrOutput:
        """Embed a batch of rows and compute the objectives, or score texts against images as CLIP does.

        Texts to score are `input_ids`, as many as one likes; they take no part in the objectives.

        Args:
            pixel_values: As in `encode_images`.
            source_input_ids: (B, L) captions in the source language.
            source_attention_mask: (B, L).
            target_input_ids: (B, L') captions in target languages.
            target_attention_mask: (B, L').
            description_input_ids: As in `encode_images`.
            description_attention_mask: As in `encode_images`.
            visual_features: As in `encode_images`.
            visual_attention_mask: As in `encode_images`.
            image_ids: (B,); equal ids are the same image. None means that all rows are different images.
            target_weights: (B,) trust in each target caption.
            source_teacher_embeds: (B, D_t) a cross-lingual teacher's embeddings of the source captions, which stand
                for their images when `transfer_weight` asks for the relational transfer; of any length.
            target_teacher_embeds: (B, D_t) the same of the target captions.
            caption_input_ids: (B, C, L) all captions of each row, in an evaluation batch.
            caption_attention_mask: (B, C, L).
            caption_languages: (B, C) labels that evaluation needs with the output; not used here.
            input_ids: (T, L) texts in any language to score against every image, or to embed without images.
            attention_mask: (T, L).
            return_loss: Whether to compute the objectives.
            **kwargs: Ignored, so that a batch may carry more columns.

        Returns:
            A `LeccrOutput`. In an evaluation batch the loss is image-text matching of the first captions.

        Raises:
            ValueError: If the inputs contradict each other or the model, or the teacher's embeddings are missing.
        """
        if input_ids is not None and pixel_values is None and visual_features is None:
            return LeccrOutput(text_embeds=self.get_text_features(input_ids, attention_mask))
        images = self.encode_batch(
            pixel_values, description_input_ids, description_attention_mask, visual_features, visual_attention_mask
        )
        check_rows(
            len(images.image_embeds),
            source_input_ids=source_input_ids,
            target_input_ids=target_input_ids,
            caption_input_ids=caption_input_ids,
            image_ids=image_ids,
            target_weights=target_weights,
            source_teacher_embeds=source_teacher_embeds,
            target_teacher_embeds=target_teacher_embeds,
        )
        output = LeccrOutput(
            image_views=images.image_views, image_embeds=images.image_embeds, slot_embeds=images.slot_embeds
        )
        if caption_input_ids is not None:
            return self._evaluation_output(output, caption_input_ids, caption_attention_mask, return_loss)
        if input_ids is not None:
            output.text_embeds = self.get_text_features(input_ids, attention_mask)
            output.logits_per_text = self.get_logits(output.text_embeds, output.image_views)
            output.logits_per_image = output.logits_per_text.T
        output.source_embeds, output.target_embeds = self.embed_batch(
            (source_input_ids, source_attention_mask), (target_input_ids, target_attention_mask)
        )
        if return_loss and (source_input_ids is not None or target_input_ids is not None):
            terms = self.objective(
                images,
                output,
                self.inverse_temperature(),
                visual_attention_mask,
                image_ids,
                target_weights,
                source_teacher_embeds,
                target_teacher_embeds,
            )
            for name, term in terms.items():
                output[name] = term
            output.loss = weighted_total(terms, self.config)
        return output

    def _evaluation_output(
        self, output: LeccrOutput, input_ids: Tensor, attention_mask: Tensor | None, return_loss: bool
    ) -> LeccrOutput:
        output.caption_embeds = self.text.embed_captions(input_ids, attention_mask)
        if return_loss:
            logits = self.inverse_temperature() * output.caption_embeds[:, 0] @ output.image_embeds.T
            output.loss = contrastive_loss(logits)
        return output


LeccrConfig.register_for_auto_class()
LeccrModel.register_for_auto_class("AutoModel")
