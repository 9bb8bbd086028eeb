"""The cross-lingual network of CL2CM's first stage: sentences of many languages in one space, without any image."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .base_leccr import LeccrPreTrainedModel, is_frozen
from .chunks_leccr import chunk_size, in_chunks
from .configuration_cross_lingual import CrossLingualConfig
from .inputs_leccr import InputError, check_rows, check_text_inputs
from .layers_leccr import Gate
from .objectives_leccr import all_gather_with_gradient, contrastive_loss, different_image_ids, same_image_labels
from .outputs_leccr import CrossLingualOutput
from .pretrained_leccr import load_pretrained_text_tower
from .text_encoder_leccr import TextEncoder
from .text_layers_leccr import check_frozen_layers
from .transport_leccr import transport_costs, word_alignment_loss

# What `caption_languages` holds where a row has no further caption.
PADDING_LANGUAGE = -100


class CrossLingualModel(LeccrPreTrainedModel):
    """Cross-lingual sentence encoder, and the teacher of CL2CM (arXiv 2312.08984).

    The paper's abstract says that a cross-lingual network is trained first, that source and target sentences are
    aligned at the level of sentences and of words, and that its knowledge is then transferred to the cross-modal
    network. What the two alignments and the transfer look like here is our reconstruction.

    Its `text` encoder is that of `LeccrModel`, which can therefore start from these weights.

    Args:
        config: A `CrossLingualConfig`.
    """

    config_class = CrossLingualConfig
    config: CrossLingualConfig
    main_input_name = "source_input_ids"
    # All its attention is that of its tower, which has the last word.
    _supports_flash_attn = True

    def __init__(self, config: CrossLingualConfig) -> None:
        super().__init__(config)
        self.text = TextEncoder(config.text_config, config)
        check_frozen_layers(self.text.tower.model, config.freeze_text_layers)
        self.logit_scale = Gate(config.logit_scale_init_value)
        self.post_init()
        self.freeze_as_configured()

    @classmethod
    def from_pretrained_tower(cls, text: Any, **config: Any) -> "CrossLingualModel":
        """Build a model over a pretrained text tower; the head is new.

        Args:
            text: Checkpoint name, folder or configuration of a text tower.
            **config: Fields of `CrossLingualConfig`.

        Returns:
            The model. A tower given as a configuration has random weights.
        """
        return load_pretrained_text_tower(cls, text, config)

    def forward(
        self,
        source_input_ids: Tensor | None = None,
        source_attention_mask: Tensor | None = None,
        target_input_ids: Tensor | None = None,
        target_attention_mask: Tensor | None = None,
        image_ids: Tensor | None = None,
        target_weights: Tensor | None = None,
        caption_input_ids: Tensor | None = None,
        caption_attention_mask: Tensor | None = None,
        caption_languages: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> CrossLingualOutput:
        """Embed a batch of sentence pairs and compute the objectives, or only embed texts.

        Args:
            source_input_ids: (B, L) captions in the source language.
            source_attention_mask: (B, L).
            target_input_ids: (B, L') their counterparts in target languages.
            target_attention_mask: (B, L').
            image_ids: (B,); pairs with equal ids are not negatives of each other. None means that all differ.
            target_weights: (B,) trust in each target caption.
            caption_input_ids: (B, C, L) all captions of each row, in an evaluation batch.
            caption_attention_mask: (B, C, L).
            caption_languages: (B, C); -100 marks padding.
            input_ids: (B, L) texts in any language to embed by themselves.
            attention_mask: (B, L).
            return_loss: Whether to compute the objectives.
            **kwargs: Ignored, so that a batch may carry more columns.

        Returns:
            A `CrossLingualOutput`. In an evaluation batch the loss is matching of each row's first caption
            and its first one in another language; without `caption_languages`, its second one.

        Raises:
            ValueError: If there is no text at all, or the numbers of rows differ.
        """
        if input_ids is not None:
            return CrossLingualOutput(text_embeds=self.get_text_features(input_ids, attention_mask))
        if caption_input_ids is not None:
            return self._evaluation_output(caption_input_ids, caption_attention_mask, caption_languages, return_loss)
        if source_input_ids is None and target_input_ids is None:
            raise InputError("Give source_input_ids and target_input_ids, or caption_input_ids to evaluate.")
        check_rows(
            len(target_input_ids if source_input_ids is None else source_input_ids),
            "source captions",
            target_input_ids=target_input_ids,
            image_ids=image_ids,
            target_weights=target_weights,
        )
        output = CrossLingualOutput()
        if source_input_ids is not None:
            output.source_embeds, *source = self._embed_batch(source_input_ids, source_attention_mask)
        if target_input_ids is not None:
            output.target_embeds, *target = self._embed_batch(target_input_ids, target_attention_mask)
        if return_loss and source_input_ids is not None and target_input_ids is not None:
            if image_ids is None:
                image_ids = different_image_ids(len(source_input_ids), source_input_ids.device)
            self._add_losses(output, source, target, image_ids, target_weights)
        return output

    def _embed_batch(self, input_ids: Tensor, attention_mask: Tensor | None) -> Sequence[Tensor]:
        """Return what the text encoder makes of a batch, in chunks if the configuration says so."""
        size = chunk_size(self.config, input_ids, attention_mask)
        if size is None:
            return self.text(input_ids, attention_mask)
        check_text_inputs(input_ids, torch.ones_like(input_ids) if attention_mask is None else attention_mask)
        return in_chunks(self, self.text, size, input_ids, attention_mask, again=not is_frozen(self.text.tower))

    def _add_losses(
        self,
        output: CrossLingualOutput,
        source: list[Tensor],
        target: list[Tensor],
        image_ids: Tensor,
        target_weights: Tensor | None,
    ) -> None:
        # Computed at weight zero, too: distributed training stops at weights that take no part in the loss.
        output.loss_sentence = self._sentence_loss(output, image_ids, target_weights)
        output.loss = self.config.sentence_weight * output.loss_sentence
        if self.config.word_weight:
            output.loss_word = self._word_loss(source, target, image_ids, target_weights)
            output.loss = output.loss + self.config.word_weight * output.loss_word

    def _sentence_loss(self, output: CrossLingualOutput, image_ids: Tensor, target_weights: Tensor | None) -> Tensor:
        """Symmetric InfoNCE over the pairs of all processes."""
        source, target = (all_gather_with_gradient(embeds) for embeds in (output.source_embeds, output.target_embeds))
        labels = same_image_labels(all_gather_with_gradient(image_ids))
        weights = None if target_weights is None else all_gather_with_gradient(target_weights)
        return contrastive_loss(self.inverse_temperature() * target @ source.T, labels, weights)

    def _word_loss(
        self, source: list[Tensor], target: list[Tensor], image_ids: Tensor, target_weights: Tensor | None
    ) -> Tensor:
        """Alignment of words among the pairs of this process: token states of all would be too much to send around."""
        (source_states, source_mask), (target_states, target_mask) = source, target
        costs = transport_costs(
            source_states,
            target_states,
            source_mask,
            target_mask,
            self.config.transport_regularization,
            self.config.transport_iterations,
        )
        return word_alignment_loss(costs, self.config.word_temperature, same_image_labels(image_ids), target_weights)

    def _evaluation_output(
        self, input_ids: Tensor, attention_mask: Tensor | None, languages: Tensor | None, return_loss: bool
    ) -> CrossLingualOutput:
        output = CrossLingualOutput(caption_embeds=self.text.embed_captions(input_ids, attention_mask))
        if return_loss:
            if languages is None:
                languages = torch.arange(input_ids.shape[1], device=input_ids.device).expand(input_ids.shape[:2])
            other = (languages != languages[:, :1]) & (languages != PADDING_LANGUAGE)
            row, first_other = other.any(dim=1).nonzero()[:, 0], other.long().argmax(dim=1)
            source, target = output.caption_embeds[row, 0], output.caption_embeds[row, first_other[row]]
            # The weights are for a batch without any such row, whose loss is zero.
            weights = torch.ones(len(row), device=row.device)
            output.loss = contrastive_loss(self.inverse_temperature() * target @ source.T, weights=weights)
        return output


CrossLingualConfig.register_for_auto_class()
CrossLingualModel.register_for_auto_class("AutoModel")
