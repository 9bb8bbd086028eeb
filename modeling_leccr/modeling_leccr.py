"""The LECCR retrieval network: images and texts of many languages in one space, with or without descriptions."""

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from .configuration_leccr import LeccrConfig
from .dual_encoders_leccr import load_dual_encoder
from .image_encoding_leccr import ImageEncoding
from .inputs_leccr import check_rows, check_teacher_embeds
from .interaction_leccr import ImageAnchor, SlotAnchor, SlotInteraction
from .layers_leccr import CrossAttentionStack, FeatureStandardizer, Gate, SpaceProjection, TextHead
from .matching_leccr import MatchingInputs, matching_terms, weighted_total
from .objectives_leccr import best_slot_scores, contrastive_loss, different_image_ids, slot_vision_vectors
from .outputs_leccr import LeccrImageOutput, LeccrOutput
from .pretrained_leccr import load_pretrained_towers
from .text_encoding_leccr import TextEncoding
from .towers_leccr import TextTower, VisionTower, text_width


class LeccrModel(ImageEncoding, TextEncoding, PreTrainedModel):
    """Cross-lingual cross-modal retrieval model of arXiv 2409.19961, and its baselines, in one class.

    Args:
        config: A `LeccrConfig`; it says which towers, how many slots, and which objectives.
    """

    config_class = LeccrConfig
    config: LeccrConfig
    base_model_prefix = "leccr"
    main_input_name = "pixel_values"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    # Trainer would otherwise take `**kwargs` of `forward` for a promise to divide the loss by the number of items.
    accepts_loss_kwargs = False
    _no_split_modules = ["CrossAttentionLayer"]
    _keys_to_ignore_on_load_unexpected = [r"text_tower\.model\.pooler\."]

    def __init__(self, config: LeccrConfig) -> None:
        super().__init__(config)
        self.vision_tower = None if config.vision_config is None else VisionTower(config)
        self.text_tower = TextTower(config.text_config, config.text_pooling)
        text_dim = text_width(config.text_config)
        self.text_projection = TextHead(text_dim, config.projection_dim, config.text_head, config.dropout)
        self.description_tower = None
        self.description_head = None
        if config.description_config is not None:
            self.description_tower = TextTower(config.description_config, config.text_pooling)
            text_dim = text_width(config.description_config)
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
        anchors = {"none": None, "text": SlotAnchor, "image": ImageAnchor}
        anchor = anchors[config.slot_anchor]
        self.anchor = None if anchor is None else anchor(config, description_dim)

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
        if self.description_head is not None and not self._needs_description_embeds():
            # Distributed training stops at weights that take no part in the loss.
            self.description_head.requires_grad_(False)
        return self

    def _needs_description_embeds(self) -> bool:
        """Return whether descriptions come into the queries' space; published slots take their states alone."""
        return self.config.slot_anchor != "none" if self.config.num_slots else self.config.description_fusion

    @classmethod
    def from_pretrained_towers(cls, vision: Any, text: Any, **config: Any) -> "LeccrModel":
        """Build a model over two pretrained towers; new layers are initialised.

        Args:
            vision: Checkpoint name, folder or configuration of a vision tower; None for ready-made visual features.
            text: Checkpoint name, folder or configuration of a text tower.
            **config: Fields of `LeccrConfig`.

        Returns:
            The model. A tower given as a configuration has random weights.
        """
        return load_pretrained_towers(cls, vision, text, config)

    @classmethod
    def from_dual_encoder(cls, source: Any, **config: Any) -> "LeccrModel":
        """Build a model that starts as a dual encoder of transformers, and gives its embeddings until it is trained.

        Towers, projections and temperature are taken over. Slots and descriptions join through gates that start at
        zero; they are what one trains, for the towers stay frozen.

        Args:
            source: Checkpoint name, folder or model: CLIP, MetaCLIP 2, SigLIP (SigLIP 2 of fixed resolution, too),
                AltCLIP, or a `VisionTextDualEncoderModel`, such as CLIP with XLM-R.
            **config: Fields of `LeccrConfig` that do not come from the source, such as `freeze_text=False`.

        Returns:
            The model. `leccr.models.dual_encoders.dual_encoder_processor` makes its processor.

        Raises:
            ValueError: If the source is another kind of model or lacks weights, or a field comes from it.
        """
        return load_dual_encoder(cls, source, config)

    def get_logits(self, text_embeds: Tensor, image_views: Tensor) -> Tensor:
        """Score texts (T, D) against views (B, K, D): (T, B), the multi-level score over the temperature, and the bias.

        Of a model that starts from a dual encoder these are the dual encoder's own logits.
        """
        return self._inverse_temperature() * best_slot_scores(text_embeds, image_views) + self.config.logit_bias

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
        return_loss: bool = True,
        **kwargs: Any,
    ) -> LeccrOutput:
        """Embed a batch of rows and compute the objectives.

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
            caption_languages: (B, C) labels that evaluation needs beside the output; not used here.
            return_loss: Whether to compute the objectives.
            **kwargs: Ignored, so that a batch may carry more columns.

        Returns:
            A `LeccrOutput`. In an evaluation batch the loss is image-text matching of the first captions.

        Raises:
            ValueError: If the inputs contradict each other or the model, or the teacher's embeddings are missing.
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
            source_teacher_embeds=source_teacher_embeds,
            target_teacher_embeds=target_teacher_embeds,
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
            teacher = (source_teacher_embeds, target_teacher_embeds)
            terms = self._matching_terms(images, output, visual_attention_mask, image_ids, target_weights, teacher)
            for name, term in terms.items():
                output[name] = term
            output.loss = weighted_total(terms, self.config)
        return output

    def _evaluation_output(
        self, output: LeccrOutput, input_ids: Tensor, attention_mask: Tensor | None, return_loss: bool
    ) -> LeccrOutput:
        output.caption_embeds = self._embed_captions(input_ids, attention_mask)
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
        teacher_embeds: tuple[Tensor | None, Tensor | None],
    ) -> dict[str, Tensor]:
        check_teacher_embeds(self.config, output.target_embeds, *teacher_embeds)
        slot_vectors, vision_vectors = None, None
        if images.slots is not None:
            slot_vectors, vision_vectors = slot_vision_vectors(
                self.slot_matching_projection(images.slots),
                self.vision_matching_projection(images.vision_tokens),
                visual_attention_mask,
            )
        if image_ids is None:
            image_ids = different_image_ids(len(images.image_embeds), images.image_embeds.device)
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
            *teacher_embeds,
        )
        return matching_terms(inputs.gathered(), self.config, self._inverse_temperature())


LeccrConfig.register_for_auto_class()
LeccrModel.register_for_auto_class("AutoModel")
