"""The attention layers against torch's own, and the small parts."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from modeling_leccr.layers_leccr import (
    CrossAttentionLayer,
    CrossAttentionStack,
    FeatureStandardizer,
    Gate,
    LearnedTokens,
    MultiHeadAttention,
    SpaceProjection,
    masked_mean,
)

from .tiny import random

WIDTH, HEADS = 16, 4
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 0]]).bool()


@pytest.fixture
def attention() -> MultiHeadAttention:
    torch.manual_seed(0)
    return MultiHeadAttention(WIDTH, HEADS, dropout=0.5).eval()


def torch_attention(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    reference = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    projections = (ours.q_proj, ours.k_proj, ours.v_proj)
    reference.load_state_dict(
        {
            "in_proj_weight": torch.cat([projection.weight for projection in projections]),
            "in_proj_bias": torch.cat([projection.bias for projection in projections]),
            "out_proj.weight": ours.out_proj.weight,
            "out_proj.bias": ours.out_proj.bias,
        }
    )
    return reference


class TestMultiHeadAttention:
    @pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
    def test_like_torch(self, attention: MultiHeadAttention, mask: torch.Tensor | None) -> None:
        queries, memory = random(3, 2, WIDTH), random(3, 5, WIDTH, seed=1)
        padding = None if mask is None else ~mask
        expected, weights = torch_attention(attention)(queries, memory, memory, key_padding_mask=padding)
        torch.testing.assert_close(attention(queries, memory, mask), expected)
        torch.testing.assert_close(attention.attention_weights(queries, memory, mask), weights)

    def test_padding_has_no_influence(self, attention: MultiHeadAttention) -> None:
        queries, memory = random(3, 2, WIDTH), random(3, 5, WIDTH, seed=1)
        spoilt = memory.masked_fill(~MASK.unsqueeze(-1), 1e4)
        torch.testing.assert_close(attention(queries, spoilt, MASK), attention(queries, memory, MASK))

    def test_dropout_only_while_training(self, attention: MultiHeadAttention) -> None:
        queries, memory = random(3, 2, WIDTH), random(3, 5, WIDTH, seed=1)
        assert torch.equal(attention(queries, memory), attention(queries, memory))
        attention.train()
        assert not torch.equal(attention(queries, memory), attention(queries, memory))


class TestCrossAttention:
    def test_layer_is_the_published_formula(self) -> None:
        torch.manual_seed(0)
        layer = CrossAttentionLayer(WIDTH, HEADS, dropout=0.1).eval()
        with torch.no_grad():
            layer.norm.weight.uniform_(0.5, 1.5)
            layer.norm.bias.normal_()
        hidden, memory = random(3, 2, WIDTH), random(3, 5, WIDTH, seed=1)
        attended = torch_attention(layer.attention)(hidden, memory, memory)[0]
        update = functional.gelu(attended @ layer.linear1.weight.T + layer.linear1.bias)
        total = hidden + update @ layer.linear2.weight.T + layer.linear2.bias
        centred = total - total.mean(-1, keepdim=True)
        expected = centred / (total.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        torch.testing.assert_close(layer(hidden, memory), expected * layer.norm.weight + layer.norm.bias)

    def test_stack_runs_every_layer_on_one_memory(self) -> None:
        torch.manual_seed(0)
        stack = CrossAttentionStack(3, WIDTH, HEADS, dropout=0.1).eval()
        hidden, memory = random(3, 2, WIDTH), random(3, 5, WIDTH, seed=1)
        expected = hidden
        for layer in stack.layers:
            expected = layer(expected, memory, MASK)
        assert len(stack.layers) == 3
        assert torch.equal(stack(hidden, memory, MASK), expected)

    def test_without_memory_it_attends_to_itself(self) -> None:
        torch.manual_seed(0)
        stack = CrossAttentionStack(2, WIDTH, HEADS, dropout=0.1).eval()
        hidden = random(3, 5, WIDTH)
        first = stack.layers[0](hidden, hidden, MASK)
        assert torch.equal(stack(hidden, mask=MASK), stack.layers[1](first, first, MASK))

    def test_a_stack_of_no_layers_changes_nothing(self) -> None:
        hidden = random(3, 5, WIDTH)
        assert torch.equal(CrossAttentionStack(0, WIDTH, HEADS, dropout=0.1)(hidden), hidden)


class TestMaskedMean:
    def test_without_mask(self) -> None:
        states = random(2, 4, 3)
        torch.testing.assert_close(masked_mean(states, None), states.mean(1))

    def test_only_real_positions_count(self) -> None:
        states, mask = random(2, 4, 3), torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1]]).bool()
        expected = torch.stack([(states[0, 0] + states[0, 2]) / 2, states[1].mean(0)])
        torch.testing.assert_close(masked_mean(states, mask), expected)


class TestSpaceProjection:
    def test_it_starts_as_the_identity_where_the_widths_agree(self) -> None:
        states = random(3, 6)
        torch.testing.assert_close(SpaceProjection(6, 6)(states), states)

    def test_it_starts_random_where_they_differ(self) -> None:
        projection = SpaceProjection(6, 4)
        assert projection.weight.std() > 0.1 and torch.equal(projection.bias, torch.zeros(4))


def test_learned_tokens_start_different_and_can_be_drawn_again() -> None:
    tokens = LearnedTokens(4, 64, 0.5)
    before = tokens.weight.detach().clone()
    assert torch.pdist(before).min() > 1
    assert before.std() == pytest.approx(0.5, rel=0.2)
    tokens.reset_parameters()
    assert not torch.equal(tokens.weight, before)


def test_gate_starts_at_its_value_and_returns_to_it() -> None:
    gate = Gate(0.25)
    assert gate.weight.shape == () and gate.weight.item() == 0.25
    gate.weight.data.fill_(3.0)
    gate.reset_parameters()
    assert gate.weight.item() == 0.25


class TestFeatureStandardizer:
    def test_starts_as_the_identity(self) -> None:
        features = random(2, 3, 5)
        assert torch.equal(FeatureStandardizer(5)(features), features)

    def test_standardises_each_channel(self) -> None:
        standardizer, features = FeatureStandardizer(5), 3 * random(100, 5) + 7
        standardizer.mean.copy_(features.mean(0))
        standardizer.deviation.copy_(features.std(0))
        result = standardizer(features)
        torch.testing.assert_close(result.mean(0), torch.zeros(5), rtol=0, atol=1e-5)
        torch.testing.assert_close(result.std(0), torch.ones(5))

    def test_its_statistics_are_saved_but_not_trained(self) -> None:
        standardizer = FeatureStandardizer(5)
        assert set(standardizer.state_dict()) == {"mean", "deviation"}
        assert not list(standardizer.parameters())
