"""Texts are pooled and projected as asked."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from modeling_leccr import LeccrModel
from modeling_leccr.text_encoder_leccr import TextHead, TextTower

from .tiny import TEXT_TOWERS, assert_equal, batch, random, text_config, texts, tiny_cross_lingual, tiny_model


class TestTextTower:
    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    def test_states_and_pooling(self, kind: str) -> None:
        torch.manual_seed(0)
        first, mean = (TextTower(text_config(kind), pooling).eval() for pooling in ("cls", "mean"))
        inputs = texts([3, 6])
        states = first(inputs["input_ids"], inputs["attention_mask"])
        assert states.shape == (2, 6, 32)
        assert torch.equal(first.pool(states, inputs["attention_mask"]), states[:, 0])
        torch.testing.assert_close(mean.pool(states, inputs["attention_mask"])[0], states[0, :3].mean(0))

    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    def test_padding_has_no_influence_on_the_real_tokens(self, kind: str) -> None:
        torch.manual_seed(0)
        text = TextTower(text_config(kind), "cls").eval()
        inputs = texts([3, 6])
        short = text(inputs["input_ids"][:1, :3], inputs["attention_mask"][:1, :3])
        padded = text(inputs["input_ids"], inputs["attention_mask"])
        torch.testing.assert_close(padded[:1, :3], short, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    def test_no_pooling_layer_is_left_that_nothing_would_train(self, kind: str) -> None:
        text, inputs = TextTower(text_config(kind), "cls"), texts([3, 6])
        text(inputs["input_ids"], inputs["attention_mask"]).sum().backward()
        assert [name for name, weight in text.named_parameters() if weight.grad is None] == []

    def test_layers_are_joined(self) -> None:
        torch.manual_seed(0)
        tower, inputs = TextTower(text_config(), "mean", joined_layers=[2, 0]).eval(), texts([3, 6])
        hidden = tower.model(**inputs, output_hidden_states=True).hidden_states
        joined = tower(inputs["input_ids"], inputs["attention_mask"])
        assert torch.equal(joined, torch.cat([hidden[2], hidden[0]], dim=-1))

    def test_a_model_over_joined_layers_is_saved_with_them(self, tmp_path: Path) -> None:
        model = tiny_model(text_layers=[2, 1], text_head="residual", text_standardize=True, slot_anchor="text")
        model.text.head.standardizer.set(random(64, seed=1), random(64, seed=2).abs() + 0.1)
        inputs = texts([3, 6])
        expected = model.get_text_features(**inputs)
        model.save_pretrained(tmp_path)
        assert_equal(LeccrModel.from_pretrained(tmp_path).eval().get_text_features(**inputs), expected)
        assert model(**batch()).loss.isfinite()

    @pytest.mark.parametrize("layers", [[], [3], [-1], [2, 7]])
    def test_layers_that_the_tower_lacks(self, layers: list[int]) -> None:
        with pytest.raises(ValueError, match=r"text_layers is .*layers of the text tower, from 0 to 2\."):
            tiny_model(text_layers=layers)

    def test_joined_layers_are_no_lower_layers(self) -> None:
        with pytest.raises(ValueError, match="freeze_text_layers 1 does not support"):
            tiny_cross_lingual(text_layers=[2, 1], freeze_text_layers=1)


class TestTextHead:
    @pytest.mark.parametrize("width", [6, 4, 3])
    def test_residual_starts_from_the_states_themselves(self, width: int) -> None:
        head, states = TextHead(width, 4, "residual", dropout=0.5, standardize=True).eval(), random(3, width)
        head.standardizer.set(torch.ones(width), torch.full((width,), 2.0))
        states = (states - 1.0) / 2.0
        kept = functional.pad(states, (0, max(0, 4 - width)))[:, :4]
        torch.testing.assert_close(head(random(3, width)), kept)
        head.output.weight.data.copy_(random(4, 8, seed=1))
        hidden = functional.gelu(functional.layer_norm(states, (width,)) @ head.hidden.weight.T + head.hidden.bias)
        expected = kept + hidden @ head.output.weight.T + head.output.bias
        torch.testing.assert_close(head(random(3, width)), expected)

    def test_linear(self) -> None:
        head = TextHead(6, 4, "linear", dropout=0.5).train()
        states = random(3, 6)
        torch.testing.assert_close(head(states), states @ head.output.weight.T + head.output.bias)
        assert len(list(head.parameters())) == 2

    def test_mlp_has_one_hidden_layer(self) -> None:
        head, states = TextHead(6, 4, "mlp", dropout=0.5).eval(), random(3, 6)
        normalised = functional.layer_norm(states, (6,))
        hidden = functional.gelu(normalised @ head.hidden.weight.T + head.hidden.bias)
        torch.testing.assert_close(head(states), hidden @ head.output.weight.T + head.output.bias)
