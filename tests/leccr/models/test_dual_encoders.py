"""The processor of a dual encoder: its own image processor and tokenizer, and texts as long as it was trained with."""

import dataclasses
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import BertConfig, CLIPImageProcessorPil, GemmaTokenizer
from typer.testing import CliRunner

from leccr.cli import app
from leccr.errors import UserError
from leccr.models.build import build_model, build_processor
from leccr.models.checkpoints import load_retriever
from leccr.models.dual_encoders import dual_encoder_processor, load_dual_encoder
from leccr.recipes import Recipe, load_recipe
from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.text_rule_leccr import has_text_rule
from processing.tokenizers import train_tokenizer
from tests.modeling_leccr.tiny_dual_encoders import LENGTH, dual_encoder
from tests.tiny_data import picture, scenes

from .tiny_families import FAMILIES, PADDED, PICTURES, QUERIES, image_processor, own_processor, save_family

TEXTS = ["a dog", "a brown dog runs over a meadow"]


def save(family: str, folder: Path) -> None:
    dual_encoder(family).save_pretrained(folder)
    # SigLIP's tokenizers give no mask.
    tokenizer = train_tokenizer(TEXTS, vocabulary_size=50, normalize_text=False)
    tokenizer.model_input_names = ["input_ids"]
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False).save_pretrained(folder)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in ("siglip 2 naflex", "chinese clip")])
@torch.no_grad()
def test_a_model_that_starts_from_one_reads_texts_as_it_does(family: str, tmp_path: Path) -> None:
    save_family(family, tmp_path / "source")
    dual_encoder_processor(tmp_path / "source").save_pretrained(tmp_path / "saved")
    processor = LeccrProcessor.from_pretrained(tmp_path / "saved")
    model = LeccrModel.from_dual_encoder(tmp_path / "source", num_slots=2, interaction_heads=2).eval()
    original, own = load_dual_encoder(tmp_path / "source")
    expected = original.get_text_features(**own(text=QUERIES))
    features = model.get_text_features(**processor(text=QUERIES))
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-5)
    views = model.get_image_views(**processor(images=PICTURES, descriptions=[QUERIES[0], None, QUERIES[1]]))
    expected = original.get_image_views(**own(images=PICTURES)).expand_as(views)
    torch.testing.assert_close(views, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_those_of_the_familys_own_processor(family: str, tmp_path: Path) -> None:
    save_family(family, tmp_path)
    _, processor = load_dual_encoder(tmp_path)
    texts = [*QUERIES, unicodedata.normalize("NFD", QUERIES[1]), "  HUND\tam  Strand ", "Ｈund “🐕”"]
    own, options = own_processor(family, tmp_path)
    expected = own(text=texts, return_tensors="pt", **options)
    tokens = processor(text=texts)
    assert torch.equal(tokens["input_ids"], expected["input_ids"]) and tokens["input_ids"].shape[1] == LENGTH
    if "attention_mask" in expected:
        assert torch.equal(tokens["attention_mask"], expected["attention_mask"])
    tokenizer = processor.tokenizer
    end = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    assert (tokens["input_ids"] == end).any(1).all() and tokens["input_ids"][3, -1] == end


@pytest.mark.parametrize("family", ["siglip 2", "siglip 2 naflex"])
def test_texts_for_siglip_2_are_lower_case_and_padded(family: str, tmp_path: Path) -> None:
    """Its checkpoints name a tokenizer that leaves the case, while its captions were lower-cased."""
    save_family(family, tmp_path)
    _, processor = load_dual_encoder(tmp_path)
    named = GemmaTokenizer.from_pretrained(tmp_path)
    expected = named([text.lower() for text in QUERIES], return_tensors="pt", **PADDED)["input_ids"]
    assert not torch.equal(named(QUERIES, return_tensors="pt", **PADDED)["input_ids"], expected)
    assert torch.equal(processor(text=QUERIES)["input_ids"], expected)
    assert expected.shape == (4, LENGTH) and (expected[:3] == named.pad_token_id).any(1).all()
    assert expected[3, -1] == named.eos_token_id, "a text that is cut still ends"


@pytest.mark.parametrize("family", ["clip", "siglip 2", "siglip 2 naflex"])
def test_parts_that_a_processor_has_saved(family: str, tmp_path: Path) -> None:
    """In the newest checkpoints the image processor is in processor_config.json, with the rest."""
    save_family(family, tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    own_processor(family, tmp_path)[0].save_pretrained(tmp_path)
    assert not (tmp_path / "preprocessor_config.json").exists()
    _, processor = load_dual_encoder(tmp_path)
    expected = image_processor(family)(images=PICTURES, return_tensors="pt")
    batch = processor(images=PICTURES)
    assert all(torch.equal(batch[name], value) for name, value in expected.items())


def test_pictures_for_naflex_keep_their_proportions(tmp_path: Path) -> None:
    save_family("siglip 2 naflex", tmp_path)
    _, processor = load_dual_encoder(tmp_path)
    batch = processor(images=iter(PICTURES), text=["a dog"])
    assert batch["spatial_shapes"].tolist() == [[3, 5], [4, 4], [5, 3]]
    assert batch["pixel_attention_mask"].sum(1).tolist() == [15, 16, 15]
    assert batch["input_ids"].shape == (1, LENGTH)
    see_through = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    white = processor(images=[Image.new("RGB", (32, 32), "white")])["pixel_values"]
    assert torch.equal(processor(images=see_through)["pixel_values"], white)


def test_each_keeps_its_own_text_rule(tmp_path: Path) -> None:
    save("clip", tmp_path)
    processor = dual_encoder_processor(tmp_path)
    assert not processor.normalize_text and not has_text_rule(processor.tokenizer)


def test_long_texts_are_cut_where_the_positions_end(tmp_path: Path) -> None:
    save("clip", tmp_path)
    batch = dual_encoder_processor(tmp_path)(text=["dog " * 100], descriptions=["dog " * 100])
    assert batch["input_ids"].shape[1] == batch["description_input_ids"].shape[1] == LENGTH


def test_settings_of_the_recipe_hold(tmp_path: Path) -> None:
    save("clip", tmp_path)
    processor = dual_encoder_processor(tmp_path, text_max_length=7)
    assert (processor.text_max_length, processor.description_max_length) == (7, LENGTH)


def test_another_kind_of_model(tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"is a bert model, not a dual encoder known here; .*: clip, metaclip_2"):
        dual_encoder_processor(tmp_path)
    with pytest.raises(UserError, match="There is no model .*nowhere"):
        dual_encoder_processor(tmp_path / "nowhere")


class TestTraining:
    def test_a_run_from_the_command_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        save("clip", tmp_path / "clip")
        monkeypatch.setattr("leccr.data.training_data.load_data", lambda name, **_: (scenes(), None))
        words = ["train", "leccr", "--dual-encoder", str(tmp_path / "clip"), "--out", str(tmp_path / "out")]
        settings = "--max_steps 3 --per_device_train_batch_size 4 --learning_rate 1e-2 --eval_strategy steps"
        more = "--save_strategy steps --save_steps 3 --eval_steps 3 --use_cpu --disable_tqdm"
        result = CliRunner().invoke(app, [*words, *settings.split(), *more.split()])
        assert result.exit_code == 0, result.output
        model, processor = load_retriever(tmp_path / "out")
        source = dual_encoder("clip")
        for tower, original in ((model.image.tower, source.vision_model), (model.text.tower, source.text_model)):
            expected = original.state_dict()
            assert all(torch.equal(value, expected[name]) for name, value in tower.model.state_dict().items())
        assert model.config.slot_anchor == "image" and model.config.num_slots == 4
        assert model.image.anchor.interaction_gate.weight != 0, "the gates start at zero"
        assert processor.text_max_length == LENGTH
        assert str(tmp_path) not in (tmp_path / "out" / "config.json").read_text()
        assert load_recipe(tmp_path / "out" / "recipe.yaml").dual_encoder == str(tmp_path / "clip")

    def test_before_training_it_is_the_dual_encoder(self, tmp_path: Path) -> None:
        save("clip", tmp_path)
        recipe = load_recipe("leccr", dual_encoder=str(tmp_path))
        processor = build_processor(recipe, [])
        model = build_model(recipe, processor)
        assert model.training and not any(tower.training for tower in (model.image.tower, model.text.tower))
        pixels = processor(images=[picture("blue"), picture("red")])["pixel_values"]
        with torch.no_grad():
            expected = dual_encoder("clip").get_image_features(pixel_values=pixels).pooler_output
            views = model.eval().get_image_views(pixels)
        expected = torch.nn.functional.normalize(expected, dim=-1)[:, None].expand_as(views)
        torch.testing.assert_close(views, expected, rtol=0, atol=1e-5)

    def test_siglip_pads_texts_with_the_token_of_its_tokenizer(self, tmp_path: Path) -> None:
        """Its configuration names another one, and pipelines of transformers pad only to the longest text."""
        save("siglip", tmp_path / "siglip")
        recipe = load_recipe("leccr", dual_encoder=str(tmp_path / "siglip"))
        processor = build_processor(recipe, [])
        build_model(recipe, processor).save_pretrained(tmp_path / "saved")
        model = LeccrModel.from_pretrained(tmp_path / "saved").eval()
        with torch.no_grad():
            short, full = (model.get_text_features(**processor(text=TEXTS, padding=kind)) for kind in ("longest", True))
        torch.testing.assert_close(short, full, rtol=0, atol=1e-5)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"text": "org/bert"}, "text in recipe leccr comes from org/clip; leave it out."),
            ({"warm_start": "teacher"}, "warm_start in recipe leccr comes from org/clip; leave it out."),
            ({"processor": {"num_frames": 8}}, "is to learn from videos, and cannot start from a dual encoder"),
            ({"network": "cross-lingual"}, "knows only texts, and cannot start from a dual encoder"),
        ],
    )
    def test_what_does_not_go_together(self, fields: dict[str, Any], message: str) -> None:
        recipe: Recipe = dataclasses.replace(load_recipe("leccr", dual_encoder="org/clip"), **fields)
        with pytest.raises(UserError, match=message):
            build_processor(recipe, [])
