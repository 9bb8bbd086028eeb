import math

import pytest
import torch
from torch import Tensor

from modeling_leccr.objectives_leccr import (
    best_slot_scores,
    contrastive_loss,
    slot_diversity_loss,
    slot_vision_vectors,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def differentiable(*shape: int, seed: int = 0) -> Tensor:
    return random(*shape, seed=seed).requires_grad_()


def cosine_by_hand(first: Tensor, second: Tensor) -> float:
    return float(first @ second / (first.norm() * second.norm()))


class TestBestSlotScores:
    def test_against_loops(self) -> None:
        texts, slots = random(5, 6), random(3, 4, 6, seed=1)
        expected = [[max(float(slot @ text) for slot in image) for image in slots] for text in texts]
        torch.testing.assert_close(best_slot_scores(texts, slots), torch.tensor(expected, dtype=torch.float64))

    def test_only_one_of_equal_slots_receives_the_gradient(self) -> None:
        slots = random(1, 1, 6).expand(1, 3, 6).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(best_slot_scores(random(1, 6, seed=1), slots).sum(), slots)
        assert (gradient.abs().sum(-1) > 0).sum() == 1


class TestSlotDiversity:
    @pytest.mark.parametrize("signed", [False, True])
    def test_against_loops(self, signed: bool) -> None:
        slots, total = random(3, 4, 5), 0.0
        for image in slots:
            cosines = [cosine_by_hand(image[k], image[other]) for k in range(4) for other in range(4) if k != other]
            total += sum(cosines) / 16 if signed else sum(cosine**2 for cosine in cosines) / 12
        assert slot_diversity_loss(slots, signed).item() == pytest.approx(total / 3, abs=1e-12)

    def test_orthogonal_slots_are_the_minimum(self) -> None:
        orthogonal = (torch.linalg.qr(random(2, 6, 4)).Q.mT * 3).requires_grad_()
        loss = slot_diversity_loss(orthogonal)
        (gradient,) = torch.autograd.grad(loss, orthogonal)
        assert loss.item() == pytest.approx(0, abs=1e-28)
        assert gradient.abs().max() < 1e-14
        assert all(slot_diversity_loss(orthogonal.detach() + 0.1 * random(2, 4, 6, seed=s)) > 1e-6 for s in range(5))

    def test_opposed_slots_please_the_signed_form_only(self) -> None:
        slot = random(2, 1, 5)
        opposed = torch.cat([slot, -slot], dim=1)
        assert slot_diversity_loss(opposed).item() == pytest.approx(1)
        assert slot_diversity_loss(opposed, signed=True).item() == pytest.approx(-0.5)

    @pytest.mark.parametrize("signed", [False, True])
    def test_a_single_slot_gives_zero(self, signed: bool) -> None:
        slots = differentiable(3, 1, 5)
        loss = slot_diversity_loss(slots, signed)
        (gradient,) = torch.autograd.grad(loss, slots)
        assert loss.item() == 0
        assert torch.equal(gradient, torch.zeros_like(gradient))

    @pytest.mark.parametrize("signed", [False, True])
    def test_gradient(self, signed: bool) -> None:
        assert torch.autograd.gradcheck(lambda x: slot_diversity_loss(x, signed), differentiable(2, 3, 4))


def slot_vision_scores(slots: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
    slot_vectors, vision_vectors = slot_vision_vectors(slots, tokens, mask)
    return slot_vectors @ vision_vectors.T


class TestSlotVision:
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]])

    @pytest.mark.parametrize("masked", [False, True])
    def test_against_loops(self, masked: bool) -> None:
        slots, tokens, mask = random(3, 2, 5), random(3, 4, 5, seed=1), self.mask if masked else torch.ones(3, 4)
        expected = torch.empty(3, 3, dtype=torch.float64)
        for row, slot_set in enumerate(slots):
            for column, image in enumerate(tokens):
                real = [token for token, valid in zip(image, mask[column], strict=True) if valid]
                cosines = [cosine_by_hand(slot, token) for slot in slot_set for token in real]
                expected[row, column] = sum(cosines) / len(cosines)
        torch.testing.assert_close(slot_vision_scores(slots, tokens, mask if masked else None), expected)

    def test_kind_of_mask_makes_no_difference(self) -> None:
        slots, tokens = random(3, 2, 5), random(3, 4, 5, seed=1)
        expected = slot_vision_scores(slots, tokens, self.mask.bool())
        assert torch.equal(slot_vision_scores(slots, tokens, self.mask), expected)
        assert torch.equal(slot_vision_scores(slots, tokens, self.mask.float()), expected)

    def test_padding_reaches_neither_value_nor_gradient(self) -> None:
        slots, tokens = random(3, 2, 5), random(3, 4, 5, seed=1)
        spoilt = tokens.masked_fill(self.mask[:, :, None] == 0, math.nan).requires_grad_()
        scores = slot_vision_scores(slots, spoilt, self.mask)
        (gradient,) = torch.autograd.grad(contrastive_loss(scores), spoilt)
        torch.testing.assert_close(scores, slot_vision_scores(slots, tokens, self.mask))
        assert gradient.isfinite().all()
        assert torch.equal(gradient.abs().sum(-1) > 0, self.mask.bool())

    def test_an_image_of_padding_alone_has_a_zero_vector(self) -> None:
        _, vision = slot_vision_vectors(random(2, 2, 5), random(2, 4, 5), torch.tensor([[1] * 4, [0] * 4]))
        assert torch.equal(vision[1], torch.zeros(5, dtype=torch.float64))

    def test_gradient(self) -> None:
        inputs = differentiable(3, 2, 5), differentiable(3, 4, 5, seed=1)
        assert torch.autograd.gradcheck(lambda s, v: slot_vision_scores(s, v, self.mask), inputs)
