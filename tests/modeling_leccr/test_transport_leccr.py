"""Optimal transport between tokens, against an exact solver, and the word-level loss that is made of it."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor
from torch.nn import functional

from modeling_leccr import transport_leccr
from modeling_leccr.objectives_leccr import contrastive_loss, same_image_labels
from modeling_leccr.transport_leccr import sinkhorn_plan, transport_costs, word_alignment_loss

from .tiny import assert_equal, random

WIDTH = 8


def mask_of(lengths: list[int], most: int | None = None) -> Tensor:
    return torch.arange(most or max(lengths)) < torch.tensor(lengths)[:, None]


def uniform(mask: Tensor) -> Tensor:
    return mask / mask.sum(-1, keepdim=True)


def full(*shape: int) -> tuple[Tensor, Tensor]:
    """Masks of sentences without padding, for costs of this shape."""
    return torch.ones(shape[:-1]), torch.ones(*shape[:-2], shape[-1])


def costs_between(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def exact_cost(cost: Tensor) -> float:
    """The least cost of moving uniform mass, by linear programming."""
    rows, columns = cost.shape
    marginals = [np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))]
    mass = np.concatenate([np.full(rows, 1 / rows), np.full(columns, 1 / columns)])
    solution = linprog(cost.double().numpy().ravel(), A_eq=np.concatenate(marginals), b_eq=mass)
    assert solution.success
    return float(solution.fun)


def plain_sinkhorn(cost: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The algorithm as in textbooks, in double precision and without masks."""
    kernel = (-cost.double() / epsilon).exp()
    rows, columns = cost.shape
    column_scale = torch.ones(columns, dtype=torch.float64)
    for _ in range(iterations):
        row_scale = 1 / rows / (kernel @ column_scale)
        column_scale = 1 / columns / (kernel.T @ row_scale)
    return row_scale[:, None] * kernel * column_scale


class TestPlan:
    @pytest.mark.parametrize("rows, columns", [(1, 1), (1, 5), (4, 4), (3, 7), (9, 6)])
    @pytest.mark.parametrize("seed", range(3))
    def test_small_regularization_gives_the_exact_solution(self, rows: int, columns: int, seed: int) -> None:
        cost, regularization = costs_between(rows, columns, seed=seed), 0.002
        plan = sinkhorn_plan(cost, *full(rows, columns), regularization, iterations=3000)
        entropic, exact = float((plan * cost).sum()), exact_cost(cost)
        spread = float(cost.max() - cost.min())
        assert exact - 1e-5 <= entropic <= exact + regularization * spread * math.log(rows * columns) + 1e-5

    @pytest.mark.parametrize("iterations", [1, 2, 10, 11, 37])
    @pytest.mark.parametrize("regularization", [0.05, 0.5])
    def test_before_it_is_rounded_it_is_that_of_the_textbook(
        self, iterations: int, regularization: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport_leccr, "_rounded", lambda plan, *_: plan)
        cost = costs_between(5, 7)
        plan = sinkhorn_plan(cost, *full(5, 7), regularization, iterations)
        expected = plain_sinkhorn(cost, regularization * float(cost.max() - cost.min()), iterations)
        torch.testing.assert_close(plan.double(), expected, rtol=0, atol=1e-6)

    def test_regularization_decides_how_flat_it_is(self) -> None:
        cost = costs_between(6, 6)
        plans = [sinkhorn_plan(cost, *full(6, 6), regularization, 500) for regularization in (0.01, 0.1, 1.0, 1e4)]
        entropies = [float(-(plan * plan.clamp(min=1e-30).log()).sum()) for plan in plans]
        assert entropies == sorted(entropies)
        torch.testing.assert_close(plans[-1], torch.full((6, 6), 1 / 36), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
    @pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
    @pytest.mark.parametrize("iterations", [1, 50])
    def test_marginals_and_sign(self, dtype: torch.dtype, scale: float, iterations: int) -> None:
        source, target = mask_of([9, 1, 5, 7]), mask_of([3, 12, 8, 1])
        cost = (scale * costs_between(4, 9, 12)).to(dtype)
        for regularization in (1e-3, 0.05, 1.0):
            plan = sinkhorn_plan(cost, source, target, regularization, iterations)
            assert plan.dtype == torch.float32 and (plan >= 0).all()
            torch.testing.assert_close(plan.sum(-1), uniform(source), rtol=0, atol=1e-6)
            torch.testing.assert_close(plan.sum(-2), uniform(target), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("scale", [1e-30, 1e-3, 7.0, 1e3, 1e30])
    def test_scale_of_the_costs_changes_nothing(self, scale: float) -> None:
        cost = costs_between(4, 6)
        expected = sinkhorn_plan(cost, *full(4, 6))
        torch.testing.assert_close(sinkhorn_plan(scale * cost, *full(4, 6)), expected, rtol=0, atol=1e-5)

    def test_what_all_costs_have_in_common_changes_nothing(self) -> None:
        cost = costs_between(4, 6)
        expected = sinkhorn_plan(cost, *full(4, 6))
        torch.testing.assert_close(sinkhorn_plan(cost - 3.0, *full(4, 6)), expected, rtol=0, atol=1e-5)

    def test_bfloat16_is_computed_in_float32(self) -> None:
        cost = costs_between(4, 6).bfloat16()
        assert torch.equal(sinkhorn_plan(cost, *full(4, 6)), sinkhorn_plan(cost.float(), *full(4, 6)))

    def test_equal_costs_spread_the_mass_evenly(self) -> None:
        plan = sinkhorn_plan(torch.full((4, 5), 0.3), *full(4, 5))
        torch.testing.assert_close(plan, torch.full((4, 5), 1 / 20))

    def test_no_gradient(self) -> None:
        assert not sinkhorn_plan(costs_between(3, 4).requires_grad_(), *full(3, 4)).requires_grad

    @pytest.mark.parametrize("spoilt", [0.0, 1e9, -1e9, math.nan, math.inf])
    def test_padding_changes_nothing(self, spoilt: float) -> None:
        cost, source, target = costs_between(3, 5, 6), mask_of([5, 2, 4]), mask_of([6, 6, 3])
        cost = cost.masked_fill(~(source[:, :, None] & target[:, None, :]), spoilt)
        plan = sinkhorn_plan(cost, source, target)
        for row, (length, other) in enumerate(zip(source.sum(-1), target.sum(-1))):
            alone = sinkhorn_plan(cost[row, :length, :other], *full(int(length), int(other)))
            assert_equal(plan[row, :length, :other], alone)
            assert plan[row, length:].abs().sum() == 0 == plan[row, :, other:].abs().sum()

    def test_masks_of_any_kind_and_leading_dimensions(self) -> None:
        cost, source, target = costs_between(2, 3, 5, 6), mask_of([5, 3]), mask_of([6, 2, 4])
        plan = sinkhorn_plan(cost, source[:, None], target[None])
        assert torch.equal(sinkhorn_plan(cost, source[:, None].long(), target[None].float()), plan)
        for row in range(2):
            for column in range(3):
                assert_equal(plan[row, column], sinkhorn_plan(cost[row, column], source[row], target[column]))

    def test_a_sentence_without_tokens_moves_nothing(self) -> None:
        plan = sinkhorn_plan(costs_between(2, 3, 4), mask_of([0, 3]), mask_of([4, 4]))
        assert torch.equal(plan[0], torch.zeros(3, 4))
        assert plan[1].sum().item() == pytest.approx(1.0)


def sentences(seed: int, lengths: list[int]) -> tuple[Tensor, Tensor]:
    return random(len(lengths), max(lengths), WIDTH, seed=seed), mask_of(lengths)


class TestCosts:
    source, source_mask = sentences(0, [5, 2, 7])
    target, target_mask = sentences(1, [4, 6, 1, 3])

    def costs(self, source: Tensor | None = None, target: Tensor | None = None) -> Tensor:
        source = self.source if source is None else source
        target = self.target if target is None else target
        return transport_costs(source, target, self.source_mask, self.target_mask)

    def test_every_pair_is_the_pair_alone(self) -> None:
        costs = self.costs()
        assert costs.shape == (3, 4)
        for row, length in enumerate(self.source_mask.sum(-1)):
            for column, other in enumerate(self.target_mask.sum(-1)):
                source, target = self.source[row, :length], self.target[column, :other]
                cost = 1 - functional.cosine_similarity(source[:, None], target[None], dim=-1)
                plan = sinkhorn_plan(cost, *full(int(length), int(other)))
                assert_equal(costs[row, column], (plan * cost).sum())
                masks = torch.ones(1, length), torch.ones(1, other)
                assert_equal(transport_costs(source[None], target[None], *masks)[0, 0], costs[row, column])

    @pytest.mark.parametrize("entries", [1, 200, 10**9])
    def test_size_of_a_block_changes_nothing(self, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
        expected, blocks = self.costs(), []
        monkeypatch.setattr(transport_leccr, "BLOCK_ENTRIES", {"cpu": entries})
        monkeypatch.setattr(transport_leccr, "sinkhorn_plan", lambda *a: blocks.append(a) or sinkhorn_plan(*a))
        assert_equal(self.costs(), expected)
        # 7 tokens times 4 sentences of 6 make 168 entries a source sentence.
        assert len(blocks) == (1 if entries > 1000 else 3)

    def test_same_tokens_in_another_order_cost_next_to_nothing(self) -> None:
        states = functional.normalize(torch.eye(WIDTH)[:6] + 0.1 * random(6, WIDTH), dim=-1)[None]
        ones = torch.ones(1, 6)
        assert transport_costs(states, 3 * states.flip(1), ones, ones).item() < 1e-3
        assert transport_costs(states, -states, ones, ones).item() > 0.5

    def test_both_directions_cost_the_same(self) -> None:
        back = transport_costs(self.target, self.source, self.target_mask, self.source_mask, iterations=500)
        forth = transport_costs(self.source, self.target, self.source_mask, self.target_mask, iterations=500)
        torch.testing.assert_close(forth, back.T, rtol=0, atol=1e-4)

    def test_gradient_is_that_of_a_constant_plan(self) -> None:
        source, target = self.source.clone().requires_grad_(), self.target.clone().requires_grad_()
        weights = random(3, 4, seed=5)
        actual = torch.autograd.grad((weights * self.costs(source, target)).sum(), [source, target])
        cost = 1 - functional.cosine_similarity(source[:, None, :, None], target[None, :, None], dim=-1)
        plan = sinkhorn_plan(cost, self.source_mask[:, None], self.target_mask[None])
        loss = (weights[..., None, None] * plan * cost).sum()
        for gradient, expected in zip(actual, torch.autograd.grad(loss, [source, target])):
            assert expected.abs().max() > 1e-2
            assert_equal(gradient, expected)

    def test_padding_reaches_neither_value_nor_gradient(self) -> None:
        spoilt = self.source.masked_fill(~self.source_mask[..., None], math.nan).requires_grad_()
        costs = self.costs(spoilt)
        assert_equal(costs, self.costs())
        (gradient,) = torch.autograd.grad(costs.sum(), spoilt)
        assert torch.equal(gradient.abs().sum(-1) > 0, self.source_mask)

    @pytest.mark.parametrize("extra", [1, 9])
    def test_wider_padding_changes_nothing(self, extra: int) -> None:
        padded = [functional.pad(states, (0, 0, 0, extra), value=5.0) for states in (self.source, self.target)]
        masks = [functional.pad(mask, (0, extra)) for mask in (self.source_mask, self.target_mask)]
        assert_equal(transport_costs(*padded, *masks), self.costs())

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_states_are_compared_in_float32(self, dtype: torch.dtype) -> None:
        source, target = self.source.to(dtype).requires_grad_(), self.target.to(dtype)
        costs = self.costs(source, target)
        assert costs.dtype == torch.float32
        assert_equal(costs, self.costs(source.float(), target.float()))
        (gradient,) = torch.autograd.grad(costs.sum(), source)
        assert gradient.dtype == dtype and gradient.isfinite().all()

    def test_autocast_changes_nothing(self) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            costs = self.costs()
        assert torch.equal(costs, self.costs())

    def test_float64_stays_float64(self) -> None:
        assert self.costs(self.source.double(), self.target.double()).dtype == torch.float64


class TestWordAlignment:
    def test_cost_of_true_pairs_and_score_against_others(self) -> None:
        costs, weights = costs_between(4, 4), torch.tensor([1.0, 0.5, 0.0, 2.0])
        labels = same_image_labels(torch.tensor([3, 3, 5, 6]))
        own = sum(weights[row] * costs[row, row] for row in range(4)) / 3.5
        expected = own + contrastive_loss(-costs / 0.2, labels, weights)
        torch.testing.assert_close(word_alignment_loss(costs, 0.2, labels, weights), expected)

    def test_two_pairs_in_closed_form(self) -> None:
        costs = torch.tensor([[0.1, 0.6], [0.8, 0.3]])
        margins = [0.1 - 0.6, 0.3 - 0.8, 0.1 - 0.8, 0.3 - 0.6]
        expected = 0.2 + sum(math.log1p(math.exp(margin / 0.5)) for margin in margins) / 4
        assert word_alignment_loss(costs, 0.5).item() == pytest.approx(expected, abs=1e-6)

    def test_it_draws_pairs_together_and_others_apart(self) -> None:
        costs = costs_between(5, 5).requires_grad_()
        (gradient,) = torch.autograd.grad(word_alignment_loss(costs), costs)
        itself = torch.eye(5, dtype=torch.bool)
        assert (gradient[itself] > 0).all() and (gradient[~itself] <= 0).all()

    def test_weights_of_zero_give_zero(self) -> None:
        assert word_alignment_loss(costs_between(3, 3), weights=torch.zeros(3)).item() == 0

    def test_tokens_of_translations_find_each_other(self) -> None:
        """From random embeddings, words that occur in the same pairs come to lie together."""
        generator = torch.Generator().manual_seed(0)
        source_words = random(12, WIDTH, seed=1).requires_grad_()
        target_words = random(12, WIDTH, seed=2).requires_grad_()
        optimizer = torch.optim.Adam([source_words, target_words], lr=0.05)
        for _ in range(150):
            words = torch.stack([torch.randperm(12, generator=generator)[:4] for _ in range(16)])
            masks = torch.ones(16, 4), torch.ones(16, 4)
            costs = transport_costs(source_words[words], target_words[words.flip(1)], *masks, iterations=20)
            optimizer.zero_grad()
            word_alignment_loss(costs, 0.1).backward()
            optimizer.step()
        similarity = functional.cosine_similarity(source_words[:, None], target_words[None], dim=-1)
        assert torch.equal(similarity.argmax(1), torch.arange(12))
