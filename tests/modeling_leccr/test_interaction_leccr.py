"""Slots, their memory and their anchors."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modeling_leccr.interaction_leccr import Description, ImageAnchor, PlainSlots, SlotInteraction, TextAnchor, fuse

from .tiny import SPACE, random, tiny_config

ROWS, TOKENS, STATES, WIDTH, SLOTS = 4, 5, 32, 16, 3
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]).bool()
PRESENT = MASK.any(dim=1)


@pytest.fixture
def description() -> Description:
    head = nn.Linear(STATES, SPACE)
    head.weight.data = random(SPACE, STATES, seed=2)
    return Description(
        states=random(ROWS, TOKENS, STATES, seed=1),
        mask=MASK,
        embedding=functional.normalize(random(ROWS, SPACE, seed=3), dim=-1),
        head=head,
    )


def unit_images(seed: int) -> Tensor:
    return functional.normalize(random(ROWS, SPACE, seed=seed), dim=-1)


@pytest.fixture
def interaction() -> SlotInteraction:
    torch.manual_seed(0)
    return SlotInteraction(tiny_config(), STATES).eval()


@pytest.fixture
def anchor() -> TextAnchor:
    torch.manual_seed(0)
    return TextAnchor(tiny_config(slot_anchor="text", initializer_range=0.5), STATES).eval()


class TestSlotInteraction:
    def test_shapes_and_wiring(self, interaction: SlotInteraction, description: Description) -> None:
        tokens = random(ROWS, 7, WIDTH, seed=4)
        slots, interacted_tokens, interacted_slots = interaction(tokens, None, description)
        memory, mask = interaction.memory(description, ROWS)
        queries = interaction.queries.weight.expand(ROWS, -1, -1)
        torch.testing.assert_close(slots, interaction.slots_from_description(queries, memory, mask))
        torch.testing.assert_close(interacted_tokens, interaction.vision_from_slots(tokens, slots))
        torch.testing.assert_close(interacted_slots, interaction.slots_from_vision(slots, tokens))
        assert (slots.shape, interacted_tokens.shape) == ((ROWS, SLOTS, WIDTH), (ROWS, 7, WIDTH))

    def test_memory_is_the_projected_description_or_the_learned_token(
        self, interaction: SlotInteraction, description: Description
    ) -> None:
        memory, mask = interaction.memory(description, ROWS)
        torch.testing.assert_close(memory[PRESENT], interaction.description_projection(description.states[PRESENT]))
        assert torch.equal(memory[2, 0], interaction.no_description.weight[0])
        assert mask is not None and torch.equal(mask[PRESENT], MASK[PRESENT])
        assert mask[2].tolist() == [True, False, False, False, False]

    def test_a_row_without_description_equals_no_descriptions_at_all(
        self, interaction: SlotInteraction, description: Description
    ) -> None:
        tokens = random(ROWS, 7, WIDTH, seed=4)
        some, none = interaction(tokens, None, description), interaction(tokens, None, None)
        for with_descriptions, without in zip(some, none):
            torch.testing.assert_close(with_descriptions[2], without[2], rtol=0, atol=1e-6)
            assert (with_descriptions[0] - without[0]).abs().max() > 1e-3

    def test_padded_visual_tokens_do_not_reach_the_slots(
        self, interaction: SlotInteraction, description: Description
    ) -> None:
        tokens, mask = random(ROWS, 7, WIDTH, seed=4), torch.arange(7) < torch.tensor([[7], [4], [5], [1]])
        spoilt = tokens.masked_fill(~mask.unsqueeze(-1), 100.0)
        slots = interaction(tokens, mask, description)[2]
        torch.testing.assert_close(interaction(spoilt, mask, description)[2], slots, rtol=0, atol=1e-6)

    def test_the_attention_of_a_stack_is_that_of_its_last_layer(self, interaction: SlotInteraction) -> None:
        stack, seen = interaction.slots_from_description, []
        stack.layers[-1].attention.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
        slots, tokens = random(ROWS, SLOTS, WIDTH, seed=5), random(ROWS, 7, WIDTH, seed=4)
        mask = torch.arange(7) < torch.tensor([[7], [4], [5], [1]])
        stack(slots, tokens, mask)
        weights = stack.last_attention(slots, tokens, mask)
        assert len(stack.layers) > 1 and weights.shape == (ROWS, SLOTS, 7)
        torch.testing.assert_close(weights, stack.layers[-1].attention.attention_weights(*seen[0]))
        assert not weights[~mask[:, None, :].expand_as(weights)].any()

    def test_queries_differ_even_where_other_weights_start_at_zero(self) -> None:
        queries = SlotInteraction(tiny_config(initializer_range=0.0), STATES).queries.weight
        assert torch.pdist(queries.detach()).min() > 0.02


class TestTextAnchor:
    def test_attention_sums_to_one_over_the_real_tokens(self, anchor: TextAnchor, description: Description) -> None:
        weights = anchor.attention(description)
        torch.testing.assert_close(weights.sum(-1), torch.ones(ROWS, SLOTS))
        assert torch.equal(weights[PRESENT][:, 0] > 0, MASK[PRESENT])
        expected = (anchor.queries.weight @ description.states[1, :3].T).softmax(-1)
        torch.testing.assert_close(weights[1, :, :3], expected)

    def test_closed_gate_leaves_the_parts_of_the_description(
        self, anchor: TextAnchor, description: Description
    ) -> None:
        images = unit_images(5)
        slots, _ = anchor(random(ROWS, SLOTS, SPACE), images, images, description)
        pooled = functional.normalize(description.head(anchor.attention(description) @ description.states), dim=-1)
        torch.testing.assert_close(slots[PRESENT], pooled[PRESENT])
        torch.testing.assert_close(slots[2], images[2].expand(SLOTS, -1))
        torch.testing.assert_close(anchor(slots, images, images, None)[0], images[:, None].expand(-1, SLOTS, -1))

    def test_open_gate_adds_the_interacted_slots(self, anchor: TextAnchor, description: Description) -> None:
        anchor.slot_gate.weight.data.fill_(0.7)
        images, raw = unit_images(5), random(ROWS, SLOTS, SPACE)
        pooled = functional.normalize(description.head(anchor.attention(description) @ description.states), dim=-1)
        expected = functional.normalize(pooled + 0.7 * raw, dim=-1)
        torch.testing.assert_close(anchor(raw, images, images, description)[0][PRESENT], expected[PRESENT])

    def test_image_is_late_fusion_at_first(self, anchor: TextAnchor, description: Description) -> None:
        own, images = unit_images(5), unit_images(6)
        slots = random(ROWS, SLOTS, SPACE)
        torch.testing.assert_close(anchor(slots, own, images, description)[1], fuse(images, description))
        anchor.image_gate.weight.data.zero_()
        torch.testing.assert_close(anchor(slots, own, images, description)[1], images)


class TestImageAnchor:
    def test_closed_gates_leave_the_image_of_the_dual_encoder(self, description: Description) -> None:
        anchor = ImageAnchor(tiny_config(slot_anchor="image"), STATES).eval()
        own = unit_images(5)
        slots, image = anchor(random(ROWS, SLOTS, SPACE), own, unit_images(6), description)
        torch.testing.assert_close(image, own)
        torch.testing.assert_close(slots, own.unsqueeze(1).expand(-1, SLOTS, -1))

    def test_each_gate_lets_its_part_join(self, description: Description) -> None:
        anchor = ImageAnchor(tiny_config(slot_anchor="image"), STATES).eval()
        for value, gate in zip((0.1, 0.2, 0.3, 0.4), ("slot", "part", "image", "interaction"), strict=True):
            getattr(anchor, f"{gate}_gate").weight.data.fill_(value)
        own, interacted, raw = unit_images(5), unit_images(6), random(ROWS, SLOTS, SPACE)
        slots, image = anchor(raw, own, interacted, description)
        parts = functional.normalize(description.head(anchor.attention(description) @ description.states), dim=-1)
        expected = functional.normalize(own.unsqueeze(1) + 0.1 * raw + 0.2 * parts, dim=-1)
        torch.testing.assert_close(slots[PRESENT], expected[PRESENT])
        expected = functional.normalize(own + 0.4 * interacted + 0.3 * description.embedding, dim=-1)
        torch.testing.assert_close(image[PRESENT], expected[PRESENT])
        torch.testing.assert_close(image[2], functional.normalize(own + 0.4 * interacted, dim=-1)[2])


class TestPlainSlots:
    def test_slots_and_image_stay_as_the_interaction_made_them(self, description: Description) -> None:
        raw, interacted = random(ROWS, SLOTS, SPACE), unit_images(6)
        slots, image = PlainSlots(normalize=False)(raw, unit_images(5), interacted, description)
        assert slots is raw and image is interacted
        slots, _ = PlainSlots(normalize=True)(raw, unit_images(5), interacted, description)
        torch.testing.assert_close(slots, functional.normalize(raw, dim=-1))


class TestFuse:
    def test_mean_direction_of_image_and_description(self, description: Description) -> None:
        images = unit_images(5)
        fused = fuse(images, description)
        total = images + description.embedding
        torch.testing.assert_close(fused[PRESENT], (total / total.norm(dim=-1, keepdim=True))[PRESENT])
        torch.testing.assert_close(fused[2], images[2])
        assert fuse(images, None) is images
