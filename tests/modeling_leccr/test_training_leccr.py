"""The model while it trains: where gradients go, what stays frozen, precision, attention and checkpointing."""

from typing import Any

import pytest
import torch
from torch import Tensor

from modeling_leccr import CrossLingualModel, LeccrModel

from .tiny import VISION_TOWERS, batch, descriptions, gradients, step, text_config, tiny_model, visual_inputs

FORMS: dict[str, dict[str, Any]] = {
    "dual-encoder": {"num_slots": 0},
    "late-fusion": {"num_slots": 0, "description_fusion": True, "description_gradient": True},
    "published": {},
    "anchored": {"slot_anchor": "text", "description_gradient": True, "description_dropout": 0.3},
    "anchored, fewer terms": {"slot_anchor": "text", "slot_vision_weight": 0, "diversity_weight": 0, "slot_weight": 0},
    "anchored in the image": {"slot_anchor": "image", "freeze_text": True},
    "sentences": {"slot_source": "sentences", "fused_weight": 1.0, "learn_alpha": True},
    "sentences and slots": {"slot_source": "both", "slot_anchor": "text", "description_gradient": True},
    "dual-encoder, second encoder": {"num_slots": 0, "description_config": text_config("distilbert")},
    "published, second encoder": {"description_config": text_config("distilbert")},
    "anchored, second encoder": {"slot_anchor": "text", "description_config": text_config("distilbert")},
}


class TestGradients:
    @pytest.mark.parametrize("vision", [*VISION_TOWERS, None])
    @pytest.mark.parametrize("name", FORMS)
    def test_every_weight_is_trained(self, name: str, vision: str | None) -> None:
        """Distributed training stops at a weight that takes no part in the loss."""
        model = tiny_model(vision, **FORMS[name])
        step(model, batch(vision))
        left_out = {key for key, weight in model.named_parameters() if weight.requires_grad and weight.grad is None}
        assert left_out == set()

    def test_the_head_of_a_second_encoder_is_trained_where_it_is_used(self) -> None:
        trained = {
            name: tiny_model(
                None, **FORMS[f"{name}, second encoder"]
            ).description_encoder.head.output.weight.requires_grad
            for name in ("dual-encoder", "published", "anchored")
        }
        assert trained == {"dual-encoder": False, "published": False, "anchored": True}

    @pytest.mark.parametrize("name", FORMS)
    def test_every_weight_takes_part_when_no_row_has_a_description(self, name: str) -> None:
        model = tiny_model(None, **FORMS[name])
        inputs = {key: value for key, value in batch(None).items() if not key.startswith("description")}
        step(model, inputs)
        left_out = {key for key, weight in model.named_parameters() if weight.requires_grad and weight.grad is None}
        assert left_out == set()
        assert all(gradient.isfinite().all() for gradient in gradients(model).values())
        # And the numbers are those of the shorter way that is taken outside training.
        model = tiny_model(None, **FORMS[name], dropout=0.0)
        expected = model.get_image_views(**visual_inputs(None))
        torch.testing.assert_close(model.train().get_image_views(**visual_inputs(None)), expected)

    @pytest.mark.parametrize("name", FORMS)
    def test_rows_without_description_do_no_harm(self, name: str) -> None:
        model, inputs = tiny_model(**FORMS[name]), batch()
        inputs["description_attention_mask"][1:3] = 0
        assert step(model, inputs).isfinite()
        assert all(gradient.isfinite().all() for gradient in gradients(model).values())

    def test_optimiser_brings_the_loss_down(self) -> None:
        model, inputs = tiny_model(slot_anchor="text", description_gradient=True, dropout=0.0), batch()
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        losses = []
        for _ in range(30):
            optimizer.zero_grad()
            losses.append(step(model, inputs).item())
            optimizer.step()
        assert losses[-1] < 0.5 * losses[0]


class TestDescriptionGradient:
    @staticmethod
    def image_side_gradients(**fields: Any) -> LeccrModel:
        model = tiny_model(**fields).train()
        model.get_image_views(**visual_inputs(), **descriptions()).square().sum().backward()
        # The sum above alone is constant for unit vectors; single numbers are not.
        model.get_image_views(**visual_inputs(), **descriptions())[..., 0].sum().backward()
        return model

    @pytest.mark.parametrize("form", [{}, {"slot_anchor": "text"}, {"num_slots": 0, "description_fusion": True}])
    def test_it_flows_only_when_asked(self, form: dict[str, Any]) -> None:
        assert gradients(self.image_side_gradients(**form).text.tower) == {}
        assert gradients(self.image_side_gradients(**form, description_gradient=True).text.tower)

    @pytest.mark.parametrize("form", [{"slot_anchor": "text"}, {"num_slots": 0, "description_fusion": True}])
    def test_the_shared_projection_learns_from_descriptions_either_way(self, form: dict[str, Any]) -> None:
        assert gradients(self.image_side_gradients(**form).text.head)

    @pytest.mark.parametrize("gradient", [True, False])
    def test_a_forward_pass_changes_no_mode(self, gradient: bool) -> None:
        model = tiny_model(None, slot_anchor="text", description_gradient=gradient).train()
        modes: set[tuple[bool, ...]] = set()
        model.text.tower.register_forward_hook(
            lambda *_: modes.add(tuple(module.training for module in model.modules()))
        )
        before = tuple(module.training for module in model.modules())
        model.get_image_views(**visual_inputs(None), **descriptions())
        assert modes == {before}


class TestDescriptionDropout:
    rows = 300

    def hidden_rows(self, model: LeccrModel) -> Tensor:
        inputs, described = visual_inputs(None, self.rows), descriptions(self.rows)
        bare = model.get_image_views(**inputs)
        views = model.get_image_views(**inputs, **described)
        return (views - bare).abs().amax((1, 2)) < 1e-6

    @pytest.mark.parametrize("form", [{}, {"slot_anchor": "text"}, {"num_slots": 0, "description_fusion": True}])
    def test_hides_the_share(self, form: dict[str, Any]) -> None:
        model = tiny_model(None, description_dropout=0.3, dropout=0.0, **form)
        assert not self.hidden_rows(model).any(), "nothing is hidden outside training"
        model.train()
        first, second = self.hidden_rows(model), self.hidden_rows(model)
        assert 0.2 < first.float().mean() < 0.4
        assert not torch.equal(first, second), "each batch hides other rows"

    def test_all_or_none(self) -> None:
        assert self.hidden_rows(tiny_model(None, description_dropout=1.0, dropout=0.0).train()).all()
        assert not self.hidden_rows(tiny_model(None, description_dropout=0.0, dropout=0.0).train()).any()

    def test_it_trains_the_token_that_stands_for_no_description(self) -> None:
        hidden, shown = tiny_model(description_dropout=1.0), tiny_model(description_dropout=0.0)
        for model in (hidden, shown):
            step(model, batch())
        assert hidden.image.interaction.no_description.weight.grad.abs().max() > 0
        assert shown.image.interaction.no_description.weight.grad.abs().max() == 0


class TestTokenDropout:
    @staticmethod
    def masks_seen(model: LeccrModel, inputs: dict[str, Tensor]) -> list[Tensor]:
        masks: list[Tensor] = []
        model.text.tower.register_forward_pre_hook(lambda _, arguments: masks.append(arguments[1].bool()))
        model(**inputs)
        return masks

    @pytest.mark.parametrize("description_gradient", [True, False])
    def test_hides_a_share_of_the_tokens_but_never_the_first(self, description_gradient: bool) -> None:
        inputs = batch(None, rows=200)
        model = tiny_model(None, token_dropout=0.4, description_gradient=description_gradient).train()
        seen = dict(zip(("description", "source", "target"), self.masks_seen(model, inputs), strict=True))
        for name, mask in seen.items():
            real = inputs[f"{name}_attention_mask"].bool()
            assert mask[:, 0].all() and not (mask & ~real).any()
            share = 1 - mask[:, 1:].sum() / real[:, 1:].sum()
            if name == "description" and not description_gradient:
                assert share == 0, "states without gradient are not disturbed"
            else:
                assert 0.3 < share < 0.5

    def test_a_hidden_description_stays_hidden(self) -> None:
        model = tiny_model(None, token_dropout=0.4, description_dropout=1.0, description_gradient=True, dropout=0.0)
        inputs = visual_inputs(None)
        bare = model.get_image_views(**inputs)
        torch.testing.assert_close(model.train().get_image_views(**inputs, **descriptions()), bare)

    def test_nothing_is_hidden_outside_training(self) -> None:
        inputs = batch(None)
        seen = self.masks_seen(tiny_model(None, token_dropout=0.4, description_gradient=True), inputs)
        expected = [inputs[f"{name}_attention_mask"].bool() for name in ("description", "source", "target")]
        assert all(torch.equal(mask, real) for mask, real in zip(seen, expected, strict=True))


def test_visual_dropout_disturbs_training_only() -> None:
    model, inputs = tiny_model(None, num_slots=0, visual_dropout=0.5), visual_inputs(None)
    expected = tiny_model(None, num_slots=0).get_image_features(**inputs)
    assert torch.equal(model.get_image_features(**inputs), expected)
    model.train()
    assert not torch.allclose(model.get_image_features(**inputs), expected, atol=1e-2)


@pytest.mark.parametrize("learned", [True, False])
def test_temperature_is_trained_or_not(learned: bool) -> None:
    model = tiny_model(None, learn_temperature=learned)
    step(model, batch(None))
    assert (model.logit_scale.weight.grad is not None) == learned


class TestAttentionImplementations:
    def test_eager_and_sdpa_agree(self) -> None:
        models = {}
        for implementation in ("eager", "sdpa"):
            config = tiny_model(slot_anchor="text").config
            config._attn_implementation = implementation
            torch.manual_seed(0)
            models[implementation] = LeccrModel(config).eval()
            for tower in (models[implementation].image.tower, models[implementation].text.tower):
                assert tower.model.config._attn_implementation == implementation
        models["eager"].load_state_dict(models["sdpa"].state_dict())
        losses = {name: model(**batch()).loss for name, model in models.items()}
        torch.testing.assert_close(losses["eager"], losses["sdpa"])

    def test_it_can_be_changed_afterwards(self) -> None:
        model = tiny_model()
        expected = model(**batch()).loss
        model.set_attn_implementation("eager")
        assert model.text.tower.model.config._attn_implementation == "eager"
        torch.testing.assert_close(model(**batch()).loss, expected)

    def test_it_can_be_changed_beside_a_tower_without_attention(self) -> None:
        model = tiny_model("mobilenet_v2")
        model.set_attn_implementation({"text_config": "eager"})
        assert model.text.tower.model.config._attn_implementation == "eager"
        assert model(**batch("mobilenet_v2")).loss.isfinite()

    @pytest.mark.parametrize("vision", ["resnet", "mobilenet_v2"])
    def test_towers_without_attention_accept_every_choice(self, vision: str) -> None:
        config = tiny_model(vision).config
        for implementation in ("eager", "sdpa"):
            config._attn_implementation = implementation
            model = LeccrModel(config)
            assert model(**batch(vision)).loss.isfinite()
            assert model.text.tower.model.config._attn_implementation == implementation

    def test_only_towers_can_use_flash_attention(self) -> None:
        """The interaction always calls PyTorch's own attention, so the whole model must not promise another."""
        model = tiny_model()
        with pytest.raises(ValueError, match="LeccrModel does not support Flash Attention"):
            model.set_attn_implementation("flash_attention_2")
        assert CrossLingualModel._supports_flash_attn, "all its attention is its tower's"
        with pytest.raises(ImportError, match="package for FlashAttention2"):
            model.set_attn_implementation({"text_config": "flash_attention_2"})


class TestActivationCheckpointing:
    @staticmethod
    def losses_and_gradients(checkpointing: bool) -> tuple[Tensor, dict[str, Tensor], dict[str, int]]:
        model = tiny_model(slot_anchor="text", description_gradient=True)
        if checkpointing:
            enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
            enable()
        counts: dict[str, int] = {}
        for name, module in model.named_modules():
            if name.endswith(("layers.0.mlp", "layer.0.attention")):
                counts[name] = 0
                module.register_forward_pre_hook(lambda *_, name=name: counts.update({name: counts[name] + 1}))
        torch.manual_seed(0)
        loss = step(model, batch())
        return loss.detach(), gradients(model), counts

    def test_same_numbers_with_layers_computed_twice(self) -> None:
        loss, plain, once = self.losses_and_gradients(False)
        checkpointed_loss, checkpointed, twice = self.losses_and_gradients(True)
        torch.testing.assert_close(checkpointed_loss, loss)
        assert set(checkpointed) == set(plain)
        for name in plain:
            torch.testing.assert_close(checkpointed[name], plain[name], rtol=1e-4, atol=1e-6)
        assert len(once) == 2 and all(count > 0 for count in once.values())
        assert twice == {name: 2 * count for name, count in once.items()}

    def test_it_can_be_switched_off(self) -> None:
        model = tiny_model()
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable()
        disable = getattr(model, "activation_checkpointing_disable", None) or model.gradient_checkpointing_disable
        disable()
        assert not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


class TestPrecision:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("vision", [*VISION_TOWERS, None])
    def test_autocast(self, vision: str | None, dtype: torch.dtype) -> None:
        model = tiny_model(vision, slot_anchor="text", description_gradient=True, dropout=0.0)
        expected = model(**batch(vision)).loss
        with torch.autocast("cpu", dtype=dtype):
            loss = model(**batch(vision)).loss
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected, rtol=0.1, atol=0.1)
        loss.backward()
        assert all(gradient.isfinite().all() for gradient in gradients(model).values())

    @pytest.mark.parametrize("vision", [*VISION_TOWERS, None])
    def test_half_precision_weights(self, vision: str | None) -> None:
        model, inputs = tiny_model(vision, slot_anchor="text", vision_standardize=True), batch(vision)
        expected = model(**inputs)
        output = model.to(torch.bfloat16)(**inputs)
        assert output.image_views.dtype == torch.bfloat16
        torch.testing.assert_close(output.image_views.float(), expected.image_views, rtol=0, atol=0.1)
        assert output.loss.isfinite()
