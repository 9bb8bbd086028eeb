from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BertConfig, BertModel, CLIPImageProcessorPil

from leccr.errors import UserError
from leccr.models.build import (
    build_model,
    build_processor,
    parameter_groups,
    training_texts,
    with_lower_case,
)
from leccr.recipes import load_recipe
from modeling_leccr import CrossLingualModel
from processing.features import FEATURES_FILE, FeatureFile, save_features
from processing.scenes.build import draw_scene, sample_scenes
from processing.text_rule_leccr import has_text_rule
from tests.modeling_leccr.tiny import tiny_model
from tests.tiny_data import DUAL_ENCODER, dataset, recipe, row

TEXTS = ["A red Dog runs", "Ein roter Hund läuft", "一只红色的狗"]


def features(folder: Path, **tensors: Tensor) -> FeatureFile:
    save_features(folder / FEATURES_FILE, list(tensors), list(tensors.values()))
    return FeatureFile(folder)


def test_training_texts_are_all_captions_and_descriptions() -> None:
    rows = dataset([row("a", ["de"], captions=1), row("b", target_captions=None, captions=1, description=None)])
    assert list(training_texts(rows)) == ["en a 0", "de a 0", "This is a", "en b 0"]


def test_copies_in_lower_case_are_drawn_by_the_seed() -> None:
    texts = [f"Dog {number}" for number in range(200)]
    drawn = [list(with_lower_case(texts, 0.3, seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [text for text in drawn[0] if text[0] == "D"] == texts and 240 < len(drawn[0]) < 280
    assert list(with_lower_case(texts, 0.0, 0)) == texts


class TestBuildProcessor:
    def test_a_learned_vocabulary_and_settings_of_an_image_processor(self) -> None:
        made = build_processor(recipe(), TEXTS)
        assert isinstance(made.image_processor, CLIPImageProcessorPil)
        assert not made.image_processor.do_resize
        assert (made.text_max_length, made.description_max_length) == (32, 48)
        assert made.tokenizer.unk_token_id not in made(text=TEXTS)["input_ids"]

    def test_the_towers_of_scenes_take_pictures_of_any_size(self) -> None:
        made = build_processor(load_recipe("leccr", "scenes"), TEXTS)
        [scene] = sample_scenes({"test": 1})["test"]
        picture = draw_scene(scene)
        pixels = made(images=[picture, picture.resize((90, 70))])["pixel_values"]
        made.image_processor.do_resize = False
        assert pixels.shape == (2, 3, 64, 64)
        assert torch.equal(pixels[:1], made(images=picture)["pixel_values"])

    def test_names_of_folders(self, tmp_path: Path) -> None:
        made = build_processor(recipe(), TEXTS)
        made.tokenizer.save_pretrained(tmp_path / "tokenizer")
        CLIPImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(tmp_path / "images")
        named = recipe(tokenizer=str(tmp_path / "tokenizer"), image_processor=str(tmp_path / "images"))
        loaded = build_processor(named, [])
        assert loaded.tokenizer.get_vocab() == made.tokenizer.get_vocab()
        assert type(loaded.image_processor).__name__ == "CLIPImageProcessorPil"
        assert loaded.image_processor.size["height"] == 16

    @pytest.mark.parametrize("fields", [{}, {"network": "cross-lingual", "vision": None, "image_processor": None}])
    @pytest.mark.parametrize("pruned", [False, True])
    def test_a_real_tokenizer_follows_the_text_rule_after_loading_too(
        self, fields: dict[str, Any], pruned: bool, shared_dir: Path, tmp_path: Path
    ) -> None:
        name = str(shared_dir / "tokenizers" / "bert-base-multilingual-cased")
        build_processor(recipe(tokenizer=name, prune_tokenizer=pruned, **fields), TEXTS).save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        assert loaded("Hu\u0308nd ’")["input_ids"] == loaded("Hünd '")["input_ids"]
        assert loaded("ｒｅｄ")["input_ids"] == loaded("red")["input_ids"]
        assert (loaded.mask_token is None, loaded.pad_token, loaded.sep_token) == (pruned, "[PAD]", "[SEP]")

    @pytest.mark.parametrize("fields", [{}, {"network": "cross-lingual", "vision": None, "image_processor": None}])
    def test_the_text_rule_can_be_left_out(self, fields: dict[str, Any]) -> None:
        made = build_processor(recipe(processor={"normalize_text": False}, **fields), TEXTS)
        assert not has_text_rule(getattr(made, "tokenizer", made))

    @pytest.mark.parametrize("source", ["attention", "sentences", "both"])
    def test_descriptions_are_split_where_sentences_are_slots(self, source: str) -> None:
        made = build_processor(recipe({"slot_source": source, "num_slots": 2}), TEXTS)
        assert made.sentence_slots == (source != "attention")

    def test_a_learned_vocabulary_ignores_case_unless_told(self) -> None:
        made = [build_processor(recipe(lower_case=share), TEXTS * 50) for share in (None, 0.3, 0.0)]
        words = [{"Hund", "hund", "HUND"} & set(each.tokenizer.get_vocab()) for each in made]
        assert words == [{"hund"}, {"Hund", "hund"}, {"Hund"}]
        ids = [made[0](text=text)["input_ids"].tolist() for text in ("Ein Hund", "ein hund", "EIN HUND", "eIN hUND")]
        assert ids == [ids[0]] * 4

    def test_a_tokenizer_can_be_cut_down(self, tmp_path: Path) -> None:
        build_processor(recipe(), TEXTS).tokenizer.save_pretrained(tmp_path)
        full = build_processor(recipe(tokenizer=str(tmp_path)), TEXTS[:1]).tokenizer
        cut = build_processor(recipe(tokenizer=str(tmp_path), prune_tokenizer=True), TEXTS[:1]).tokenizer
        assert len(cut) < len(full)
        assert cut.tokenize(TEXTS[0]) == full.tokenize(TEXTS[0])

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"tokenizer": None}, "Recipe tiny needs a tokenizer: name one, or write tokenizer: learned."),
            ({"image_processor": None}, "Recipe tiny needs an image_processor"),
            (
                {"text": "some/bert"},
                "Recipe tiny needs a new vocabulary, but the pretrained tower some/bert needs its",
            ),
            (
                {"text": "some/bert", "tokenizer": None, "prune_tokenizer": True},
                "Recipe tiny needs a new vocabulary",
            ),
        ],
    )
    def test_what_a_recipe_lacks_is_said(self, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            build_processor(recipe(**fields), TEXTS)


class TestBuildModel:
    def test_the_vocabulary_sets_the_size_of_a_new_text_tower(self) -> None:
        made = build_processor(recipe(), TEXTS)
        model = build_model(recipe(), made)
        assert model.config.text_config.vocab_size == len(made.tokenizer)
        assert model.config.text_config.pad_token_id == made.tokenizer.pad_token_id
        assert model.config.vision_config.model_type == "resnet"
        assert (model.config.num_slots, model.config.projection_dim) == (2, 8)
        assert model.get_text_features(**made(text=TEXTS)).shape == (3, 8)

    def test_the_recipe_can_say_the_size(self) -> None:
        text = {**recipe().text, "vocab_size": 1000}  # type: ignore[dict-item]
        assert build_model(recipe(text=text), build_processor(recipe(), TEXTS)).config.text_config.vocab_size == 1000

    def test_a_pretrained_text_tower(self, tmp_path: Path) -> None:
        made = build_processor(recipe(), TEXTS)
        made.tokenizer.save_pretrained(tmp_path)
        config = BertConfig(
            vocab_size=len(made.tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
        )
        tower = BertModel(config)
        tower.save_pretrained(tmp_path)
        named = recipe(text=str(tmp_path), tokenizer=None)
        model = build_model(named, build_processor(named, []))
        weight = model.text.tower.model.embeddings.word_embeddings.weight
        assert torch.equal(weight, tower.embeddings.word_embeddings.weight)

    def test_features_set_the_width_without_a_vision_tower(self, tmp_path: Path) -> None:
        blind = recipe(vision=None)
        made = build_processor(blind, TEXTS)
        model = build_model(blind, made, features(tmp_path, a=torch.ones(2, 7)))
        assert model.image.tower is None and model.config.visual_feature_dim == 7
        with pytest.raises(ValueError, match="Recipe tiny has no vision tower; give it data with visual features."):
            build_model(blind, made)

    def test_features_of_another_tower_are_refused(self, tmp_path: Path) -> None:
        rows = dataset([row("a")])
        save_features(tmp_path / FEATURES_FILE, ["a"], [torch.zeros(2, 16)], tower="another/tower")
        chosen = recipe(vision="this/tower", tokenizer="learned")
        with pytest.raises(UserError, match="another/tower, but recipe tiny has this/tower"):
            build_model(chosen, build_processor(recipe(), training_texts(rows)), FeatureFile(tmp_path))

    def test_the_recipe_is_not_changed(self) -> None:
        ours = recipe()
        build_model(ours, build_processor(ours, TEXTS))
        assert ours == recipe()


class TestParameterGroups:
    @staticmethod
    def by_setting(model: nn.Module, new: float | None = 1e-3) -> dict[str, tuple[float, float]]:
        """Return learning rate and decay of each parameter, after checking that each has one of each."""
        groups = parameter_groups(model, 1e-5, 0.01, new)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        assert max(Counter(id(parameter) for group in groups for parameter in group["params"]).values()) == 1
        return {
            names[id(parameter)]: (group["lr"], group["weight_decay"])
            for group in groups
            for parameter in group["params"]
        }

    @pytest.mark.parametrize("vision", ["clip", "siglip", "mobilenet_v2", None])
    def test_every_trainable_parameter_has_its_group(self, vision: str | None) -> None:
        model = tiny_model(vision, slot_anchor="text", visual_layers=1, text_head="mlp")
        settings = self.by_setting(model)
        assert set(settings) == {name for name, _ in model.named_parameters()}
        for name, (rate, _) in settings.items():
            assert rate == (1e-5 if name.startswith(("image.tower.", "text.tower.")) else 1e-3), name

    @pytest.mark.parametrize("vision", ["clip", "siglip", "mobilenet_v2"])
    def test_biases_norms_queries_gates_and_temperature_are_not_decayed(self, vision: str) -> None:
        model = tiny_model(vision, slot_anchor="text")
        decayed = {name for name, (_, decay) in self.by_setting(model).items() if decay}
        plain = {name for name, _ in model.named_parameters()} - decayed
        assert {
            "logit_scale.weight",
            "image.anchor.queries.weight",
            "image.anchor.slot_gate.weight",
            "image.anchor.image_gate.weight",
            "image.interaction.queries.weight",
            "image.interaction.no_description.weight",
            "image.head.bias",
            "text.tower.model.embeddings.LayerNorm.weight",
        } <= plain
        assert not [name for name in decayed if name.endswith("bias")]
        # Norms are the vectors among the weights.
        assert not [name for name, parameter in model.named_parameters() if parameter.dim() < 2 and name in decayed]
        assert {"image.head.weight", "text.tower.model.embeddings.word_embeddings.weight"} <= decayed

    def test_frozen_towers_have_no_group(self) -> None:
        model = tiny_model(freeze_vision=True, freeze_text=True)
        assert not [name for name in self.by_setting(model) if ".tower." in name]
        assert "image.head.weight" in self.by_setting(model)

    def test_one_learning_rate_for_all(self) -> None:
        assert {rate for rate, _ in self.by_setting(tiny_model(), None).values()} == {1e-5}

    def test_an_optimizer_takes_them(self) -> None:
        optimizer = torch.optim.AdamW(parameter_groups(tiny_model(), 1e-5, 0.01, 1e-3))
        assert {(group["lr"], group["weight_decay"]) for group in optimizer.param_groups} == {
            (1e-5, 0.0),
            (1e-5, 0.01),
            (1e-3, 0.0),
            (1e-3, 0.01),
        }


def test_a_dual_encoder_is_built_without_slots() -> None:
    dual = recipe(model=DUAL_ENCODER)
    model = build_model(dual, build_processor(dual, TEXTS))
    assert not any("interaction" in name for name, _ in model.named_parameters())


TEXT_ONLY: dict[str, Any] = {"model": {"projection_dim": 8}, "network": "cross-lingual"}


class TestTextOnly:
    def test_a_tokenizer_that_knows_where_to_cut(self) -> None:
        tokenizer = build_processor(recipe(**TEXT_ONLY, processor={"text_max_length": 5}), TEXTS)
        assert tokenizer.model_max_length == 5
        assert len(tokenizer(TEXTS[0] * 3, truncation=True)["input_ids"]) == 5
        assert build_processor(recipe(**TEXT_ONLY, processor={}), TEXTS).model_max_length == 64

    def test_no_picture_is_thought_of(self) -> None:
        blind = recipe(**TEXT_ONLY, vision=None, image_processor=None)
        model = build_model(blind, build_processor(blind, TEXTS))
        assert type(model) is CrossLingualModel
        assert model.config.projection_dim == 8

    def test_parameter_groups(self) -> None:
        ours = recipe(**TEXT_ONLY)
        model = build_model(ours, build_processor(ours, TEXTS))
        settings = TestParameterGroups.by_setting(model)
        assert set(settings) == {name for name, _ in model.named_parameters()}
        assert settings["text.tower.model.embeddings.word_embeddings.weight"] == (1e-5, 0.01)
        assert settings["logit_scale.weight"] == (1e-3, 0.0)
