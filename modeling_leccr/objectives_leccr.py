"""The objectives of LECCR (arXiv 2409.19961) as pure functions of score and feature matrices.

Throughout, B is the batch, T a number of texts, K the slots, N the visual tokens, d the interaction width and D the
shared space. Score matrices have texts in rows and images in columns. Half-precision inputs are raised to float32
before anything is exponentiated or normalised; float32 and float64 inputs keep their precision.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class _GatherWithGradient(torch.autograd.Function):
    # torch.distributed.nn.functional.all_gather has the same gradient, but PyTorch deprecates it in favour of a private
    # function.
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.batch_size = tensor.shape[0]
        shards = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
        dist.all_gather(shards, tensor.contiguous())
        return torch.cat(shards)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Cloned because the reduction is in place and autograd may hand the same tensor to other consumers.
        summed = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed.narrow(0, dist.get_rank() * ctx.batch_size, ctx.batch_size)


def all_gather_with_gradient(tensor: Tensor) -> Tensor:
    """Join the batches of all processes, in rank order, and let the gradient reach every process's part.

    Let W processes each compute the same loss L on the joined batch. In the backward pass each of them holds dL/dx for
    the whole batch; their sum, cut to the rows of one process, is W times that process's share of the gradient.
    `DistributedDataParallel` divides the summed parameter gradients by W, which leaves exactly the gradient of one
    process that sees the joined batch. A parameter used after the join (the temperature) has the full gradient on every
    process already, and its average is the same. A term that is a plain mean over rows (slot diversity) needs no join:
    the average of the processes' means has the right gradient too, although each process then reports its own value.

    Every process must call this in the same order with the same shape (drop the last incomplete batch): unequal batches
    cannot be joined. It can be differentiated once only.

    Args:
        tensor: (B, ...) of any type. Types without gradient, such as ids and masks, are joined as they are.

    Returns:
        (W·B, ...), or `tensor` itself when there is a single process.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return tensor
    joined: Tensor = _GatherWithGradient.apply(tensor)
    return joined


def gather_slots(slots: Tensor | None) -> Tensor | None:
    """Join the slots (B, K, D) of all processes, where K may differ, as `all_gather_with_gradient` does.

    Images with fewer slots repeat their first one, which changes no largest inner product.
    """
    if slots is None or not (dist.is_available() and dist.is_initialized()):
        return slots
    most = torch.tensor(slots.shape[1], device=slots.device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    filler = slots[:, :1].expand(-1, int(most) - slots.shape[1], -1)
    return all_gather_with_gradient(torch.cat([slots, filler], dim=1))


def same_image_labels(image_ids: Tensor) -> Tensor:
    """Return soft labels under which captions of one image are not negatives of each other.

    Args:
        image_ids: (B,) integers; equal ids mean the same image.

    Returns:
        (B, B) float32. Row i spreads a mass of one equally over the rows that share its image. It is symmetric.
    """
    same = (image_ids[:, None] == image_ids[None, :]).float()
    return same / same.sum(dim=1, keepdim=True)


def different_image_ids(batch_size: int, device: torch.device) -> Tensor:
    """Return ids (B,) for a batch of all different images, also across processes with batches of one size."""
    rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
    return torch.arange(batch_size, device=device) + rank * batch_size


def contrastive_loss(logits: Tensor, labels: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
    """Return symmetric InfoNCE: the mean of the text→image and the image→text cross entropies.

    With soft labels the smallest value is the entropy of the labels, not zero. A row of weight zero asks for nothing
    itself, but stays among the candidates of the others.

    Args:
        logits: (B, B) scores, rows texts and columns images, already divided by the temperature.
        labels: (B, B), rows summing to one and symmetric (`same_image_labels`); None pairs text i with image i.
        weights: (B,), not negative, for example the trust in each translation. Entry i weighs row i in both
            directions. Weights that sum to zero give a loss of zero.

    Returns:
        Scalar.
    """
    logits = at_least_float32(logits)
    # The cross entropy of labels that sum to one is the log of the sum less the labels' own scores. Taken together, the
    # two directions keep one matrix for the gradient, the scores, where two log-softmaxes would keep two more.
    if labels is None:
        text_to_image = image_to_text = logits.diagonal()
    else:
        own = labels.to(logits.dtype) * logits
        text_to_image, image_to_text = own.sum(dim=1), own.sum(dim=0)
    losses = logits.logsumexp(dim=1) - text_to_image + logits.logsumexp(dim=0) - image_to_text
    return weighted_mean(losses / 2, weights)


def best_slot_scores(text_embeds: Tensor, slot_embeds: Tensor) -> Tensor:
    """Score each text against the slot of each image that fits it best.

    Args:
        text_embeds: (T, D).
        slot_embeds: (B, K, D), normalised or not.

    Returns:
        (T, B) inner products, the largest over the K slots.
    """
    # `max` rather than `amax`: of equal slots only one receives the gradient, so they can grow apart.
    return torch.einsum("td,bkd->tbk", text_embeds, slot_embeds).max(dim=-1).values


def slot_diversity_loss(slots: Tensor, signed: bool = False) -> Tensor:
    """Keep the slots of one image apart.

    The squared form is least, at zero, when the slots are orthogonal. The signed form is that of the official code: it
    also rewards slots that oppose each other, and it divides by K² although the diagonal contributes nothing.

    Args:
        slots: (B, K, d), before the interaction with the visual tokens.
        signed: average cos(k, l) - [k = l] over all K² pairs in place of cos² over the pairs k ≠ l.

    Returns:
        Scalar mean over the batch; zero if K is 1.
    """
    slots = at_least_float32(slots)
    batch_size, slot_count, _ = slots.shape
    cosines = functional.cosine_similarity(slots[:, :, None], slots[:, None, :], dim=-1)
    itself = torch.eye(slot_count, dtype=torch.bool, device=slots.device)
    between_slots = cosines.masked_fill(itself, 0.0)
    if signed:
        return between_slots.mean()
    return between_slots.square().sum() / (batch_size * max(slot_count * (slot_count - 1), 1))


def slot_vision_vectors(
    slots: Tensor, vision_tokens: Tensor, vision_mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Pool slots and visual tokens so that inner products are mean cosines.

    The mean of the cosines between two sets is the inner product of their mean unit vectors. In distributed training
    these two small tensors are what has to be joined, not slots and tokens.

    Args:
        slots: (B, K, d).
        vision_tokens: (B, N, d).
        vision_mask: (B, N), non-zero where a token is real; None if all are. What padding holds has no influence.

    Returns:
        Slot vectors (B, d) and vision vectors (B, d). An image without any real token has a zero vector.
    """
    slot_vectors = functional.normalize(at_least_float32(slots), dim=-1).mean(dim=1)
    vision_tokens = at_least_float32(vision_tokens)
    if vision_mask is None:
        return slot_vectors, functional.normalize(vision_tokens, dim=-1).mean(dim=1)
    real = vision_mask.bool()
    # Padding is cleared before it is normalised, so that even NaN in it reaches neither value nor gradient.
    unit_tokens = functional.normalize(vision_tokens.masked_fill(~real[:, :, None], 0.0), dim=-1)
    return slot_vectors, unit_tokens.sum(dim=1) / real.sum(dim=1, keepdim=True).clamp(min=1)


def teacher_scores(source_image_scores: Tensor, source_slot_scores: Tensor, beta: float = 0.8) -> Tensor:
    """Blend the English scores against images and slots into the teacher of `softened_matching_loss`.

    Args:
        source_image_scores: (B, B), rows English texts and columns images.
        source_slot_scores: (B, B), the same against slots (`best_slot_scores`).
        beta: share of the image scores, from 0 to 1.

    Returns:
        (B, B) scores, not yet divided by the teacher's temperature.
    """
    return beta * source_image_scores + (1 - beta) * source_slot_scores


def softened_matching_loss(student_logits: Tensor, teacher_logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """Let the target language follow the softened matching of English: KL(teacher ‖ student) in both directions.

    Args:
        student_logits: (B, B) target-language scores over their temperature, rows texts and columns images.
        teacher_logits: (B, B) English scores (`teacher_scores`) over theirs, in the same orientation. Detached here.
        weights: (B,), not negative; entry i weighs row i in both directions. Weights that sum to zero give zero.

    Returns:
        Scalar: the mean over the batch and over the two directions (texts over images, images over texts).
    """
    student_logits = at_least_float32(student_logits)
    teacher_logits = at_least_float32(teacher_logits.detach())
    text_to_image = _divergence(student_logits, teacher_logits)
    image_to_text = _divergence(student_logits.T, teacher_logits.T)
    return weighted_mean((text_to_image + image_to_text) / 2, weights)


def at_least_float32(tensor: Tensor) -> Tensor:
    """Raise half-precision numbers to float32 and leave others as they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _divergence(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return KL(teacher ‖ student) of each row, (B,)."""
    student, teacher = student_logits.log_softmax(dim=-1), teacher_logits.log_softmax(dim=-1)
    return functional.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=-1)


def weighted_mean(row_losses: Tensor, weights: Tensor | None) -> Tensor:
    """Average the losses (B,) of the rows under weights (B,); weights that sum to zero give zero."""
    if weights is None:
        return row_losses.mean()
    weights = weights.to(row_losses.dtype)
    total = weights.sum()
    return (weights * row_losses).sum() / torch.where(total > 0, total, torch.ones_like(total))
