"""Puts the objectives together: from the embeddings of a batch to named terms and their weighted sum."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration_leccr import LeccrConfig
from .inputs_leccr import check_teacher_embeds
from .objectives_leccr import (
    all_gather_with_gradient,
    at_least_float32,
    best_slot_scores,
    contrastive_loss,
    different_image_ids,
    gather_slots,
    same_image_labels,
    slot_diversity_loss,
    slot_vision_vectors,
    softened_matching_loss,
    teacher_scores,
)
from .outputs_leccr import LeccrImageOutput, LeccrOutput

# Of sentence slots, processes can have different numbers.
SLOTS = ("image_views", "slot_embeds")


@dataclass
class MatchingInputs:
    """Embeddings of one batch, as the objectives need them.

    Attributes:
        image_embeds: (B, D), unit length.
        source_embeds: (B, D), unit length; None in a batch without source captions.
        target_embeds: (B, D), unit length; None in a batch without target captions.
        image_views: (B, K, D).
        slot_embeds: (B, K, D); None without slots.
        undescribed_embeds: (B, D), unit length, of the images without their descriptions.
        slots: (B, K, d), before the interaction; None without slots.
        slot_vectors: (B, d), mean unit slots for slot-vision matching; None without slots.
        vision_vectors: (B, d), mean unit visual tokens; None without slots.
        image_ids: (B,); equal ids are the same image.
        target_weights: (B,), how far each translation is trusted; None means fully.
        source_teacher_embeds: (B, D_t), a cross-lingual teacher's of the source captions; None without transfer.
        target_teacher_embeds: (B, D_t), the same of the target captions.
    """

    image_embeds: Tensor
    source_embeds: Tensor | None
    target_embeds: Tensor | None
    image_views: Tensor
    slot_embeds: Tensor | None
    undescribed_embeds: Tensor
    slots: Tensor | None
    slot_vectors: Tensor | None
    vision_vectors: Tensor | None
    image_ids: Tensor
    target_weights: Tensor | None
    source_teacher_embeds: Tensor | None = None
    target_teacher_embeds: Tensor | None = None

    def gathered(self) -> "MatchingInputs":
        """Return the same in float32 with the batches of all processes joined, gradients included."""
        joined = {
            name: x if x is None else (gather_slots if name in SLOTS else all_gather_with_gradient)(x)
            for name, x in vars(self).items()
        }
        return MatchingInputs(**{name: x if x is None else at_least_float32(x) for name, x in joined.items()})


class MatchingObjective(nn.Module):
    """All terms of a batch, with the two projections that slot-vision matching has for itself.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: LeccrConfig) -> None:
        super().__init__()
        self.config = config
        if config.num_slots:
            width = config.interaction_dim
            self.slot_projection = nn.Linear(width, width)
            self.vision_projection = nn.Linear(width, width)

    def forward(
        self,
        images: LeccrImageOutput,
        texts: LeccrOutput,
        logit_scale: Tensor,
        visual_attention_mask: Tensor | None,
        image_ids: Tensor | None,
        target_weights: Tensor | None,
        source_teacher_embeds: Tensor | None,
        target_teacher_embeds: Tensor | None,
    ) -> dict[str, Tensor]:
        """Return the unweighted terms by name, over the batches of all processes.

        Args:
            images: The encoded images.
            texts: The output so far; its `source_embeds` and `target_embeds` are used.
            logit_scale: Inverse temperature, a scalar.
            visual_attention_mask: As in `LeccrModel.forward`, like what follows.
            image_ids: (B,).
            target_weights: (B,).
            source_teacher_embeds: (B, D_t).
            target_teacher_embeds: (B, D_t).

        Raises:
            ValueError: If the teacher's embeddings are missing or contradict each other.
        """
        check_teacher_embeds(self.config, texts.target_embeds, source_teacher_embeds, target_teacher_embeds)
        slot_vectors, vision_vectors = images.slot_vectors, images.vision_vectors
        if slot_vectors is None:
            slot_vectors, vision_vectors = self.slot_vision_vectors(images, visual_attention_mask)
        if image_ids is None:
            image_ids = different_image_ids(len(images.image_embeds), images.image_embeds.device)
        inputs = MatchingInputs(
            images.image_embeds,
            texts.source_embeds,
            texts.target_embeds,
            images.image_views,
            images.slot_embeds,
            images.undescribed_embeds,
            images.slots,
            slot_vectors,
            vision_vectors,
            image_ids,
            target_weights,
            source_teacher_embeds,
            target_teacher_embeds,
        )
        # Half precision would round scores, which the temperature multiplies by up to 100.
        device = images.image_embeds.device.type
        exact = torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
        with exact:
            return matching_terms(inputs.gathered(), self.config, logit_scale)

    def slot_vision_vectors(self, images: LeccrImageOutput, mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Return slot and vision vectors (B, d) for slot-vision matching; None without slots, or at weight zero.

        Args:
            images: The encoded images.
            mask: (B, N), zero at padding of the visual tokens; None if all are real.
        """
        if images.slots is None or not self.config.slot_vision_weight:
            return None, None
        slots, tokens = self.slot_projection(images.slots), self.vision_projection(images.vision_tokens)
        return slot_vision_vectors(slots, tokens, mask)


def matching_terms(inputs: MatchingInputs, config: LeccrConfig, logit_scale: Tensor) -> dict[str, Tensor]:
    """Compute every term that the batch allows and the configuration gives a weight (DESIGN names in brackets).

    Args:
        inputs: Embeddings of the batch, already joined over processes.
        config: The model's configuration.
        logit_scale: Inverse temperature, a scalar.

    Returns:
        Unweighted terms by name: `loss_vision_source` (L_vs), `loss_vision_target` (L_vt), `loss_source_target`
        (L_st), `loss_slot_source` and `loss_slot_target` (L_c), `loss_slot_diversity` (L_div),
        `loss_slot_vision` (L_cv), `loss_softened` (L_soft), `loss_transfer` (KL of CL2CM),
        `loss_fused_source` and `loss_fused_target`, `loss_image_only_source` and `loss_image_only_target`.
    """
    labels = same_image_labels(inputs.image_ids)
    both = inputs.source_embeds is not None and inputs.target_embeds is not None
    wanted = _wanted_terms(config, both)
    texts = {"source": (inputs.source_embeds, None), "target": (inputs.target_embeds, inputs.target_weights)}
    views = None if inputs.slot_embeds is None else inputs.image_views
    images = {
        "vision": inputs.image_embeds,
        # Without descriptions the image is alone in any case.
        "image_only": inputs.undescribed_embeds if config.takes_descriptions else None,
        "slot": inputs.slot_embeds,
        "fused": views,
    }
    terms: dict[str, Tensor] = {}
    for language, (text_embeds, weights) in texts.items():
        for kind, image_embeds in images.items():
            name = f"loss_{kind}_{language}"
            if text_embeds is not None and image_embeds is not None and name in wanted:
                logits = logit_scale * _scores(text_embeds, image_embeds)
                terms[name] = contrastive_loss(logits, labels, weights)
    if inputs.slots is not None and "loss_slot_diversity" in wanted:
        terms["loss_slot_diversity"] = slot_diversity_loss(inputs.slots, config.signed_diversity)
    if inputs.slot_vectors is not None and "loss_slot_vision" in wanted:
        logits = inputs.slot_vectors @ inputs.vision_vectors.T / config.slot_vision_temperature
        terms["loss_slot_vision"] = contrastive_loss(logits, labels)
    if both and "loss_source_target" in wanted:
        logits = logit_scale * inputs.target_embeds @ inputs.source_embeds.T
        terms["loss_source_target"] = contrastive_loss(logits, labels, inputs.target_weights)
    if both and "loss_softened" in wanted:
        terms["loss_softened"] = _softened_term(inputs, config, logit_scale)
    if inputs.target_embeds is not None and "loss_transfer" in wanted:
        terms["loss_transfer"] = _transfer_term(inputs, config, logit_scale)
    return terms


def _scores(text_embeds: Tensor, image_embeds: Tensor) -> Tensor:
    """Score texts (T, D) against images (B, D), or against the best of their views (B, K, D): (T, B)."""
    return text_embeds @ image_embeds.T if image_embeds.dim() == 2 else best_slot_scores(text_embeds, image_embeds)


def _wanted_terms(config: LeccrConfig, softened: bool) -> set[str]:
    """Return the terms to compute: those that have a weight, and matching with slots where only it trains them.

    Distributed training stops at weights that take no part in the loss.
    """
    wanted = {name for name, weight in _term_weights(config, softened).items() if weight}
    return wanted if config.fused_weight else wanted | {"loss_slot_source", "loss_slot_target"}


def _softened_term(inputs: MatchingInputs, config: LeccrConfig, logit_scale: Tensor) -> Tensor:
    teacher = inputs.source_embeds @ inputs.image_embeds.T
    if inputs.slot_embeds is not None:
        slot_scores = best_slot_scores(inputs.source_embeds, inputs.slot_embeds)
        teacher = teacher_scores(teacher, slot_scores, config.beta)
    student = logit_scale * inputs.target_embeds @ inputs.image_embeds.T
    return softened_matching_loss(student, teacher / config.teacher_temperature, inputs.target_weights)


def _transfer_term(inputs: MatchingInputs, config: LeccrConfig, logit_scale: Tensor) -> Tensor:
    """KL between how the teacher ranks source captions and how the student ranks their images, in both directions.

    From the abstract of arXiv 2312.08984: a cross-lingual network that is trained first hands its knowledge to the
    cross-modal one. This form of it, the temperature and the weight are our reconstruction.
    """
    source_teacher, target_teacher = (
        functional.normalize(at_least_float32(embeds), dim=-1)
        for embeds in (inputs.source_teacher_embeds, inputs.target_teacher_embeds)
    )
    teacher = target_teacher @ source_teacher.T / config.transfer_temperature
    student = logit_scale * inputs.target_embeds @ inputs.image_embeds.T
    return softened_matching_loss(student, teacher, inputs.target_weights)


def weighted_total(terms: dict[str, Tensor], config: LeccrConfig) -> Tensor:
    """Sum the terms with the configuration's weights.

    Those of LECCR are in section 3.4 of arXiv 2409.19961. CL2CM's total, with softened_weight and source_target_weight
    at zero, is L_vs + L_vt + w_kd·KL (our reconstruction).
    """
    weights = _term_weights(config, "loss_softened" in terms)
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def _term_weights(config: LeccrConfig, softened: bool) -> dict[str, float]:
    """Return the weight of each term, in a batch with softened matching or without."""
    softened_weight = config.softened_weight if softened else 0.0
    return {
        "loss_vision_source": 1.0,
        "loss_vision_target": 1.0 - softened_weight,
        "loss_softened": softened_weight,
        "loss_transfer": config.transfer_weight,
        "loss_source_target": config.source_target_weight,
        "loss_slot_source": config.slot_weight,
        "loss_slot_target": config.slot_weight,
        "loss_slot_diversity": config.diversity_weight,
        "loss_slot_vision": config.slot_vision_weight,
        "loss_fused_source": config.fused_weight,
        "loss_fused_target": config.fused_weight,
        "loss_image_only_source": config.image_only_weight,
        "loss_image_only_target": config.image_only_weight,
    }
