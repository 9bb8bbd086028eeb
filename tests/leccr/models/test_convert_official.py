"""Checkpoints of the authors' release become ordinary folders; what does not fit is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel, AutoProcessor, BertConfig
from typer.testing import CliRunner

from leccr import UserError
from leccr.cli import app
from leccr.models.checkpoints import load_retriever
from leccr.models.convert_official import convert_official, official_config, official_model, read_official
from modeling_leccr import LeccrModel
from processing.text_rule_leccr import has_text_rule
from processing.tokenizers import train_tokenizer
from tests.fuzz.test_models_and_endpoints import Pickled
from tests.tiny_data import read

PLACES: list[Callable[[Any], Any]] = [
    lambda code: code,
    lambda code: {"model": code},
    lambda code: {"model": {"a": code}},
]

Weights = dict[str, Tensor]


@pytest.fixture(params=["image", "video"])
def golden(shared_dir: Path, request: pytest.FixtureRequest) -> Path:
    return shared_dir / "golden" / f"official-leccr-{request.param}"


@pytest.fixture
def image(shared_dir: Path) -> Path:
    return shared_dir / "golden" / "official-leccr-image"


@pytest.fixture
def weights(image: Path) -> Weights:
    return read_official(image / "checkpoint_best.pth")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(["ein Hund", "a dog"], vocabulary_size=40, normalize_text=False).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def text_config(image: Path, tmp_path: Path) -> str:
    BertConfig(**json.loads((image / "meta.json").read_text())["text_config"]).save_pretrained(tmp_path / "bert")
    return str(tmp_path / "bert")


@torch.no_grad()
def assert_golden(model: LeccrModel, folder: Path) -> None:
    expected = load_file(folder / "outputs.safetensors")
    inputs = load_file(folder / "inputs.safetensors")
    output = model(**inputs)
    names = (
        "image_embeds",
        "slot_embeds",
        "source_embeds",
        "target_embeds",
        "loss_vision_source",
        "loss_source_target",
    )
    for name in names:
        torch.testing.assert_close(output[name], expected[name], rtol=0, atol=1e-4)


def test_the_folder_is_an_ordinary_one(golden: Path, tokenizer: str, text_config: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["convert-official", str(golden / "checkpoint_best.pth"), "--out", str(out), "--tokenizer", tokenizer]
    done = CliRunner().invoke(app, [*arguments, "--text-config", text_config])
    assert done.exit_code == 0, done.output
    assert not list(tmp_path.glob(".*"))
    model, processor = load_retriever(out)
    assert_golden(model, golden)
    stranger, report = AutoModel.from_pretrained(out, trust_remote_code=True, output_loading_info=True)
    assert {problem: keys for problem, keys in report.items() if keys} == {}
    assert_golden(stranger, golden)
    strange = AutoProcessor.from_pretrained(out, trust_remote_code=True)
    assert read(strange, strange(text=["A dog!"])["input_ids"]) == ["a dog"]
    assert not processor.normalize_text and not has_text_rule(processor.tokenizer)
    # As they were trained: the words of captions in lower case, and descriptions as they are; α as they are tested.
    assert read(processor, processor(text=["A dog!"])["input_ids"]) == ["a dog"]
    assert read(processor, processor(descriptions=["ein Hund"])["description_input_ids"]) == ["ein Hund"]
    assert model.config.alpha == (0.8 if "image" in golden.name else 0.9)
    assert (processor.text_max_length, processor.description_max_length) == (40, 40)
    batch = processor(text=["ein Hund"], images=[Image.new("RGB", (50, 40))])
    assert model.get_text_features(batch["input_ids"], batch["attention_mask"]).shape == (1, 24)
    if "image" in golden.name:
        assert batch["pixel_values"].shape[-2:] == (32, 32)
        assert model.get_image_features(batch["pixel_values"]).shape == (1, 24)


class TestConfiguration:
    def test_sizes_of_the_release(self, weights: Weights) -> None:
        """CLIP ViT-B/32 at 384, mBERT: only the shapes that tell the sizes are as large as that."""
        empty: Callable[..., Tensor] = lambda *shape: torch.empty(shape, device="meta")  # noqa: E731
        visual, text = "clip_encoder.visual.", "text_encoder."
        large = {name: value for name, value in weights.items() if ".resblocks." not in name and ".layer." not in name}
        large |= {
            f"{visual}conv1.weight": empty(768, 3, 32, 32),
            f"{visual}positional_embedding": empty(145, 768),
            f"{text}embeddings.word_embeddings.weight": empty(119547, 768),
            f"{text}embeddings.position_embeddings.weight": empty(512, 768),
            "caption_proj.weight": empty(512, 768),
            "text_proj.weight": empty(256, 768),
        }
        large |= {f"{visual}transformer.resblocks.{layer}.ln_1.bias": empty(768) for layer in range(12)}
        large |= {f"{text}encoder.layer.{layer}.intermediate.dense.weight": empty(3072, 768) for layer in range(12)}
        config = official_config(large)
        vision, bert = config.vision_config, config.text_config
        assert (vision.image_size, vision.patch_size, vision.hidden_size) == (384, 32, 768)
        assert (vision.num_hidden_layers, vision.num_attention_heads, vision.intermediate_size) == (12, 12, 3072)
        assert (vision.projection_dim, vision.hidden_act) == (512, "quick_gelu")
        assert (bert.vocab_size, bert.hidden_size, bert.num_hidden_layers) == (119547, 768, 12)
        assert (bert.num_attention_heads, bert.intermediate_size, bert.max_position_embeddings) == (12, 3072, 512)
        assert (config.projection_dim, config.interaction_dim, config.visual_layers) == (256, 512, 0)
        assert (config.num_slots, config.slot_layers, config.interaction_layers) == (4, 3, 2)

    def test_positions_that_are_no_square(self, weights: Weights, text_config: str) -> None:
        weights["clip_encoder.visual.positional_embedding"] = torch.zeros(16, 64)
        with pytest.raises(UserError, match="positional_embedding has 16 rows, which is not a square"):
            official_config(weights, BertConfig.from_pretrained(text_config))

    def test_a_width_that_is_no_size_of_bert(self, weights: Weights) -> None:
        with pytest.raises(UserError, match="48 wide, .*give its configuration with --text-config"):
            official_config(weights)


class TestWrongWeights:
    @pytest.fixture
    def build(self, text_config: str) -> Callable[[Weights], LeccrModel]:
        return lambda weights: official_model(weights, BertConfig.from_pretrained(text_config))

    @pytest.mark.parametrize(
        "name", ["decoder.weight", "clip_encoder.visual.ln_new.weight", "clip_encoder.new", "crossattn.new.weight"]
    )
    def test_unknown(self, name: str, weights: Weights, build: Any) -> None:
        with pytest.raises(UserError, match=f"that the LECCR release does not have: {name}."):
            build(weights | {name: torch.zeros(3)})

    def test_unknown_inside_a_known_part(self, weights: Weights, build: Any) -> None:
        with pytest.raises(UserError, match="do not fit its sizes: text.tower.model.encoder.layer.0.new.weight"):
            build(weights | {"text_encoder.encoder.layer.0.new.weight": torch.zeros(3)})

    def test_missing(self, weights: Weights, build: Any) -> None:
        del weights["vproj.bias"], weights["crossattn2.layers.1.multihead_attn.in_proj_weight"]
        expected = "lacks image.interaction.slots_from_vision.layers.1.attention.*objective.vision_projection.bias"
        with pytest.raises(UserError, match=expected):
            build(weights)

    def test_missing_what_tells_the_sizes(self, weights: Weights, build: Any) -> None:
        del weights["temp"], weights["queries"]
        with pytest.raises(UserError, match="it lacks temp, queries"):
            build(weights)

    def test_another_size(self, weights: Weights, build: Any) -> None:
        weights["vproj.bias"] = torch.zeros(7)
        with pytest.raises(UserError, match=r"objective.vision_projection.bias is of shape \(7,\), but \(32,\)"):
            build(weights)


class TestFiles:
    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="There is no file"):
            read_official(tmp_path / "checkpoint_best.pth")

    @pytest.mark.parametrize("content", [Path("x"), {"weights": {}}, [1], {"model": {"a": 1}}])
    def test_something_else(self, content: Any, tmp_path: Path) -> None:
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(UserError, match="x.pth (cannot be read as plain weights|has no weights under)"):
            read_official(tmp_path / "x.pth")

    def test_broken(self, image: Path, tmp_path: Path) -> None:
        (tmp_path / "x.pth").write_bytes((image / "checkpoint_best.pth").read_bytes()[:5000])
        with pytest.raises(UserError, match="cannot be read as plain weights"):
            read_official(tmp_path / "x.pth")

    @pytest.mark.parametrize("place", PLACES)
    def test_code_in_it_is_not_run(self, place: Any, tmp_path: Path) -> None:
        torch.save(place(Pickled(tmp_path / "ran")), tmp_path / "x.pth")
        with pytest.raises(UserError, match="cannot be read as plain weights"):
            read_official(tmp_path / "x.pth")
        assert not (tmp_path / "ran").exists()

    def test_output_in_use(self, image: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="is not empty; choose a new folder"):
            convert_official(image / "checkpoint_best.pth", tmp_path)

    @pytest.mark.parametrize(
        "wrong, message",
        [
            ({"text_config": "missing"}, "--text-config missing is not a BERT configuration"),
            ({"tokenizer": "missing"}, "The tokenizer missing does not exist"),
            ({"tokenizer": "large"}, "has 7. pieces, but the text encoder only 60"),
        ],
    )
    def test_nothing_is_written(
        self, wrong: dict[str, str], message: str, image: Path, tokenizer: str, text_config: str, tmp_path: Path
    ) -> None:
        if wrong.get("tokenizer") == "large":
            wrong = {"tokenizer": str(tmp_path / "large")}
            train_tokenizer(["abcdefghijklmnopqrstuvwxyz äöü"], vocabulary_size=75).save_pretrained(wrong["tokenizer"])
        arguments = {"tokenizer": tokenizer, "text_config": text_config} | wrong
        with pytest.raises(UserError, match=message):
            convert_official(image / "checkpoint_best.pth", tmp_path / "out", **arguments)
        assert not list(tmp_path.glob("out*"))
