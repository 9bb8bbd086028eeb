"""Attention layers of the LECCR interaction (section 3 of arXiv 2409.19961)."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init


def masked_mean(states: Tensor, mask: Tensor | None) -> Tensor:
    """Average `states` (B, N, d) over the positions where `mask` (B, N) is true; no mask means all of them."""
    if mask is None:
        return states.mean(dim=1)
    weights = mask.to(states.dtype).unsqueeze(-1)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


class MultiHeadAttention(nn.Module):
    """Multi-head attention of queries over a memory.

    Args:
        width: Width of queries and memory.
        heads: Number of heads; divides `width`.
        dropout: Dropout of the attention weights while training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def _split(self, tensor: Tensor) -> Tensor:
        return tensor.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from `queries` (B, Q, d) to `memory` (B, M, d) where the boolean `mask` (B, M) is true."""
        attended = functional.scaled_dot_product_attention(
            self._split(self.q_proj(queries)),
            self._split(self.k_proj(memory)),
            self._split(self.v_proj(memory)),
            attn_mask=None if mask is None else mask[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def attention_weights(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the attention (B, Q, M), averaged over heads, that `forward` uses; for explanations."""
        q, k = self._split(self.q_proj(queries)), self._split(self.k_proj(memory))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
        return scores.softmax(dim=-1).mean(dim=1)


class CrossAttentionLayer(nn.Module):
    """One interaction layer: y = LayerNorm(x + Drop(W2 · Drop(GELU(W1 · MHA(x, memory, memory)))))."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads, dropout)
        self.linear1 = nn.Linear(width, width)
        self.linear2 = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Update `hidden` (B, Q, d) from `memory` (B, M, d) under the boolean `mask` (B, M)."""
        update = functional.gelu(self.linear1(self.attention(hidden, memory, mask)))
        return self.norm(hidden + self.dropout(self.linear2(self.dropout(update))))


class CrossAttentionStack(nn.Module):
    """Several `CrossAttentionLayer` over one memory; with `memory=None` it is a self-attention stack."""

    def __init__(self, depth: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossAttentionLayer(width, heads, dropout) for _ in range(depth))

    def forward(self, hidden: Tensor, memory: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Run the layers on `hidden` (B, Q, d) with `memory` (B, M, d), or with itself when memory is None."""
        for layer in self.layers:
            hidden = layer(hidden, hidden if memory is None else memory, mask)
        return hidden

    def last_attention(self, hidden: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the attention (B, Q, M) of the last layer, averaged over heads; inputs as in `forward`."""
        *first, last = self.layers
        for layer in first:
            hidden = layer(hidden, memory, mask)
        return cast(CrossAttentionLayer, last).attention.attention_weights(hidden, memory, mask)


class SpaceProjection(nn.Linear):
    """Linear map into the shared space that starts as the identity where both have one width.

    A second linear layer after the one that projects visual tokens adds nothing at the start but a random rotation,
    which slows down training from scratch.
    """

    def reset_parameters(self) -> None:
        """Set the identity, or Xavier's random weights where the widths differ."""
        if self.in_features == self.out_features:
            init.eye_(self.weight)
        else:
            init.xavier_uniform_(self.weight)
        init.zeros_(self.bias)


class PassingProjection(SpaceProjection):
    """Linear map that starts by passing on as many of the first channels as it has outputs.

    For states of a pretrained tower, whose own space is worth keeping.
    """

    def reset_parameters(self) -> None:
        """Set an identity that ends with the smaller width."""
        init.eye_(self.weight)
        init.zeros_(self.bias)


class AddedProjection(SpaceProjection):
    """Linear map that starts at zero, whose output is added to something that is good already."""

    def reset_parameters(self) -> None:
        """Set zeros."""
        init.zeros_(self.weight)
        init.zeros_(self.bias)


class LearnedTokens(nn.Module):
    """A few learned vectors. They start random: vectors that start equal would stay equal.

    Args:
        count: How many vectors.
        width: Their width.
        initializer_range: Standard deviation of their initial values.
    """

    def __init__(self, count: int, width: int, initializer_range: float) -> None:
        super().__init__()
        self.initializer_range = initializer_range
        self.weight = nn.Parameter(torch.empty(count, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors again from N(0, initializer_range)."""
        init.normal_(self.weight, mean=0.0, std=self.initializer_range)


class Gate(nn.Module):
    """One learned scalar.

    Args:
        initial: Its value before training.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.initial = initial
        self.weight = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the scalar to its initial value."""
        init.constant_(self.weight, self.initial)


class LearnedShare(nn.Module):
    """A learned number between 0 and 1.

    Args:
        initial: Its value before training, neither 0 nor 1.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.logit = Gate(math.log(initial / (1.0 - initial)))

    def forward(self) -> Tensor:
        """Return the number, a scalar."""
        return self.logit.weight.sigmoid()


class Trust(nn.Module):
    """Weighs texts by how well they fit their image: w = sigmoid(10·(a·cos(image, t) + b)), with learned a and b.

    Not in the paper. A description that a weak model wrote may speak of something else. At first all are trusted. The
    factor lets a and b, small numbers that learn as slowly as other weights do, tell cosines apart.
    """

    scale = 10.0

    def __init__(self) -> None:
        super().__init__()
        self.slope = Gate(0.0)
        self.offset = Gate(0.3)

    def forward(self, image: Tensor, texts: Tensor) -> Tensor:
        """Weigh texts (..., D) by images (..., D), both of unit length: (..., 1)."""
        cosines = (image * texts).sum(dim=-1, keepdim=True)
        return (self.scale * (self.slope.weight * cosines + self.offset.weight)).sigmoid()


class FeatureStandardizer(nn.Module):
    """Subtracts stored means from features and divides by stored deviations, channel by channel.

    Args:
        width: Number of channels F.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def reset_parameters(self) -> None:
        """Go back to the identity."""
        init.zeros_(self.mean)
        init.ones_(self.deviation)

    def set(self, mean: Tensor, deviation: Tensor) -> None:
        """Store the mean and the deviation (F,) of each channel."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def forward(self, features: Tensor) -> Tensor:
        """Standardise (..., F)."""
        return (features - self.mean) / self.deviation
