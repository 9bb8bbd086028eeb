"""What the whole model returns: embeddings, views, descriptions present or absent, and its loss."""

import inspect
from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from modeling_leccr import LeccrModel, LeccrOutput

from .tiny import (
    FORMS,
    SPACE,
    TEXT_TOWERS,
    VISION_TOWERS,
    assert_equal,
    batch,
    descriptions,
    differ,
    form,
    padded_left,
    random,
    text_config,
    texts,
    tiny_model,
    visual_inputs,
)

WITH_DESCRIPTIONS = [name for name in FORMS if name != "dual-encoder"]
WITH_SLOTS = ["published", "raw slots", "anchored"]


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("vision", [*VISION_TOWERS, None])
@pytest.mark.parametrize("name", FORMS)
def test_shapes_and_unit_length(name: str, vision: str | None) -> None:
    model, rows = form(name, vision), 4
    inputs = visual_inputs(vision) | descriptions()
    images = model.get_image_features(**inputs)
    views = model.get_image_views(**inputs)
    assert images.shape == (rows, SPACE)
    views_of_one = max(model.config.num_slots + model.config.has_sentences, 1)
    assert views.shape == (rows, views_of_one, SPACE)
    torch.testing.assert_close(images.norm(dim=-1), torch.ones(rows))
    assert differ(images[:-1], images[1:])


@pytest.mark.parametrize("pooling, head", [("cls", "linear"), ("mean", "mlp")])
@pytest.mark.parametrize("kind", TEXT_TOWERS)
def test_texts(kind: str, pooling: str, head: str) -> None:
    model = tiny_model(None, kind, text_pooling=pooling, text_head=head)
    inputs = texts([3, 6, 4])
    embeds = model.get_text_features(**inputs)
    torch.testing.assert_close(embeds.norm(dim=-1), torch.ones(3))
    assert_equal(model.get_text_features(inputs["input_ids"][:1, :3])[0], embeds[0])
    assert differ(embeds[:-1], embeds[1:])


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_texts_may_be_padded_on_the_left(pooling: str) -> None:
    # Its positions count real tokens only, so a text's states are the same wherever it stands.
    model = tiny_model(None, "xlm-roberta", text_pooling=pooling)
    inputs = texts([3, 6, 4])
    inputs["input_ids"] = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, 1)
    moved = padded_left(inputs)
    assert moved["attention_mask"][0].tolist() == [0, 0, 0, 1, 1, 1]
    assert_equal(model.get_text_features(**moved), model.get_text_features(**inputs))


class TestAttentions:
    @pytest.mark.parametrize("name", [*WITH_SLOTS, "anchored in the image"])
    def test_what_each_slot_attends_to(self, name: str) -> None:
        model = form(name, None, interaction_layers=2)
        inputs = visual_inputs(None) | descriptions()
        inputs["description_attention_mask"][1] = 0
        plain, images = model.encode_images(**inputs), model.encode_images(**inputs, output_attentions=True)
        assert plain.slot_vision_attentions is None and plain.slot_description_attentions is None
        assert_equal(images.image_views, plain.image_views)
        vision, description = images.slot_vision_attentions, images.slot_description_attentions
        assert_equal(vision.sum(-1), torch.ones(4, 3))
        assert not vision[inputs["visual_attention_mask"][:, None, :].expand_as(vision) == 0].any()
        assert_equal(description.sum(-1), torch.tensor([1.0, 0, 1, 1])[:, None].expand(4, 3))
        padding = inputs["description_attention_mask"][:, None, :].expand_as(description) == 0
        assert not description[padding].any()
        assert differ(vision[:, :-1], vision[:, 1:]) and differ(description[[0, 2, 3], :-1], description[[0, 2, 3], 1:])

    @pytest.mark.parametrize("name", ["dual-encoder", "late-fusion"])
    def test_without_slots_there_is_nothing_to_return(self, name: str) -> None:
        images = form(name).encode_images(**visual_inputs(), **descriptions(), output_attentions=True)
        assert images.slot_vision_attentions is None and images.slot_description_attentions is None


class TestViews:
    @pytest.mark.parametrize("alpha", [0.0, 0.3, 0.8, 1.0])
    @pytest.mark.parametrize("name", WITH_SLOTS)
    def test_best_view_is_the_multi_level_score(self, name: str, alpha: float) -> None:
        images = form(name, alpha=alpha).encode_images(**visual_inputs(), **descriptions())
        queries = functional.normalize(random(20, SPACE, seed=9), dim=-1)
        slot_scores = torch.stack([queries @ images.slot_embeds[:, k].T for k in range(3)])
        expected = alpha * queries @ images.image_embeds.T + (1 - alpha) * slot_scores.amax(0)
        views = torch.stack([queries @ images.image_views[:, k].T for k in range(3)])
        assert_equal(views.amax(0), expected)
        if alpha < 1:
            assert len(views.argmax(0).unique()) == 3, "every slot wins for some query"

    @pytest.mark.parametrize("name", ["dual-encoder", "late-fusion"])
    def test_without_slots_the_image_is_the_only_view(self, name: str) -> None:
        images = form(name).encode_images(**visual_inputs(), **descriptions())
        assert torch.equal(images.image_views[:, 0], images.image_embeds)
        assert images.slot_embeds is None

    @pytest.mark.parametrize("name", WITH_SLOTS)
    @pytest.mark.parametrize("described", [True, False])
    def test_slots_differ_before_training(self, name: str, described: bool) -> None:
        images = form(name).encode_images(**visual_inputs(), **(descriptions() if described else {}))
        for slots in (images.slots, images.interacted_slots, images.slot_embeds):
            assert min(torch.pdist(row).min() for row in slots) > 1e-3


class TestDescriptions:
    @pytest.mark.parametrize("name", WITH_DESCRIPTIONS)
    def test_they_matter(self, name: str) -> None:
        model, inputs = form(name), visual_inputs()
        described = model.get_image_views(**inputs, **descriptions())
        assert differ(described, model.get_image_views(**inputs))
        assert differ(described, model.get_image_views(**inputs, **descriptions(seed=8)))

    def test_plain_dual_encoder_ignores_them(self) -> None:
        model, inputs = form("dual-encoder"), visual_inputs()
        assert torch.equal(model.get_image_views(**inputs, **descriptions()), model.get_image_views(**inputs))

    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    @pytest.mark.parametrize("name", WITH_DESCRIPTIONS)
    def test_padding_changes_nothing(self, name: str, kind: str) -> None:
        model = tiny_model(text=kind, **FORMS[name], text_pooling="mean")
        plain = descriptions()
        padded = {key: functional.pad(value, (0, 6)) for key, value in plain.items()}
        padded["description_input_ids"][:, -6:] = 7
        inputs = visual_inputs()
        assert_equal(model.get_image_views(**inputs, **padded), model.get_image_views(**inputs, **plain))

    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    @pytest.mark.parametrize("name", WITH_DESCRIPTIONS)
    def test_a_row_of_zeros_has_none(self, name: str, kind: str) -> None:
        model = tiny_model(text=kind, **FORMS[name])
        inputs, described = visual_inputs(), descriptions()
        described["description_attention_mask"][1] = 0
        some, all_rows = model.get_image_views(**inputs, **described), model.get_image_views(**inputs, **descriptions())
        assert_equal(some[1], model.get_image_views(**inputs)[1])
        assert_equal(some[[0, 2, 3]], all_rows[[0, 2, 3]])
        assert some.isfinite().all()

    def test_mask_is_all_ones_unless_given(self) -> None:
        model, inputs = form("published"), visual_inputs()
        ids = texts([8] * 4, prefix="description_")
        expected = model.get_image_views(**inputs, **ids)
        assert torch.equal(
            model.get_image_views(**inputs, description_input_ids=ids["description_input_ids"]), expected
        )

    def test_an_encoder_of_their_own(self) -> None:
        model = tiny_model(description_config=text_config("distilbert"), slot_anchor="text")
        inputs = visual_inputs() | descriptions()
        before = model.get_image_views(**inputs)
        model.text.tower.model.embeddings.word_embeddings.weight.normal_()
        assert torch.equal(model.get_image_views(**inputs), before)
        model.text.head.output.weight.normal_()
        assert torch.equal(model.get_image_views(**inputs), before)
        model.description_encoder.tower.model.embeddings.word_embeddings.weight.normal_()
        other_states = model.get_image_views(**inputs)
        assert differ(other_states, before)
        model.description_encoder.head.output.weight.normal_()
        assert differ(model.get_image_views(**inputs), other_states)


class TestAnchoredStart:
    """At the first step the anchored model is late fusion."""

    def test_slots_are_parts_of_the_description(self) -> None:
        model = tiny_model(slot_anchor="text")
        described = descriptions()
        images = model.encode_images(**visual_inputs(), **described)
        states = model.text.tower(described["description_input_ids"], described["description_attention_mask"])
        scores = states @ model.image.anchor.queries.weight.T
        for row, length in enumerate(described["description_attention_mask"].sum(1)):
            pooled = scores[row, :length].softmax(0).T @ states[row, :length]
            assert_equal(images.slot_embeds[row], functional.normalize(model.text.head(pooled), dim=-1))

    def test_image_is_late_fusion(self) -> None:
        model, described = tiny_model(slot_anchor="text"), descriptions()
        images = model.encode_images(**visual_inputs(), **described)
        text = model.get_text_features(described["description_input_ids"], described["description_attention_mask"])
        picture = functional.normalize(model.image.head(images.interacted_vision_tokens[:, 0]), dim=-1)
        assert_equal(images.image_embeds, functional.normalize(picture + text, dim=-1))

    def test_without_description_every_view_is_the_image(self) -> None:
        images = tiny_model(slot_anchor="text").encode_images(**visual_inputs())
        assert_equal(images.image_views, images.image_embeds[:, None].expand(-1, 3, -1))


def test_late_fusion_is_the_sum_of_unit_image_and_unit_description() -> None:
    model, described = form("late-fusion"), descriptions()
    picture = form("dual-encoder").get_image_features(**visual_inputs())
    text = model.get_text_features(described["description_input_ids"], described["description_attention_mask"])
    expected = functional.normalize(picture + text, dim=-1)
    assert_equal(model.get_image_features(**visual_inputs(), **described), expected)


class TestForward:
    def test_signature_tells_trainer_of_the_loss(self) -> None:
        assert inspect.signature(LeccrModel.forward).parameters["return_loss"].default is True

    @pytest.mark.parametrize("name", FORMS)
    def test_loss_is_the_weighted_sum_of_the_named_terms(self, name: str) -> None:
        model = form(name, fused_weight=0.3)
        output = model(**batch())
        config, weights = model.config, {"loss_vision_source": 1.0, "loss_vision_target": 0.5, "loss_softened": 0.5}
        weights |= {"loss_source_target": 1.0, "loss_slot_source": 0.01, "loss_slot_target": 0.01}
        weights |= {"loss_slot_diversity": 0.01, "loss_slot_vision": 0.01}
        weights |= {"loss_fused_source": 0.3, "loss_fused_target": 0.3}
        terms = {key: value for key, value in output.items() if key.startswith("loss_")}
        assert len(terms) == 4 + 4 * config.has_slots + 2 * bool(config.num_slots)
        torch.testing.assert_close(output.loss, sum(weights[key] * value for key, value in terms.items()))

    def test_embeddings_are_those_of_the_single_calls(self) -> None:
        model, inputs = form("published"), batch()
        output = model(**inputs)
        images = {key: value for key, value in inputs.items() if key.startswith(("pixel", "description"))}
        assert_equal(output.image_embeds, model.get_image_features(**images))
        assert_equal(output.image_views, model.get_image_views(**images))
        for language in ("source", "target"):
            alone = model.get_text_features(inputs[f"{language}_input_ids"], inputs[f"{language}_attention_mask"])
            assert_equal(output[f"{language}_embeds"], alone)

    def test_without_loss(self) -> None:
        output = form("published")(**batch(), return_loss=False)
        assert set(output) == {"image_views", "image_embeds", "slot_embeds", "source_embeds", "target_embeds"}

    def test_images_alone(self) -> None:
        output = form("published")(**visual_inputs())
        assert isinstance(output, LeccrOutput) and output.loss is None and output.image_embeds is not None

    @pytest.mark.parametrize("name", FORMS)
    def test_texts_are_scored_as_by_the_single_calls(self, name: str) -> None:
        """As CLIP does: any number of texts against all images, by their best view."""
        model, images, queries = form(name, logit_bias=-0.5), visual_inputs() | descriptions(), texts([3, 6, 4])
        output = model(**queries, **images)
        embeds, views = model.get_text_features(**queries), model.get_image_views(**images)
        best = torch.einsum("td,bkd->tbk", embeds, views).amax(dim=-1)
        torch.testing.assert_close(output.logits_per_text, model.inverse_temperature() * best - 0.5)
        assert torch.equal(output.logits_per_image, output.logits_per_text.T)
        assert torch.equal(output.text_embeds, embeds)
        assert output.loss is None and output.image_embeds is not None

    def test_texts_alone_are_embedded(self) -> None:
        model, queries = form("published"), texts([3, 6, 4])
        assert set(model(**queries)) == {"text_embeds"}
        assert_equal(model(**queries)[0], model.get_text_features(**queries))

    def test_captions_of_one_image_are_no_negatives(self) -> None:
        model, inputs = form("published"), batch()
        shared = model(**inputs)
        inputs["image_ids"] = torch.arange(4)
        apart = model(**inputs)
        del inputs["image_ids"]
        assert abs(shared.loss - apart.loss) > 1e-3
        assert torch.equal(model(**inputs).loss, apart.loss)

    def test_distrusted_translations_count_less(self) -> None:
        model, inputs = form("published"), batch()
        trusted = model(**inputs, target_weights=torch.ones(4))
        doubted = model(**inputs, target_weights=torch.tensor([1.0, 0.0, 1.0, 1.0]))
        assert torch.equal(trusted.loss, model(**inputs).loss)
        assert abs(trusted.loss_vision_target - doubted.loss_vision_target) > 1e-3
        assert trusted.loss_vision_source == doubted.loss_vision_source

    def test_temperature_is_limited(self) -> None:
        model = form("dual-encoder")
        inputs = batch()
        model.logit_scale.weight.data.fill_(9.0)
        at_limit = model(**inputs).loss_vision_source
        model.logit_scale.weight.data.fill_(torch.tensor(100.0).log())
        torch.testing.assert_close(at_limit, model(**inputs).loss_vision_source)


def test_features_and_views_take_their_inputs_in_order() -> None:
    model, described = tiny_model(), descriptions()
    pixels = visual_inputs()["pixel_values"]
    positional = (pixels, described["description_input_ids"], described["description_attention_mask"])
    assert torch.equal(
        model.get_image_features(*positional), model.get_image_features(pixel_values=pixels, **described)
    )
    assert torch.equal(model.get_image_views(*positional), model.get_image_views(pixel_values=pixels, **described))
