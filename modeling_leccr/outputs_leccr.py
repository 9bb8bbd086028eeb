"""What the networks return."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class LeccrImageOutput(ModelOutput):
    """What a LECCR model makes of a batch of images.

    Args:
        image_embeds: (B, D), unit length: the whole image.
        image_views: (B, max(K, 1), D): the score of a text is its largest inner product with them. Of sentence slots K
            is the most that an image of the batch has; the others repeat their first one.
        slot_embeds: (B, K, D): the slots in the shared space.
        vision_tokens: (B, N, d), before the interaction.
        slots: (B, K, d), distilled from the description, before the interaction.
        interacted_vision_tokens: (B, N, d).
        interacted_slots: (B, K, d).
        slot_vision_attentions: (B, K, N), on request: how much each slot takes from each visual token in the last
            layer, averaged over heads; rows sum to one.
        slot_description_attentions: (B, K, L), on request: the same for the description's tokens; zero where an image
            has no description. Of anchored slots it is the pooling that places them.
        view_mask: (B, K) bool, false where a view only repeats the first; None where all are real.
        undescribed_embeds: (B, D), unit length: the whole image without its description and the interaction.
        slot_vectors: (B, d), mean unit slots for slot-vision matching; in a batch that is encoded in chunks, which has
            no visual tokens.
        vision_vectors: (B, d), mean unit visual tokens, likewise.
    """

    image_embeds: Tensor | None = None
    image_views: Tensor | None = None
    slot_embeds: Tensor | None = None
    vision_tokens: Tensor | None = None
    slots: Tensor | None = None
    interacted_vision_tokens: Tensor | None = None
    interacted_slots: Tensor | None = None
    slot_vision_attentions: Tensor | None = None
    slot_description_attentions: Tensor | None = None
    view_mask: Tensor | None = None
    undescribed_embeds: Tensor | None = None
    slot_vectors: Tensor | None = None
    vision_vectors: Tensor | None = None


@dataclass
class LeccrOutput(ModelOutput):
    """Embeddings of a batch, the total loss and every term of it, unweighted, by name.

    Args:
        loss: Scalar, the weighted total.
        logits_per_image: (B, T), the multi-level scores of the texts to score over the temperature, and the bias.
        logits_per_text: (T, B), the same by text.
        text_embeds: (T, D), unit length: the texts to score.
        image_views: (B, max(K, 1), D).
        caption_embeds: (B, C, D), texts of an evaluation batch.
        image_embeds: (B, D), unit length.
        slot_embeds: (B, K, D).
        source_embeds: (B, D), unit length.
        target_embeds: (B, D), unit length.
        loss_vision_source: L_vs.
        loss_vision_target: L_vt.
        loss_source_target: L_st.
        loss_slot_source: L_c for source captions.
        loss_slot_target: L_c for target captions.
        loss_slot_diversity: L_div.
        loss_slot_vision: L_cv.
        loss_softened: L_soft.
        loss_transfer: KL from the cross-lingual teacher (CL2CM).
        loss_fused_source: Matching of source captions on the fused score.
        loss_fused_target: Matching of target captions on the fused score.
        loss_image_only_source: Matching of source captions on images without their descriptions.
        loss_image_only_target: The same of target captions.
    """

    loss: Tensor | None = None
    logits_per_image: Tensor | None = None
    logits_per_text: Tensor | None = None
    text_embeds: Tensor | None = None
    image_views: Tensor | None = None
    caption_embeds: Tensor | None = None
    image_embeds: Tensor | None = None
    slot_embeds: Tensor | None = None
    source_embeds: Tensor | None = None
    target_embeds: Tensor | None = None
    loss_vision_source: Tensor | None = None
    loss_vision_target: Tensor | None = None
    loss_source_target: Tensor | None = None
    loss_slot_source: Tensor | None = None
    loss_slot_target: Tensor | None = None
    loss_slot_diversity: Tensor | None = None
    loss_slot_vision: Tensor | None = None
    loss_softened: Tensor | None = None
    loss_transfer: Tensor | None = None
    loss_fused_source: Tensor | None = None
    loss_fused_target: Tensor | None = None
    loss_image_only_source: Tensor | None = None
    loss_image_only_target: Tensor | None = None


@dataclass
class CrossLingualOutput(ModelOutput):
    """Embeddings of a batch of sentence pairs, the total loss and its two terms, unweighted.

    Args:
        loss: Scalar, the weighted total.
        text_embeds: (B, D), unit length: texts that are only embedded.
        caption_embeds: (B, C, D), unit length: texts of an evaluation batch.
        source_embeds: (B, D), unit length.
        target_embeds: (B, D), unit length.
        loss_sentence: Matching of whole sentences.
        loss_word: Alignment of words.
    """

    loss: Tensor | None = None
    text_embeds: Tensor | None = None
    caption_embeds: Tensor | None = None
    source_embeds: Tensor | None = None
    target_embeds: Tensor | None = None
    loss_sentence: Tensor | None = None
    loss_word: Tensor | None = None
