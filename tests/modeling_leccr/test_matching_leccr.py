"""The objectives put together: which terms a batch has, what each compares, and how they are weighted."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from modeling_leccr.matching_leccr import MatchingInputs, matching_terms, weighted_total
from modeling_leccr.objectives_leccr import contrastive_loss, same_image_labels, softened_matching_loss

from .tiny import SPACE, random, tiny_config

ROWS, SLOTS, SCALE = 5, 3, 10.0
IMAGE_IDS = torch.tensor([4, 4, 7, 8, 9])
WEIGHTS = torch.tensor([1.0, 0.5, 0.0, 1.0, 2.0])

WITHOUT_SLOTS = {"vision_source", "vision_target", "source_target", "softened"}
WITH_SLOTS = WITHOUT_SLOTS | {"slot_source", "slot_target", "slot_diversity", "slot_vision"}
ONLY_TARGET = {"vision_target", "slot_target", "slot_diversity", "slot_vision"}
FUSED = {"fused_source", "fused_target"}


def unit(*shape: int, seed: int) -> Tensor:
    return functional.normalize(random(*shape, seed=seed), dim=-1)


def embeddings(**changes: Any) -> MatchingInputs:
    fields: dict[str, Any] = {
        "image_embeds": unit(ROWS, SPACE, seed=0),
        "source_embeds": unit(ROWS, SPACE, seed=1),
        "target_embeds": unit(ROWS, SPACE, seed=2),
        "image_views": random(ROWS, SLOTS, SPACE, seed=3),
        "slot_embeds": unit(ROWS, SLOTS, SPACE, seed=4),
        "undescribed_embeds": unit(ROWS, SPACE, seed=8),
        "slots": random(ROWS, SLOTS, 8, seed=5),
        "slot_vectors": random(ROWS, 8, seed=6),
        "vision_vectors": random(ROWS, 8, seed=7),
        "image_ids": IMAGE_IDS,
        "target_weights": WEIGHTS,
    }
    return MatchingInputs(**(fields | changes))


NO_SLOTS = {"slot_embeds": None, "slots": None, "slot_vectors": None, "vision_vectors": None}


def terms_of(inputs: MatchingInputs, **fields: Any) -> dict[str, Tensor]:
    return matching_terms(inputs, tiny_config(**fields), torch.tensor(SCALE))


class TestWhichTerms:
    @pytest.mark.parametrize(
        "changes, fields, expected",
        [
            ({}, {}, WITH_SLOTS),
            (NO_SLOTS, {"num_slots": 0}, WITHOUT_SLOTS),
            ({}, {"softened_weight": 0.0}, WITH_SLOTS - {"softened"}),
            ({}, {"softened_weight": 1.0}, WITH_SLOTS - {"vision_target"}),
            (
                {"source_embeds": None},
                {"softened_weight": 1.0, "diversity_weight": 0.0},
                ONLY_TARGET - {"slot_diversity"},
            ),
            (
                {},
                {"source_target_weight": 0.0, "slot_vision_weight": 0.0},
                WITH_SLOTS - {"source_target", "slot_vision"},
            ),
            # Nothing else would train the slots.
            ({}, {"slot_weight": 0.0}, WITH_SLOTS),
            ({}, {"slot_weight": 0.0, "fused_weight": 1.0}, (WITH_SLOTS | FUSED) - {"slot_source", "slot_target"}),
            ({}, {"fused_weight": 0.5}, WITH_SLOTS | FUSED),
            ({"target_embeds": None}, {}, {"vision_source", "slot_source", "slot_diversity", "slot_vision"}),
            ({"source_embeds": None}, {}, ONLY_TARGET),
        ],
    )
    def test_by_batch_and_configuration(
        self, changes: dict[str, Any], fields: dict[str, Any], expected: set[str]
    ) -> None:
        assert set(terms_of(embeddings(**changes), **fields)) == {f"loss_{name}" for name in expected}


class TestTerms:
    """Each against its definition, written out, with texts in rows."""

    labels = same_image_labels(IMAGE_IDS)

    @pytest.mark.parametrize("language, weights", [("source", None), ("target", WEIGHTS)])
    def test_texts_and_images(self, language: str, weights: Tensor | None) -> None:
        inputs = embeddings()
        texts = getattr(inputs, f"{language}_embeds")
        expected = contrastive_loss(SCALE * texts @ inputs.image_embeds.T, self.labels, weights)
        torch.testing.assert_close(terms_of(inputs)[f"loss_vision_{language}"], expected)

    @pytest.mark.parametrize("language, weights", [("source", None), ("target", WEIGHTS)])
    def test_texts_and_best_slots(self, language: str, weights: Tensor | None) -> None:
        inputs = embeddings()
        assert inputs.slot_embeds is not None
        texts = getattr(inputs, f"{language}_embeds")
        best = torch.stack([texts @ inputs.slot_embeds[:, k].T for k in range(SLOTS)]).amax(0)
        expected = contrastive_loss(SCALE * best, self.labels, weights)
        torch.testing.assert_close(terms_of(inputs)[f"loss_slot_{language}"], expected)

    @pytest.mark.parametrize("language, weights", [("source", None), ("target", WEIGHTS)])
    def test_fused_score(self, language: str, weights: Tensor | None) -> None:
        inputs = embeddings()
        texts = getattr(inputs, f"{language}_embeds")
        best = torch.stack([texts @ inputs.image_views[:, k].T for k in range(SLOTS)]).amax(0)
        expected = contrastive_loss(SCALE * best, self.labels, weights)
        torch.testing.assert_close(terms_of(inputs, fused_weight=1.0)[f"loss_fused_{language}"], expected)

    def test_source_and_target(self) -> None:
        inputs = embeddings()
        assert inputs.target_embeds is not None and inputs.source_embeds is not None
        logits = SCALE * inputs.target_embeds @ inputs.source_embeds.T
        expected = contrastive_loss(logits, self.labels, WEIGHTS)
        torch.testing.assert_close(terms_of(inputs)["loss_source_target"], expected)

    def test_slots_and_vision_have_their_own_temperature(self) -> None:
        inputs = embeddings()
        assert inputs.slot_vectors is not None and inputs.vision_vectors is not None
        expected = contrastive_loss(inputs.slot_vectors @ inputs.vision_vectors.T / 0.3, self.labels)
        torch.testing.assert_close(terms_of(inputs, slot_vision_temperature=0.3)["loss_slot_vision"], expected)

    @pytest.mark.parametrize("with_slots", [True, False])
    def test_softened_matching(self, with_slots: bool) -> None:
        inputs = embeddings(**({} if with_slots else NO_SLOTS))
        assert inputs.target_embeds is not None and inputs.source_embeds is not None
        teacher = inputs.source_embeds @ inputs.image_embeds.T
        if inputs.slot_embeds is not None:
            best = torch.stack([inputs.source_embeds @ inputs.slot_embeds[:, k].T for k in range(SLOTS)]).amax(0)
            teacher = 0.6 * teacher + 0.4 * best
        student = SCALE * inputs.target_embeds @ inputs.image_embeds.T
        expected = softened_matching_loss(student, teacher / 0.2, WEIGHTS)
        terms = terms_of(inputs, beta=0.6, teacher_temperature=0.2, num_slots=SLOTS if with_slots else 0)
        torch.testing.assert_close(terms["loss_softened"], expected)

    def test_softened_matching_teaches_the_target_language_only(self) -> None:
        inputs = embeddings()
        assert inputs.source_embeds is not None and inputs.target_embeds is not None
        for tensor in (inputs.source_embeds, inputs.target_embeds, inputs.image_embeds):
            tensor.requires_grad_()
        terms_of(inputs)["loss_softened"].backward()
        assert inputs.source_embeds.grad is None
        assert inputs.target_embeds.grad is not None and inputs.target_embeds.grad.abs().max() > 1e-4


class TestTransfer:
    """From a cross-lingual teacher, whose source captions stand for their images."""

    temperature = 0.2

    def inputs(self, teacher_width: int = 7, **changes: Any) -> MatchingInputs:
        teacher = {
            "source_teacher_embeds": random(ROWS, teacher_width, seed=8),
            "target_teacher_embeds": random(ROWS, teacher_width, seed=9),
        }
        return embeddings(**(NO_SLOTS | teacher | changes))

    def term(self, inputs: MatchingInputs, **fields: Any) -> Tensor:
        settings = {"num_slots": 0, "transfer_weight": 0.5, "transfer_temperature": self.temperature}
        return terms_of(inputs, **(settings | fields))["loss_transfer"]

    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    def test_against_loops(self, weights: Tensor | None) -> None:
        inputs = self.inputs(target_weights=weights)
        assert inputs.target_embeds is not None
        teacher = torch.empty(ROWS, ROWS)
        for text in range(ROWS):
            for image in range(ROWS):
                pair = inputs.target_teacher_embeds[text], inputs.source_teacher_embeds[image]
                teacher[text, image] = functional.cosine_similarity(*pair, dim=0) / self.temperature
        student = torch.stack([SCALE * inputs.image_embeds @ text for text in inputs.target_embeds])
        expected, total = 0.0, 0.0
        for row in range(ROWS):
            weight = 1.0 if weights is None else float(weights[row])
            total += weight
            for right, own in ((teacher[row], student[row]), (teacher[:, row], student[:, row])):
                p, q = right.softmax(0), own.softmax(0)
                expected += weight * float((p * (p / q).log()).sum()) / 2
        assert self.term(inputs).item() == pytest.approx(expected / total, rel=1e-5)

    def test_student_like_teacher_has_neither_loss_nor_gradient(self) -> None:
        texts, images = unit(ROWS, SPACE, seed=1).requires_grad_(), unit(ROWS, SPACE, seed=2).requires_grad_()
        # The teacher's embeddings may have any length.
        inputs = self.inputs(
            target_embeds=texts,
            image_embeds=images,
            target_teacher_embeds=3 * texts.detach(),
            source_teacher_embeds=0.2 * images.detach(),
        )
        loss = self.term(inputs, transfer_temperature=1 / SCALE)
        loss.backward()
        assert abs(loss.item()) < 1e-6
        assert texts.grad.abs().max() < 1e-5 and images.grad.abs().max() < 1e-5
        other = self.term(self.inputs(target_embeds=texts, image_embeds=images), transfer_temperature=1 / SCALE)
        other.backward()
        assert other > 0.1 and texts.grad.abs().max() > 1e-2 and images.grad.abs().max() > 1e-2

    def test_teacher_and_source_captions_receive_no_gradient(self) -> None:
        inputs = self.inputs()
        for name in ("source_teacher_embeds", "target_teacher_embeds", "source_embeds"):
            getattr(inputs, name).requires_grad_()
        inputs.target_embeds.requires_grad_()
        self.term(inputs).backward()
        assert inputs.target_embeds.grad is not None
        assert (
            inputs.source_teacher_embeds.grad is inputs.target_teacher_embeds.grad is inputs.source_embeds.grad is None
        )

    def test_half_precision_teacher(self) -> None:
        inputs = self.inputs()
        halves = {name: getattr(inputs, name).half() for name in ("source_teacher_embeds", "target_teacher_embeds")}
        torch.testing.assert_close(self.term(self.inputs(**halves)), self.term(inputs), rtol=0, atol=1e-3)

    def test_only_where_it_is_asked_for_and_there_are_target_captions(self) -> None:
        assert "loss_transfer" not in terms_of(self.inputs(), num_slots=0)
        source_only = terms_of(self.inputs(target_embeds=None), num_slots=0, transfer_weight=0.5)
        assert set(source_only) == {"loss_vision_source"}

    def test_plain_cl2cm_is_two_matchings_and_the_transfer(self) -> None:
        fields = {"num_slots": 0, "softened_weight": 0.0, "source_target_weight": 0.0, "transfer_weight": 0.3}
        terms = terms_of(self.inputs(), **fields)
        expected = terms["loss_vision_source"] + terms["loss_vision_target"] + 0.3 * terms["loss_transfer"]
        torch.testing.assert_close(weighted_total(terms, tiny_config(**fields)), expected)


class TestWeightedTotal:
    def test_published_sum(self) -> None:
        numbers = {name: torch.tensor(float(2**index)) for index, name in enumerate(sorted(WITH_SLOTS))}
        terms = {f"loss_{name}": value for name, value in numbers.items()}
        fields = {"softened_weight": 0.3, "slot_weight": 0.05, "slot_vision_weight": 0.01, "diversity_weight": 0.02}
        expected = (
            numbers["vision_source"]
            + 0.7 * numbers["vision_target"]
            + 0.3 * numbers["softened"]
            + 0.5 * numbers["source_target"]
            + 0.05 * (numbers["slot_source"] + numbers["slot_target"])
            + 0.01 * numbers["slot_vision"]
            + 0.02 * numbers["slot_diversity"]
        )
        total = weighted_total(terms, tiny_config(**fields, source_target_weight=0.5))
        torch.testing.assert_close(total, expected)

    def test_matching_on_the_fused_score_has_its_weight(self) -> None:
        terms = {"loss_fused_source": torch.tensor(3.0), "loss_fused_target": torch.tensor(5.0)}
        assert weighted_total(terms, tiny_config(fused_weight=0.25)).item() == pytest.approx(2.0)

    def test_without_a_teacher_the_target_language_keeps_its_full_weight(self) -> None:
        terms = {"loss_vision_target": torch.tensor(3.0)}
        assert weighted_total(terms, tiny_config(softened_weight=0.5)).item() == pytest.approx(3.0)


def test_half_precision_is_raised_before_anything_is_compared() -> None:
    halves = {
        name: value.bfloat16()
        for name, value in vars(embeddings()).items()
        if name.endswith(("embeds", "vectors")) and value is not None
    }
    joined = embeddings(**halves).gathered()
    assert joined.image_ids.dtype == torch.int64
    assert {getattr(joined, name).dtype for name in halves} == {torch.float32}


def test_joining_leaves_a_single_process_as_it_is() -> None:
    inputs = embeddings(**NO_SLOTS)
    joined = inputs.gathered()
    assert joined.slots is None
    assert joined.image_embeds is inputs.image_embeds
