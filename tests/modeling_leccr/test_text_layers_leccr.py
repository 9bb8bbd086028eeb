"""Frozen lower layers of a text tower, and the two halves of a tower run by themselves."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from modeling_leccr import CrossLingualConfig, CrossLingualModel, LeccrModel
from modeling_leccr.base_leccr import is_frozen
from modeling_leccr.text_encoder_leccr import TextTower
from modeling_leccr.text_layers_leccr import layer_names

from .tiny import batch, gradients, step, tiny_cross_lingual, tiny_model

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 50,
    "pad_token_id": 1,
    "project_dim": 16,
}
POOLINGS = {
    "bert": "mean",
    "roberta": "cls",
    "xlm-roberta": "mean",
    "distilbert": "cls",
    "mpnet": "mean",
    "clip_text_model": "eos",
    "siglip_text_model": "last",
    "altclip_text_model": "cls",
    "metaclip_2_text_model": "eos",
}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", POOLINGS)
def test_the_halves_of_a_tower_say_what_the_whole_says(kind: str, layers: int) -> None:
    torch.manual_seed(0)
    tower = TextTower(AutoConfig.for_model(kind, **SIZES), POOLINGS[kind]).eval()
    mask = (torch.arange(7) < torch.tensor([7, 5, 2])[:, None]).long()
    input_ids = torch.randint(5, 45, mask.shape).masked_fill(mask == 0, 1)
    seen = tower.seen(mask).unsqueeze(-1)
    # Whatever a store has where there is no token.
    lower = tower.lower(input_ids, mask, layers) * seen
    torch.testing.assert_close(tower.upper(lower, input_ids, mask, layers) * seen, tower(input_ids, mask) * seen)
    assert layers == 3 or not torch.allclose(lower, tower(input_ids, mask) * seen, atol=1e-2)


def test_towers_laid_out_otherwise_are_refused() -> None:
    config = AutoConfig.for_model("t5", vocab_size=50, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2)
    assert layer_names(TextTower(config, "mean").model) is None
    with pytest.raises(ValueError, match="list of layers, such as BERT, .* not t5; leave it out, or set freeze_text"):
        CrossLingualModel(CrossLingualConfig(text_config=config, freeze_text_layers=1))


@pytest.mark.parametrize("make", [tiny_model, tiny_cross_lingual])
class TestFrozenLayers:
    def test_only_the_layers_above_learn(self, make: Any) -> None:
        model = make(freeze_text_layers=1)
        tower = model.text.tower
        assert [is_frozen(part) for part in tower.frozen_parts()] == [True, True]
        model.train()
        bert = tower.model
        assert tower.training and bert.encoder.layer[1].training
        modules = [*bert.embeddings.modules(), *bert.encoder.layer[0].modules()]
        assert not any(module.training for module in modules)
        assert any(weight.requires_grad for weight in bert.encoder.layer[1].parameters())
        model.eval()
        assert not any(module.training for module in model.modules())

    def test_a_saved_model_is_frozen_as_it_was(self, make: Any, tmp_path: Path) -> None:
        model = make(freeze_text_layers=1)
        model.save_pretrained(tmp_path)
        again = type(model).from_pretrained(tmp_path)
        assert again.config.freeze_text_layers == 1 and again.text.tower.frozen_depth() == 1
        assert not again.train().text.tower.model.embeddings.training
        again.text.tower.requires_grad_(True)
        assert again.train().text.tower.model.embeddings.training
        again.save_pretrained(tmp_path)
        assert type(model).from_pretrained(tmp_path).config.freeze_text_layers == 0

    def test_more_layers_than_there_are(self, make: Any) -> None:
        with pytest.raises(ValueError, match="freeze_text_layers is 3, but the text tower has 2 layers"):
            make(freeze_text_layers=3)
        with pytest.raises(ValueError, match="freeze_text_layers is -1, but cannot be negative"):
            make(freeze_text_layers=-1)


def test_layers_frozen_by_hand_are_recorded(tmp_path: Path) -> None:
    model = tiny_model()
    for part in (model.text.tower.model.embeddings, model.text.tower.model.encoder.layer[0]):
        part.requires_grad_(False)
    model.save_pretrained(tmp_path)
    config = LeccrModel.from_pretrained(tmp_path).config
    assert (config.freeze_text, config.freeze_text_layers) == (False, 1)


def test_a_step_moves_no_frozen_layer() -> None:
    model = tiny_model(freeze_text_layers=1)
    step(model, batch())
    assert gradients(model.text.tower.model.encoder.layer[1])
    assert gradients(model.text.tower.model.encoder.layer[0]) == {} == gradients(model.text.tower.model.embeddings)


class Remembered:
    """A cache that has the states of every text but those whose first token is odd."""

    def __init__(self, model: Any, layers: int | None) -> None:
        self.tower = model.text.tower
        self.layers = layers

    def look_up(self, input_ids: torch.Tensor, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        known = (input_ids[:, 0] % 2 == 0) | ~seen.bool().any(dim=1)
        with torch.no_grad():
            states = self.tower.lower(input_ids, seen, self.layers) * seen.unsqueeze(-1)
        return states.masked_fill(~known[:, None, None], torch.nan), known


@pytest.mark.parametrize("layers", [1, None])
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "distilbert"])
def test_unknown_texts_are_computed(kind: str, layers: int | None) -> None:
    model = tiny_cross_lingual(kind).eval()
    mask = (torch.arange(6) < torch.tensor([6, 3, 1, 0])[:, None]).long()
    input_ids = torch.arange(10, 34).reshape(4, 6) + torch.tensor([0, 1, 0, 1])[:, None]
    expected = model.text.tower(input_ids, mask) * mask.unsqueeze(-1)
    model.text.tower.cache = Remembered(model, layers)
    states = model.text.tower(input_ids, mask)
    assert states.isfinite().all()
    torch.testing.assert_close(states * mask.unsqueeze(-1), expected)
