"""A saved model comes back the same, and what a checkpoint lacks is initialised, not left to chance."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForZeroShotImageClassification

from modeling_leccr import LeccrModel

from .tiny import FEATURE_WIDTH, VISION_TOWERS, batch, random, text_config, tiny_model

FORMS: dict[str, dict[str, Any]] = {
    "dual-encoder": {"num_slots": 0, "text_head": "mlp"},
    "published": {"freeze_text": True, "learn_temperature": False},
    "anchored": {"slot_anchor": "text", "visual_layers": 1, "vision_standardize": True},
    "sentences": {"slot_source": "sentences", "fused_weight": 1.0, "learn_alpha": True},
    "two text encoders": {"description_config": text_config("distilbert")},
}
PAIRS: list[tuple[str, str | None]] = [(name, vision) for name in FORMS for vision in ("clip", None)]
PAIRS += [("anchored", vision) for vision in VISION_TOWERS if vision != "clip"]


def load(folder: Path, **arguments: Any) -> LeccrModel:
    model, report = LeccrModel.from_pretrained(folder, output_loading_info=True, **arguments)
    problems = {name: keys for name, keys in report.items() if keys}
    assert problems == {}
    return model


@pytest.mark.parametrize(("name", "vision"), PAIRS)
def test_a_saved_model_comes_back_the_same(name: str, vision: str | None, tmp_path: Path) -> None:
    model = tiny_model(vision, **FORMS[name])
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    if model.image.standardizer is not None:
        width = model.config.visual_feature_dim
        model.image.set_feature_statistics(random(width), random(width, seed=1).abs() + 0.5)
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert not loaded.training
    state, expected = loaded.state_dict(), model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], value) for key, value in expected.items())
    trained = {key for key, weight in model.named_parameters() if weight.requires_grad}
    assert {key for key, weight in loaded.named_parameters() if weight.requires_grad} == trained
    first, second = model(**batch(vision)), loaded(**batch(vision))
    torch.testing.assert_close(second.image_views, first.image_views, rtol=0, atol=1e-6)
    torch.testing.assert_close(second.loss, first.loss, rtol=1e-6, atol=1e-5)


def test_weights_are_saved_as_safetensors_only(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    files = {path.name for path in tmp_path.iterdir() if path.suffix not in (".py", ".json")}
    assert files == {"model.safetensors"}


def test_feature_statistics_survive(tmp_path: Path) -> None:
    model = tiny_model(None, vision_standardize=True)
    mean, deviation = random(FEATURE_WIDTH), random(FEATURE_WIDTH, seed=1).abs() + 0.5
    model.image.set_feature_statistics(mean, deviation)
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path).image.standardizer
    assert torch.equal(loaded.mean, mean)
    assert torch.equal(loaded.deviation, deviation)


def test_slots_still_differ_in_a_loaded_model(tmp_path: Path) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert torch.pdist(loaded.image.interaction.queries.weight.detach()).min() > 0.02
    images = loaded.encode_images(random(2, 3, 32, 32))
    assert min(torch.pdist(slots).min() for slots in images.slot_embeds) > 1e-3


NEW_PARTS = (
    "image.interaction.",
    "image.anchor.",
    "image.slot_head",
    "objective.",
    "logit_scale",
    "image.standardizer",
    "image.head",
)


class TestPartialCheckpoint:
    """Models are built without memory first, so whatever a checkpoint lacks holds garbage unless it is initialised."""

    @pytest.fixture
    def loaded(self, tmp_path: Path) -> LeccrModel:
        model = tiny_model(slot_anchor="text", vision_standardize=True)
        model.image.set_feature_statistics(random(32), random(32).abs())
        model.save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        kept = {name: value for name, value in weights.items() if not name.startswith(NEW_PARTS)}
        save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
        # Garbage shows only where memory is not fresh, so used memory is handed back first.
        used = [torch.full((size,), 1e9) for size in range(1, 3000, 7)]
        del used
        loaded, report = LeccrModel.from_pretrained(tmp_path, output_loading_info=True)
        assert report["missing_keys"] == set(weights) - set(kept)
        return loaded

    def test_scalars_and_statistics_have_their_initial_values(self, loaded: LeccrModel) -> None:
        assert loaded.logit_scale.weight.item() == pytest.approx(2.6592)
        assert (loaded.image.anchor.slot_gate.weight.item(), loaded.image.anchor.image_gate.weight.item()) == (0.0, 1.0)
        assert torch.equal(loaded.image.standardizer.mean, torch.zeros(32))
        assert torch.equal(loaded.image.standardizer.deviation, torch.ones(32))

    def test_queries_differ(self, loaded: LeccrModel) -> None:
        for tokens in (loaded.image.interaction.queries, loaded.image.anchor.queries):
            assert torch.pdist(tokens.weight.detach()).min() > 0.02
            assert tokens.weight.std().item() == pytest.approx(0.02, rel=0.5)
        assert loaded.image.interaction.no_description.weight.abs().max() > 0

    def test_layers_are_of_a_usual_size(self, loaded: LeccrModel) -> None:
        for name, weight in loaded.named_parameters():
            if name.startswith(NEW_PARTS) and weight.dim() == 2:
                assert 0.005 < weight.std() < 0.5, name
            elif name.startswith(NEW_PARTS) and name.endswith("bias"):
                assert torch.equal(weight, torch.zeros_like(weight)), name
        assert loaded(**batch()).loss.isfinite()


def test_pooling_layer_of_another_text_encoder_is_passed_over(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    extra = {"text.tower.model.pooler.dense.weight": torch.zeros(32, 32)}
    save_file(weights | extra, tmp_path / "model.safetensors", metadata={"format": "pt"})
    load(tmp_path)


@pytest.mark.parametrize("saved, asked", [("float32", torch.bfloat16), ("bfloat16", None), ("bfloat16", torch.float32)])
def test_the_whole_model_has_one_precision(saved: str, asked: torch.dtype | None, tmp_path: Path) -> None:
    tiny_model().to(getattr(torch, saved)).save_pretrained(tmp_path)
    loaded = load(tmp_path, **({} if asked is None else {"dtype": asked}))
    assert {weight.dtype for weight in loaded.parameters()} == {asked or torch.bfloat16}
    assert loaded(**batch()).loss.isfinite()


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("vision", ["clip", "mobilenet_v2"])
def test_attention_can_be_chosen_at_loading(vision: str, implementation: str, tmp_path: Path) -> None:
    model = tiny_model(vision)
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path, attn_implementation=implementation)
    assert loaded.text.tower.model.config._attn_implementation == implementation
    torch.testing.assert_close(loaded(**batch(vision)).loss, model(**batch(vision)).loss)


def test_auto_classes_find_their_way(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path, trust_remote_code=True)
    assert type(config).__name__ == "LeccrConfig"
    for auto in (AutoModel, AutoModelForZeroShotImageClassification):
        assert type(auto.from_pretrained(tmp_path, trust_remote_code=True)).__name__ == "LeccrModel"


def test_layers_can_be_placed_by_the_library(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    model = LeccrModel.from_pretrained(tmp_path, device_map="auto")
    torch.testing.assert_close(model(**batch()).loss, tiny_model()(**batch()).loss)


def test_a_model_of_the_hub_is_saved_with_its_own_code(tmp_path: Path) -> None:
    """Not with the name of the repository that it was loaded from, as transformers leaves it in its configuration."""
    model = tiny_model()
    model.config.auto_map = {"AutoModelForZeroShotImageClassification": "org/other--modeling_leccr.LeccrModel"}
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    model_class = "modeling_leccr.LeccrModel"
    assert saved["auto_map"] == {
        "AutoConfig": "configuration_leccr.LeccrConfig",
        "AutoModel": model_class,
        "AutoModelForZeroShotImageClassification": model_class,
    }
