"""Texts are pooled and projected as asked."""

import pytest
import torch
from torch.nn import functional

from modeling_leccr.text_encoder_leccr import TextHead, TextTower

from .tiny import TEXT_TOWERS, random, text_config, texts


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


class TestTextHead:
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
