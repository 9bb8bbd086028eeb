import pytest
import torch
from torch import Tensor
from torch.nn import functional

from modeling_leccr import LeccrConfig
from modeling_leccr.interaction_leccr import Description, SentenceSlots
from modeling_leccr.layers_leccr import LearnedShare
from modeling_leccr.objectives_leccr import best_slot_scores

from .tiny import assert_equal, batch, form, gradients, random, step, texts, tiny_config, tiny_model, visual_inputs

COUNTS = [3, 0, 1, 2]


def sentences(counts: list[int] = COUNTS, most: int = 3, seed: int = 5) -> dict[str, Tensor]:
    """Return descriptions (B, S, L) with these numbers of sentences."""
    lengths = [4 + number % 3 for number in range(len(counts) * most)]
    inputs = {name: value.unflatten(0, (-1, most)) for name, value in texts(lengths, seed, "description_").items()}
    absent = torch.arange(most) >= torch.tensor(counts)[:, None]
    inputs["description_attention_mask"] = inputs["description_attention_mask"].masked_fill(absent.unsqueeze(-1), 0)
    return inputs


@pytest.mark.parametrize("vision", ["clip", None])
def test_each_sentence_is_a_slot_next_to_the_image(vision: str | None) -> None:
    model, visual, said = tiny_model(vision, slot_source="sentences", alpha=0.7), visual_inputs(vision), sentences()
    model.image.sentence_slots.gate.weight.data.fill_(0.6)
    output = model.encode_images(**visual, **said)
    plain = tiny_model(vision, num_slots=0)
    plain.load_state_dict(model.state_dict(), strict=False)
    assert_equal(output.image_embeds, plain.get_image_features(**visual))
    assert output.view_mask.tolist() == [
        [True, True, True],
        [True, False, False],
        [True, False, False],
        [True, True, False],
    ]
    for row, count in enumerate(COUNTS):
        image = output.image_embeds[row]
        if not count:
            assert_equal(output.image_views[row], image.expand(3, -1))
            continue
        ids, mask = (said[f"description_{name}"][row, :count] for name in ("input_ids", "attention_mask"))
        slots = functional.normalize(0.6 * image + model.get_text_features(ids, mask), dim=-1)
        assert_equal(output.slot_embeds[row, :count], slots)
        views = 0.7 * image + 0.3 * slots
        assert_equal(output.image_views[row, :count], views)
        assert_equal(output.image_views[row, count:], views[:1].expand(3 - count, -1))


@pytest.mark.parametrize("name", ["sentences", "sentences and slots"])
def test_other_rows_and_more_padding_change_no_score(name: str) -> None:
    model, visual, said = form(name), visual_inputs(), sentences()
    texts_ = random(5, model.config.projection_dim)
    scores = best_slot_scores(texts_, model.get_image_views(**visual, **said))
    wider = {key: functional.pad(value, [0, 2, 0, 2]) for key, value in said.items()}
    assert_equal(best_slot_scores(texts_, model.get_image_views(**visual, **wider)), scores)
    for row in range(4):
        alone = {key: value[row : row + 1] for key, value in {**visual, **said}.items()}
        assert_equal(best_slot_scores(texts_, model.get_image_views(**alone)), scores[:, row : row + 1])
    order = torch.tensor([2, 0, 1])
    shuffled = {key: value[:, order] for key, value in said.items()}
    if name == "sentences":
        assert_equal(best_slot_scores(texts_, model.get_image_views(**visual, **shuffled)), scores)


def test_without_any_description_it_is_the_image() -> None:
    model, visual = tiny_model(slot_source="sentences"), visual_inputs()
    output = model.encode_images(**visual)
    assert_equal(output.image_views, output.image_embeds.unsqueeze(1))
    nothing = sentences([0, 0, 0, 0])
    assert_equal(model.get_image_views(**visual, **nothing), output.image_embeds.unsqueeze(1).expand(-1, 3, -1))


def test_with_alpha_one_the_views_are_the_image() -> None:
    model, visual = tiny_model(slot_source="sentences", alpha=1.0), visual_inputs()
    output = model.encode_images(**visual, **sentences())
    assert torch.equal(output.image_views, output.image_embeds.unsqueeze(1).expand(-1, 3, -1))


def test_a_description_in_one_piece_is_one_sentence() -> None:
    model, visual, said = tiny_model(slot_source="sentences"), visual_inputs(), sentences([1, 1, 1, 1], most=1)
    piece = {name: value[:, 0] for name, value in said.items()}
    assert_equal(model.get_image_views(**visual, **piece), model.get_image_views(**visual, **said))


def test_both_kinds_of_slots_stand_side_by_side() -> None:
    model, visual, said = form("sentences and slots"), visual_inputs(), sentences()
    output = model.encode_images(**visual, **said, output_attentions=True)
    assert output.slot_embeds.shape[1] == 3 + 3
    assert output.view_mask[:, :3].all() and output.view_mask[:, 3:].sum(1).tolist() == [3, 1, 1, 2]
    tokens = said["description_input_ids"].flatten(1).shape[1]
    assert output.slot_description_attentions.shape == (4, 3, tokens)
    hidden = said["description_attention_mask"].flatten(1) == 0
    assert not output.slot_description_attentions[hidden[:, None, :].expand(-1, 3, -1)].any()


class TestTraining:
    @pytest.mark.parametrize("name", ["sentences", "sentences and slots"])
    def test_a_batch_with_different_numbers_trains(self, name: str) -> None:
        model = form(name, fused_weight=1.0, learn_alpha=True).train()
        step(model, {**batch(), **sentences()})
        found = gradients(model)
        assert found["image.sentence_slots.gate.weight"] != 0
        assert found["image.learned_alpha.logit.weight"] != 0

    def test_the_loss_is_that_of_the_largest_score_over_real_slots(self) -> None:
        model = tiny_model(slot_source="sentences", fused_weight=1.0).train()
        inputs = {**batch(), **sentences()}
        wider = {name: functional.pad(value, [0, 0, 0, 4]) for name, value in sentences().items()}
        model.eval()
        assert_equal(model(**inputs).loss, model(**{**inputs, **wider}).loss)

    def test_a_batch_without_descriptions_trains_all_weights(self) -> None:
        model = form("sentences", fused_weight=1.0, learn_alpha=True).train()
        inputs = {name: value for name, value in batch().items() if not name.startswith("description")}
        model(**inputs).loss.backward()
        assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)

    def test_hidden_descriptions_are_those_of_whole_images(self) -> None:
        model = tiny_model(slot_source="sentences", description_dropout=1.0, dropout=0.0).train()
        output = model.encode_images(**visual_inputs(), **sentences())
        assert_equal(output.image_views, output.image_embeds.unsqueeze(1).expand(-1, 3, -1))


def test_alpha_as_it_was_learned_is_saved(tmp_path: object) -> None:
    model = tiny_model(slot_source="sentences", fused_weight=1.0, learn_alpha=True, alpha=0.8)
    assert_equal(model.image.alpha, torch.tensor(0.8))
    model.image.learned_alpha.logit.weight.data.fill_(0.3)
    views = model.get_image_views(**visual_inputs(), **sentences())
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).eval()
    assert loaded.config.alpha == round(float(torch.tensor(0.3).sigmoid()), 6)
    assert_equal(loaded.get_image_views(**visual_inputs(), **sentences()), views)


@pytest.mark.parametrize("initial", [0.1, 0.5, 0.8])
def test_a_learned_share_starts_where_it_is_told_to(initial: float) -> None:
    assert_equal(LearnedShare(initial)(), torch.tensor(initial))


def test_absent_sentences_may_be_anywhere() -> None:
    slots = SentenceSlots(LeccrConfig(**tiny_config(slot_source="sentences").to_dict()))
    embeds, mask = functional.normalize(random(2, 3, 4), dim=-1), torch.tensor([[0, 1, 0], [0, 0, 0]]).bool()
    image = functional.normalize(random(2, 4, seed=1), dim=-1)
    description = Description(embeds, mask, image, torch.nn.Identity(), embeds, mask)
    found, real = slots(image, description)
    assert real.tolist() == [[False, True, False], [True, False, False]]
    assert_equal(found[0], functional.normalize(image[0] + embeds[0, 1], dim=-1).expand(3, -1))
    assert_equal(found[1], image[1].expand(3, -1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"slot_source": "both", "num_slots": 0}, 'slot_source is "both", but num_slots is 0'),
        ({"learn_alpha": True}, "learn_alpha needs slots, .* a fused_weight above 0"),
        ({"learn_alpha": True, "fused_weight": 1.0, "num_slots": 0}, "learn_alpha needs slots"),
        ({"learn_alpha": True, "fused_weight": 1.0, "alpha": 1.0}, "an alpha between 0 and 1 to start from"),
        ({"slot_source": "words"}, "slot_source"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_config(**fields)


def test_sentences_for_a_model_of_other_slots_are_refused() -> None:
    with pytest.raises(ValueError, match=r"description_input_ids have shape \(4, 3, .*; give \(batch, tokens\)"):
        tiny_model().encode_images(**visual_inputs(), **sentences())
