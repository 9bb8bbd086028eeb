"""A saved cross-lingual network comes back the same, its weights fit the retrieval network, and towers arrive in it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertForMaskedLM, BertModel

from modeling_leccr import CrossLingualModel

from .tiny import SPACE, TEXT_TOWERS, sentence_pairs, text_config, texts, tiny_cross_lingual, tiny_model


def load(folder: Path, **arguments: Any) -> CrossLingualModel:
    model, report = CrossLingualModel.from_pretrained(folder, output_loading_info=True, **arguments)
    assert {name: keys for name, keys in report.items() if keys} == {}
    return model


class TestSaving:
    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    def test_a_saved_model_comes_back_the_same(self, kind: str, tmp_path: Path) -> None:
        model = tiny_cross_lingual(kind, text_head="mlp", learn_temperature=False)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.01 * torch.randn_like(weight))
        model.save_pretrained(tmp_path)
        loaded = load(tmp_path)
        assert not loaded.logit_scale.weight.requires_grad
        assert all(torch.equal(loaded.state_dict()[name], value) for name, value in model.state_dict().items())
        torch.testing.assert_close(loaded(**sentence_pairs()).loss, model(**sentence_pairs()).loss)

    def test_what_a_checkpoint_lacks_is_initialised(self, tmp_path: Path) -> None:
        tiny_cross_lingual().save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        kept = {name: value for name, value in weights.items() if name.startswith("text.tower")}
        save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
        used = [torch.full((size,), 1e9) for size in range(1, 3000, 7)]
        del used
        loaded = CrossLingualModel.from_pretrained(tmp_path)
        assert loaded.logit_scale.weight.item() == pytest.approx(2.6592)
        assert 0.005 < loaded.text.head.output.weight.std() < 0.5
        assert torch.equal(loaded.text.head.output.bias, torch.zeros(SPACE))

    def test_auto_class(self, tmp_path: Path) -> None:
        tiny_cross_lingual().save_pretrained(tmp_path)
        model = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
        assert type(model).__name__ == "CrossLingualModel" and type(model) is not CrossLingualModel
        torch.testing.assert_close(model(**sentence_pairs()).loss, tiny_cross_lingual()(**sentence_pairs()).loss)

    @pytest.mark.parametrize("head", ["linear", "mlp"])
    def test_weights_fit_the_retrieval_network(self, head: str) -> None:
        teacher, student = tiny_cross_lingual(seed=1, text_head=head), tiny_model(None, text_head=head)
        report = student.load_state_dict(teacher.state_dict(), strict=False)
        assert report.unexpected_keys == []
        assert not any(key.startswith(("text_", "logit_scale")) for key in report.missing_keys)
        inputs = texts([4, 6, 3])
        assert torch.equal(student.get_text_features(**inputs), teacher.get_text_features(**inputs))


class TestPretrainedTower:
    def test_its_weights_arrive(self, tmp_path: Path) -> None:
        source = BertModel(text_config()).eval()
        source.save_pretrained(tmp_path)
        model = CrossLingualModel.from_pretrained_tower(tmp_path, projection_dim=SPACE, word_weight=0.4).eval()
        inputs = texts([3, 6])
        torch.testing.assert_close(model.text.tower(**inputs), source(**inputs).last_hidden_state)
        assert (model.config.projection_dim, model.config.word_weight) == (SPACE, 0.4)
        assert model(**sentence_pairs()).loss.isfinite()

    def test_a_language_model_s_encoder(self, tmp_path: Path) -> None:
        source = BertForMaskedLM(text_config())
        source.save_pretrained(tmp_path)
        state = CrossLingualModel.from_pretrained_tower(str(tmp_path)).text.tower.model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in source.bert.state_dict().items())

    def test_a_configuration_is_a_tower_with_random_weights(self) -> None:
        torch.manual_seed(0)
        model = CrossLingualModel.from_pretrained_tower(text_config("distilbert"))
        assert model(**sentence_pairs()).loss.isfinite()

    def test_an_incomplete_checkpoint_is_refused(self, tmp_path: Path) -> None:
        BertModel(text_config()).save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        weights.pop("encoder.layer.0.output.dense.bias")
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match="lacks 1 weights of a bert tower"):
            CrossLingualModel.from_pretrained_tower(tmp_path)
