"""Optimal transport between the tokens of two sentences: the word-level alignment of CL2CM (arXiv 2312.08984).

The paper's abstract names an alignment at the sentence level and at the word level. That the second one is entropic
transport, its costs and its loss are our reconstruction.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from .objectives_leccr import at_least_float32, contrastive_loss, weighted_mean

# How many steps the plan is scaled in place before it goes back to logarithms: few enough that nothing can overflow.
SCALINGS = 10
# Entries of the cost matrices that one block may have: few enough to stay in a CPU's cache, a third of the time less.
BLOCK_ENTRIES = {"cpu": 2**18}
DEFAULT_BLOCK_ENTRIES = 2**26


@torch.no_grad()
def sinkhorn_plan(
    cost: Tensor, source_mask: Tensor, target_mask: Tensor, regularization: float = 0.05, iterations: int = 50
) -> Tensor:
    """Return the plan of entropic optimal transport between real tokens of equal mass (arXiv 1306.0895).

    Sinkhorn's steps run in float32 on logarithms; between two visits there, a few cheap scalings are made of the plan
    itself (stabilised scaling, arXiv 1610.06519). At last the plan is rounded to one close by that moves exactly the
    mass that there is (algorithm 2 of arXiv 1705.09634), so that marginals hold to 1e-6 after any number of iterations.

    The entropy's weight is relative: ε = `regularization` times the spread (largest less smallest) of the costs
    between two sentences' real tokens. The plan of c·cost + d is therefore that of cost, for any c > 0, and
    neither the scale of the costs nor the narrow cone in which an untrained encoder's states lie makes it flat.

    Args:
        cost: (..., L, L') of any type. What padding holds has no influence.
        source_mask: (..., L), non-zero where a token is real; broadcast over the leading dimensions.
        target_mask: (..., L'), the same.
        regularization: Above zero. Towards zero the plan becomes the optimal one and needs more iterations.
        iterations: Updates of rows and columns, at least one. At the default regularization, costs of made-up sentences
            of 6 to 20 tokens come within 0.1 % of their limit on average after 20, and within 0.01 % after 50.

    Returns:
        (..., L, L') float32 without gradient: rows sum to 1/(real source tokens), columns to 1/(real target tokens),
        padding and sentences without any token to zero.
    """
    pairs = source_mask.bool()[..., :, None] & target_mask.bool()[..., None, :]
    source_real, target_real = pairs.any(dim=-1), pairs.any(dim=-2)
    log_plan = _log_kernel(cost.float(), pairs, regularization)
    source_mass, target_mass = _uniform_mass(source_real), _uniform_mass(target_real)
    for start in range(0, iterations, SCALINGS):
        # Masks, because the rows of padding are -inf throughout.
        rows = torch.where(source_real, source_mass.log() - log_plan.logsumexp(dim=-1), 0.0)
        log_plan = log_plan + rows[..., :, None]
        columns = torch.where(target_real, target_mass.log() - log_plan.logsumexp(dim=-2), 0.0)
        log_plan = log_plan + columns[..., None, :]
        plan = log_plan.exp()
        row_scale, column_scale = torch.ones_like(rows), torch.ones_like(columns)
        for _ in range(min(SCALINGS, iterations - start) - 1):
            row_scale = _divided(source_mass, (plan * column_scale[..., None, :]).sum(dim=-1))
            column_scale = _divided(target_mass, (plan * row_scale[..., :, None]).sum(dim=-2))
        plan = plan * row_scale[..., :, None] * column_scale[..., None, :]
        log_plan = log_plan + row_scale.log()[..., :, None] + column_scale.log()[..., None, :]
    return _rounded(plan, source_mass, target_mass)


def _log_kernel(cost: Tensor, pairs: Tensor, regularization: float) -> Tensor:
    """Return -cost/ε, shifted so that the largest is zero, and -inf at padding."""
    least = cost.masked_fill(~pairs, math.inf).amin(dim=(-1, -2), keepdim=True)
    largest = cost.masked_fill(~pairs, -math.inf).amax(dim=(-1, -2), keepdim=True)
    # Divided before the regularization is, which might take a tiny spread to zero.
    relative = (cost - least) / (largest - least).clamp(min=torch.finfo(cost.dtype).tiny)
    return (-relative / regularization).masked_fill(~pairs, -math.inf)


def _uniform_mass(real: Tensor) -> Tensor:
    return real / real.sum(dim=-1, keepdim=True).clamp(min=1)


def _divided(mass: Tensor, total: Tensor) -> Tensor:
    return mass / total.clamp(min=torch.finfo(total.dtype).tiny)


def _rounded(plan: Tensor, source_mass: Tensor, target_mass: Tensor) -> Tensor:
    """Cut rows and columns to their mass, then spread what is missing over all pairs with mass left."""
    plan = plan * _divided(source_mass, plan.sum(dim=-1)).clamp(max=1.0)[..., :, None]
    plan = plan * _divided(target_mass, plan.sum(dim=-2)).clamp(max=1.0)[..., None, :]
    source_left = (source_mass - plan.sum(dim=-1)).clamp(min=0.0)
    target_left = (target_mass - plan.sum(dim=-2)).clamp(min=0.0)
    return plan + source_left[..., :, None] * _divided(target_left, target_left.sum(dim=-1, keepdim=True))[..., None, :]


def transport_costs(
    source_states: Tensor,
    target_states: Tensor,
    source_mask: Tensor,
    target_mask: Tensor,
    regularization: float = 0.05,
    iterations: int = 50,
) -> Tensor:
    """Return the cost of moving the tokens of every source sentence to every target sentence, at 1 - cosine a unit.

    The plans are constants: the gradient is that of ⟨P, C⟩ with P fixed, which at the solution is also the gradient of
    the entropic problem's value for a fixed ε.

    All pairs are computed together, a block of source sentences at a time. The plans, B·B'·L·L' float32 numbers (38 MB
    for 128 sentences of 24 tokens), are kept for the backward pass; what Sinkhorn needs besides, several times as
    much, is kept for one block only.

    Args:
        source_states: (B, L, H) token states of any type.
        target_states: (B', L', H).
        source_mask: (B, L), non-zero where a token is real. What padding holds, even NaN, has no influence.
        target_mask: (B', L').
        regularization: See `sinkhorn_plan`.
        iterations: See `sinkhorn_plan`.

    Returns:
        (B, B') float32 (float64 for such states), from 0 for tokens of equal directions to 2.
    """
    with torch.autocast(source_states.device.type, enabled=False):
        source, target = _unit_tokens(source_states, source_mask), _unit_tokens(target_states, target_mask)
        entries = source.shape[1] * target.shape[0] * target.shape[1]
        limit = BLOCK_ENTRIES.get(source.device.type, DEFAULT_BLOCK_ENTRIES)
        rows = max(limit // max(entries, 1), 1)
        blocks = []
        for states, mask in zip(source.split(rows), source_mask.split(rows)):
            cost = 1.0 - torch.einsum("ilh,jmh->ijlm", states, target)
            plan = sinkhorn_plan(
                cost.detach().contiguous(), mask[:, None], target_mask[None], regularization, iterations
            )
            blocks.append((plan.to(cost.dtype) * cost).sum(dim=(-1, -2)))
        return torch.cat(blocks)


def _unit_tokens(states: Tensor, mask: Tensor) -> Tensor:
    # Padding is cleared before it is normalised, so that even NaN in it reaches neither value nor gradient.
    return functional.normalize(at_least_float32(states).masked_fill(~mask.bool()[:, :, None], 0.0), dim=-1)


def word_alignment_loss(
    costs: Tensor, temperature: float = 0.07, labels: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """Draw the tokens of a sentence and of its translation together, and prefer the pair to other sentences.

    The sum of the mean cost of the true pairs, and of symmetric InfoNCE on the negated costs over a temperature.

    Args:
        costs: (B, B) of `transport_costs`; row i and column i are a pair.
        temperature: Divides the costs as scores against other sentences.
        labels: (B, B), rows summing to one and symmetric (`same_image_labels`); None pairs row i with column i.
        weights: (B,), not negative: the trust in each pair. Weights that sum to zero give a loss of zero.

    Returns:
        Scalar.
    """
    return weighted_mean(costs.diagonal(), weights) + contrastive_loss(-costs / temperature, labels, weights)
