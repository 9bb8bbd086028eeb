"""Each objective against a closed form, a loop written out, or the official code's numbers."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor

from modeling_leccr.objectives_leccr import (
    all_gather_with_gradient,
    best_slot_scores,
    contrastive_loss,
    same_image_labels,
    slot_diversity_loss,
    slot_vision_vectors,
    softened_matching_loss,
    teacher_scores,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def differentiable(*shape: int, seed: int = 0) -> Tensor:
    return random(*shape, seed=seed).requires_grad_()


def softmax_by_hand(scores: list[float]) -> list[float]:
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def cross_entropy_by_hand(scores: Tensor, labels: Tensor, weights: Tensor) -> float:
    """One direction of the contrastive loss; `scores` need not be square."""
    loss = 0.0
    for row_scores, row_labels, weight in zip(scores.tolist(), labels.tolist(), weights.tolist(), strict=True):
        probabilities = softmax_by_hand(row_scores)
        loss -= weight * sum(label * math.log(p) for label, p in zip(row_labels, probabilities, strict=True))
    return loss / float(weights.sum())


def divergence_by_hand(student: Tensor, teacher: Tensor, weights: Tensor) -> float:
    loss = 0.0
    for student_row, teacher_row, weight in zip(student.tolist(), teacher.tolist(), weights.tolist(), strict=True):
        pairs = zip(softmax_by_hand(teacher_row), softmax_by_hand(student_row), strict=True)
        loss += weight * sum(p * math.log(p / q) for p, q in pairs)
    return loss / float(weights.sum())


class TestGather:
    def test_without_processes_the_input_itself_comes_back(self) -> None:
        tensor = random(3, 2)
        assert all_gather_with_gradient(tensor) is tensor

    def test_in_a_world_of_one_the_input_itself_comes_back(self, tmp_path: Path) -> None:
        dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
        try:
            tensor = random(3, 2)
            assert all_gather_with_gradient(tensor) is tensor
        finally:
            dist.destroy_process_group()


class TestSameImageLabels:
    def test_mass_is_spread_over_the_rows_of_one_image(self) -> None:
        labels = same_image_labels(torch.tensor([7, 3, 7, 9, 7]))
        third = 1 / 3
        expected = [[third, 0, third, 0, third], [0, 1, 0, 0, 0], [third, 0, third, 0, third], [0, 0, 0, 1, 0]]
        torch.testing.assert_close(labels, torch.tensor([*expected, expected[0]]))

    def test_distinct_images_give_the_identity(self) -> None:
        assert torch.equal(same_image_labels(torch.tensor([4, 2, 0])), torch.eye(3))


class TestContrastiveLoss:
    def test_two_by_two_closed_form(self) -> None:
        a, b, c, d = 1.5, -0.5, 0.25, 2.0
        logits = torch.tensor([[a, b], [c, d]], dtype=torch.float64)
        margins = [b - a, c - d, c - a, b - d]
        expected = sum(math.log1p(math.exp(margin)) for margin in margins) / 4
        assert contrastive_loss(logits).item() == pytest.approx(expected, abs=1e-12)

    def test_equal_scores_give_the_logarithm_of_the_batch(self) -> None:
        assert contrastive_loss(torch.zeros(8, 8)).item() == pytest.approx(math.log(8))

    def test_labels_and_weights_against_loops(self) -> None:
        logits, weights = 3 * random(5, 5), random(5, seed=1).abs()
        labels = same_image_labels(torch.tensor([0, 1, 1, 2, 0])).double()
        by_hand = [cross_entropy_by_hand(scores, labels, weights) for scores in (logits, logits.T)]
        assert contrastive_loss(logits, labels, weights).item() == pytest.approx(sum(by_hand) / 2, abs=1e-12)

    def test_captions_of_one_image_are_no_negatives(self) -> None:
        score = 6.0
        labels = same_image_labels(torch.tensor([0, 0, 1]))
        logits = (score * (labels > 0).double()).requires_grad_()
        pair, single = math.log(2 * math.exp(score) + 1) - score, math.log(math.exp(score) + 2) - score
        loss = contrastive_loss(logits, labels)
        assert loss.item() == pytest.approx((2 * pair + single) / 3, abs=1e-12)
        (soft,) = torch.autograd.grad(loss, logits)
        (hard,) = torch.autograd.grad(contrastive_loss(logits), logits)
        assert soft[0, 1] < 0, "the other caption of the image must be drawn near"
        assert hard[0, 1] > 0.1, "without labels it is pushed away"

    def test_equal_weights_change_nothing(self) -> None:
        logits = random(4, 4)
        torch.testing.assert_close(contrastive_loss(logits, weights=torch.full((4,), 0.3)), contrastive_loss(logits))

    def test_weightless_text_is_dropped_from_text_to_image_only(self) -> None:
        logits, weights, labels = random(4, 4), torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.eye(4)
        kept = torch.tensor([0, 2, 3])
        # Text 1 asks for no image, so its row can go; it remains a candidate for the other images.
        text_to_image = cross_entropy_by_hand(logits[kept], labels[kept], torch.ones(3))
        image_to_text = cross_entropy_by_hand(logits.T[kept], labels[kept], torch.ones(3))
        loss = contrastive_loss(logits, weights=weights).item()
        assert loss == pytest.approx((text_to_image + image_to_text) / 2, abs=1e-12)
        without_candidate = cross_entropy_by_hand(logits.T[kept][:, kept], torch.eye(3), torch.ones(3))
        assert abs(image_to_text - without_candidate) > 1e-3

    def test_weightless_pair_that_nobody_confuses_counts_as_dropped(self) -> None:
        logits, kept = random(4, 4), torch.tensor([0, 2, 3])
        logits[1, kept] = logits[kept, 1] = -1e4
        weighted = contrastive_loss(logits, weights=torch.tensor([1.0, 0.0, 1.0, 1.0]))
        torch.testing.assert_close(weighted, contrastive_loss(logits[kept][:, kept]))

    def test_weights_of_zero_give_zero_loss_and_gradient(self) -> None:
        logits = differentiable(3, 3)
        loss = contrastive_loss(logits, weights=torch.zeros(3))
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.item() == 0
        assert torch.equal(gradient, torch.zeros_like(gradient))

    def test_gradient(self) -> None:
        labels, weights = same_image_labels(torch.tensor([0, 1, 0, 2])), random(4, seed=2).abs()
        assert torch.autograd.gradcheck(lambda x: contrastive_loss(x, labels, weights), differentiable(4, 4))


class TestSoftenedMatching:
    def test_against_loops_in_both_directions(self) -> None:
        student, teacher, weights = 2 * random(4, 4), 2 * random(4, 4, seed=1), random(4, seed=2).abs()
        by_hand = divergence_by_hand(student, teacher, weights) + divergence_by_hand(student.T, teacher.T, weights)
        assert softened_matching_loss(student, teacher, weights).item() == pytest.approx(by_hand / 2, abs=1e-12)
        unweighted = divergence_by_hand(student, teacher, torch.ones(4))
        unweighted += divergence_by_hand(student.T, teacher.T, torch.ones(4))
        assert softened_matching_loss(student, teacher).item() == pytest.approx(unweighted / 2, abs=1e-12)

    def test_student_like_teacher_has_neither_loss_nor_gradient(self) -> None:
        student = differentiable(4, 4)
        loss = softened_matching_loss(student, student.detach().clone())
        (gradient,) = torch.autograd.grad(loss, student)
        assert loss.item() == 0
        assert gradient.abs().max() < 1e-15

    def test_transposed_teacher_is_another_teacher(self) -> None:
        student = random(4, 4)
        assert softened_matching_loss(student, student.T) > 0.1

    def test_teacher_receives_no_gradient(self) -> None:
        student, teacher = differentiable(4, 4), differentiable(4, 4, seed=1)
        softened_matching_loss(student, teacher).backward()
        assert teacher.grad is None
        assert student.grad is not None and student.grad.abs().max() > 0.01

    def test_weights_of_zero_give_zero_loss_and_gradient(self) -> None:
        student = differentiable(3, 3)
        loss = softened_matching_loss(student, random(3, 3, seed=1), torch.zeros(3))
        (gradient,) = torch.autograd.grad(loss, student)
        assert loss.item() == 0
        assert torch.equal(gradient, torch.zeros_like(gradient))

    def test_gradient(self) -> None:
        teacher, weights = random(4, 4, seed=1), random(4, seed=2).abs()
        assert torch.autograd.gradcheck(lambda x: softened_matching_loss(x, teacher, weights), differentiable(4, 4))


def test_teacher_scores_blend_images_and_slots() -> None:
    images, slots = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(teacher_scores(images, slots), torch.tensor([[0.8, 0.2]]))
    assert torch.equal(teacher_scores(images, slots, beta=0.25), torch.tensor([[0.25, 0.75]]))


OBJECTIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "contrastive": lambda x: contrastive_loss(60 * x[:, 0, :6], same_image_labels(torch.tensor([0, 1, 1, 2, 3, 4]))),
    "weighted": lambda x: contrastive_loss(60 * x[:, 0, :6], weights=x[:, 1, 0].abs()),
    "diversity": slot_diversity_loss,
    "signed diversity": lambda x: slot_diversity_loss(x, signed=True),
    "slot-vision vectors": lambda x: torch.cat(slot_vision_vectors(x, x.flip(0), x[:, :, 0] > -1)),
    "softened": lambda x: softened_matching_loss(60 * x[:, 0, :6], 60 * x[:, 1, :6]),
}


@pytest.mark.parametrize("name", OBJECTIVES)
class TestPrecision:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_inputs_are_computed_in_float32(self, name: str, dtype: torch.dtype) -> None:
        # Multiples of 1/8 below 4, sixty times which is exact in both half types.
        inputs = (random(6, 4, 8) * 8).round().clamp(-31, 31) / 8
        half = OBJECTIVES[name](inputs.to(dtype))
        assert half.dtype == torch.float32
        torch.testing.assert_close(half.double(), OBJECTIVES[name](inputs), rtol=1e-5, atol=1e-5)

    def test_float64_stays_float64(self, name: str) -> None:
        assert OBJECTIVES[name](random(6, 4, 8)).dtype == torch.float64

    def test_autocast_changes_nothing(self, name: str) -> None:
        inputs = random(6, 4, 8).float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            autocast = OBJECTIVES[name](inputs)
        assert torch.equal(autocast, OBJECTIVES[name](inputs))


@pytest.mark.parametrize("kind", ["image", "video"])
class TestOfficialNumbers:
    """The official code, with random weights: temperature 0.07 and two captions of one image in the batch."""

    @pytest.fixture
    def outputs(self, shared_dir: Path, kind: str) -> dict[str, Tensor]:
        folder = shared_dir / "golden" / f"official-leccr-{kind}"
        return load_file(folder / "outputs.safetensors") | load_file(folder / "inputs.safetensors")

    @pytest.mark.parametrize("first, second", [("source", "vision"), ("target", "vision"), ("target", "source")])
    def test_contrastive(self, outputs: dict[str, Tensor], first: str, second: str) -> None:
        embeds = {name: outputs[f"{'image' if name == 'vision' else name}_embeds"] for name in (first, second)}
        labels = same_image_labels(outputs["image_ids"])
        loss = contrastive_loss(embeds[first] @ embeds[second].T / 0.07, labels)
        torch.testing.assert_close(loss, outputs[f"loss_{second}_{first}"], rtol=0, atol=1e-4)
        assert abs(loss - contrastive_loss(embeds[first] @ embeds[second].T / 0.07)) > 1e-3

    @pytest.mark.parametrize("language", ["source", "target"])
    def test_slot_contrastive_with_diagonal_labels(self, outputs: dict[str, Tensor], language: str) -> None:
        scores = best_slot_scores(outputs[f"{language}_embeds"], outputs["slot_embeds"])
        loss = contrastive_loss(scores / 0.07)
        torch.testing.assert_close(loss, outputs[f"loss_slot_{language}"], rtol=0, atol=1e-4)

    def test_signed_diversity(self, outputs: dict[str, Tensor]) -> None:
        loss = slot_diversity_loss(outputs["slots"], signed=True)
        torch.testing.assert_close(loss, outputs["loss_slot_diversity"], rtol=0, atol=1e-4)
