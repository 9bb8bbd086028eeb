import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modeling_leccr.interaction_leccr import Description, LateFusion, SentenceSlots
from modeling_leccr.layers_leccr import Trust
from modeling_leccr.objectives_leccr import contrastive_loss, same_image_labels

from .tiny import (
    SPACE,
    assert_equal,
    batch,
    descriptions,
    gradients,
    random,
    step,
    tiny_config,
    tiny_model,
    visual_inputs,
)

ROWS = 3
PRESENT = torch.tensor([True, True, False])


def units(*shape: int, seed: int) -> Tensor:
    return functional.normalize(random(*shape, seed=seed), dim=-1)


@pytest.fixture
def description() -> Description:
    """Return two sentences each; the last row has none."""
    sentences, mask = units(ROWS, 2, SPACE, seed=1), PRESENT[:, None].expand(-1, 2)
    embedding = functional.normalize(sentences.sum(dim=1), dim=-1)
    return Description(random(ROWS, 4, 8), PRESENT[:, None].expand(-1, 4), embedding, nn.Identity(), sentences, mask)


class TestLateFusion:
    @pytest.mark.parametrize("gate", [1.0, 0.4, 0])
    def test_gated_sum_where_there_is_a_description(self, gate: float, description: Description) -> None:
        fusion, images = LateFusion(tiny_config(description_fusion=True, fusion_gate=gate)), units(ROWS, SPACE, seed=2)
        expected = functional.normalize(gate * images + description.embedding, dim=-1)
        assert_equal(fusion(images, description)[PRESENT], expected[PRESENT])
        assert torch.equal(fusion(images, description)[~PRESENT], images[~PRESENT])
        assert fusion(images, None) is images

    def test_gate_is_trained_unless_it_is_fixed(self, description: Description) -> None:
        for learned in (True, False):
            fusion = LateFusion(tiny_config(description_fusion=True, learn_fusion_gate=learned))
            images = units(ROWS, SPACE, seed=2).requires_grad_()
            fusion(images, description)[:, 0].sum().backward()
            assert list(gradients(fusion)) == (["gate.weight"] if learned else [])

    def test_distrusted_description_leaves_the_image(self, description: Description) -> None:
        fusion, images = LateFusion(tiny_config(description_trust=True)), units(ROWS, SPACE, seed=2)
        fusion.trust.offset.weight.data.fill_(-40.0)
        assert_equal(fusion(images, description), images)


class TestTrust:
    def test_logistic_in_the_cosine(self) -> None:
        trust, images, texts = Trust(), units(ROWS, SPACE, seed=2), units(ROWS, SPACE, seed=3)
        assert_equal(trust(images, texts), torch.full((ROWS, 1), torch.tensor(3.0).sigmoid().item()))
        trust.slope.weight.data.fill_(0.5)
        trust.offset.weight.data.fill_(-0.1)
        assert_equal(trust(images, texts), (5.0 * (images * texts).sum(1, keepdim=True) - 1.0).sigmoid())

    def test_each_sentence_has_its_own(self, description: Description) -> None:
        slots = SentenceSlots(tiny_config(slot_source="sentences", sentence_gate=0.6, description_trust=True))
        slots.trust.slope.weight.data.fill_(0.5)
        images = units(ROWS, SPACE, seed=2)
        weights = (5.0 * torch.einsum("bd,bsd->bs", images, description.sentences) + 3.0).sigmoid().unsqueeze(-1)
        expected = functional.normalize(0.6 * images[:, None] + weights * description.sentences, dim=-1)
        embeds, _ = slots(images, description)
        assert_equal(embeds[PRESENT], expected[PRESENT])
        assert_equal(embeds[2], images[2].expand(2, -1))


def test_a_description_alone_stands_for_its_image() -> None:
    model = tiny_model(num_slots=0, description_fusion=True, fusion_gate=0.0, learn_fusion_gate=False)
    said = descriptions()
    ids, mask = said["description_input_ids"], said["description_attention_mask"]
    assert_equal(model.get_image_features(**visual_inputs(seed=1), **said), model.get_text_features(ids, mask))
    step(model, batch())
    assert "image.fusion.gate.weight" not in gradients(model)


@pytest.mark.parametrize("fields", [{"description_fusion": True, "num_slots": 0}, {"slot_anchor": "text"}])
def test_images_are_matched_without_their_descriptions_too(fields: dict) -> None:
    model, inputs = tiny_model(image_only_weight=0.5, description_gradient=True, **fields), batch()
    output, without = model(**inputs), tiny_model(description_gradient=True, **fields)(**inputs)
    images = model.encode_images(**visual_inputs()).undescribed_embeds
    labels = same_image_labels(inputs["image_ids"])
    for name in ("source", "target"):
        logits = model.inverse_temperature() * output[f"{name}_embeds"] @ images.T
        assert_equal(output[f"loss_image_only_{name}"], contrastive_loss(logits, labels))
    added = 0.5 * (output.loss_image_only_source + output.loss_image_only_target)
    assert_equal(output.loss, without.loss + added)
    assert without.loss_image_only_source is None


def test_noise_exchanges_descriptions_in_training_only() -> None:
    fields = {"num_slots": 0, "description_fusion": True, "dropout": 0.0}
    model, visual, said = tiny_model(description_noise=1.0, **fields), visual_inputs(), descriptions()
    rolled = {name: value.roll(1, 0) for name, value in said.items()}
    clean = model.get_image_features(**visual, **said)
    wrong = model.get_image_features(**visual, **rolled)
    for module in (model, model.image, model.text.head):
        module.training = True
    assert_equal(model.get_image_features(**visual, **said), wrong)
    assert not torch.allclose(clean, wrong)
