import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, CLIPConfig, CLIPModel

from leccr.errors import UserError
from leccr.models.build import build_model, build_processor, training_texts
from leccr.models.checkpoints import load_retriever, model_type
from leccr.models.dual_encoders import load_text_encoder
from leccr.models.model_encoder import ModelEncoder
from leccr.training.train import save_retriever
from modeling_leccr import CrossLingualModel, LeccrModel
from processing import LeccrProcessor
from tests.tiny_data import dataset, recipe, row

TEXTS = ["en a 0", "zh b 1"]


def made(folder: Path, **fields: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    tiny = recipe(**fields)
    processor = build_processor(tiny, training_texts(dataset([row("a"), row("b")])))
    model = build_model(tiny, processor).eval()
    save_retriever(folder, model, processor)
    return model, processor


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # No word in the path says what model it is.
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def retriever(checkpoint: Path) -> tuple[LeccrModel, LeccrProcessor]:
    return made(checkpoint)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CrossLingualModel, Any]:
    folder = tmp_path_factory.mktemp("teacher")
    return folder, *made(folder, model={}, network="cross-lingual", processor={"text_max_length": 7})


class TestLoadRetriever:
    def test_what_was_saved(self, retriever: tuple[LeccrModel, LeccrProcessor], checkpoint: Path) -> None:
        assert "leccr" not in str(checkpoint).lower()
        model, processor = load_retriever(checkpoint)
        assert type(model) is LeccrModel and type(processor) is LeccrProcessor
        assert not model.training
        texts = retriever[1](text=["en a 0", "zh b 1"])
        assert torch.equal(model.get_text_features(**texts), retriever[0].get_text_features(**texts))
        assert load_retriever(str(checkpoint))[1].text_max_length == 32

    def test_others_may_read_all_files(self, retriever: Any, checkpoint: Path) -> None:
        """The library that writes the weights makes them readable by their owner only."""
        modes = {path.name: path.stat().st_mode for path in checkpoint.iterdir()}
        assert modes == dict.fromkeys(modes, modes["config.json"])

    def test_transformers_has_nothing_to_warn_of(
        self, retriever: Any, checkpoint: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
        load_retriever(checkpoint)
        assert caplog.messages == []

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("absent", "There is no model .*absent;"),
            ("empty", "There is no model .*empty;"),
            ("broken", "There is no model .*broken;"),
            ("other", "other is a bert model, not a LECCR one; train one with `leccr train`."),
            ("nameless", "nameless is a different model, not a LECCR one"),
        ],
    )
    def test_what_is_no_model_of_ours(self, tmp_path: Path, name: str, message: str) -> None:
        for folder in ("empty", "broken", "nameless"):
            (tmp_path / folder).mkdir()
        (tmp_path / "broken" / "config.json").write_text("{")
        (tmp_path / "nameless" / "config.json").write_text('{"hidden_size": 3}')
        BertConfig().save_pretrained(tmp_path / "other")
        with pytest.raises(UserError, match=message):
            load_retriever(tmp_path / name)

    @pytest.mark.parametrize("name", ["model.safetensors", "processor_config.json", "tokenizer.json"])
    def test_a_missing_file(self, retriever: Any, checkpoint: Path, tmp_path: Path, name: str) -> None:
        shutil.copytree(checkpoint, tmp_path / "out")
        (tmp_path / "out" / name).unlink()
        with pytest.raises(UserError, match="out cannot be loaded: a file of the model or of its processor is missing"):
            load_retriever(tmp_path / "out")

    def test_a_cut_file(self, retriever: Any, checkpoint: Path, tmp_path: Path) -> None:
        shutil.copytree(checkpoint, tmp_path / "out")
        weights = tmp_path / "out" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        with pytest.raises(UserError, match="out cannot be loaded"):
            load_retriever(tmp_path / "out")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ("missing", "do not fit its config.json; the first that differs is image.head.bias"),
            ("unexpected", "do not fit its config.json; the first that differs is other.weight"),
            ("shape", "cannot be loaded: a file of the model or of its processor .* does not fit its config.json"),
        ],
    )
    def test_weights_that_do_not_fit(
        self, retriever: Any, checkpoint: Path, tmp_path: Path, change: str, message: str
    ) -> None:
        shutil.copytree(checkpoint, tmp_path / "out")
        weights = load_file(checkpoint / "model.safetensors")
        if change == "missing":
            del weights["image.head.bias"]
        elif change == "unexpected":
            weights["other.weight"] = torch.ones(1)
        else:
            weights["image.head.bias"] = torch.ones(3)
        save_file(weights, tmp_path / "out" / "model.safetensors", {"format": "pt"})
        with pytest.raises(UserError, match=message):
            load_retriever(tmp_path / "out")


class TestLoadTextEncoder:
    def test_a_teacher(self, teacher: tuple[Path, CrossLingualModel, Any]) -> None:
        folder, saved, tokenizer = teacher
        model, loaded = load_text_encoder(folder)
        assert type(model) is CrossLingualModel and not model.training
        assert loaded.model_max_length == tokenizer.model_max_length == 7
        assert np.array_equal(ModelEncoder(model, loaded).texts(TEXTS), ModelEncoder(saved, tokenizer).texts(TEXTS))

    def test_the_auto_classes_load_what_was_saved(self, teacher: tuple[Path, CrossLingualModel, Any]) -> None:
        folder, saved, tokenizer = teacher
        model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
        loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
        np.testing.assert_allclose(
            ModelEncoder(model, loaded).texts(TEXTS),
            ModelEncoder(saved, tokenizer).texts(TEXTS),
            atol=1e-6,
        )

    def test_a_retriever(self, retriever: tuple[LeccrModel, LeccrProcessor], checkpoint: Path) -> None:
        model, processor = load_text_encoder(checkpoint)
        assert type(model) is LeccrModel and type(processor) is LeccrProcessor

    def test_a_model_of_transformers(self, teacher: tuple[Path, CrossLingualModel, Any], tmp_path: Path) -> None:
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        text = {**sizes, "vocab_size": len(teacher[2]), "eos_token_id": 3}
        config = CLIPConfig(text_config=text, vision_config={**sizes, "image_size": 4, "patch_size": 2})
        clip = CLIPModel(config).eval()
        clip.save_pretrained(tmp_path)
        teacher[2].save_pretrained(tmp_path)
        model, tokenizer = load_text_encoder(tmp_path)
        inputs = teacher[2](TEXTS, padding=True, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            expected = torch.nn.functional.normalize(clip.get_text_features(**inputs).pooler_output)
        np.testing.assert_allclose(ModelEncoder(model, tokenizer).texts(TEXTS), expected, atol=1e-6)

    def test_a_model_without_text_features(self, teacher: tuple[Path, CrossLingualModel, Any], tmp_path: Path) -> None:
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        BertModel(BertConfig(vocab_size=len(teacher[2]), **sizes)).save_pretrained(tmp_path)
        teacher[2].save_pretrained(tmp_path)
        with pytest.raises(UserError, match="is a bert model, which has no get_text_features; train a teacher with"):
            load_text_encoder(tmp_path)

    def test_a_teacher_is_no_retriever(self, teacher: tuple[Path, CrossLingualModel, Any]) -> None:
        with pytest.raises(UserError, match="embeds only texts: it is the first stage of CL2CM"):
            load_retriever(teacher[0])

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="There is no model .*absent"):
            load_text_encoder(tmp_path / "absent")

    def test_a_missing_tokenizer(self, teacher: tuple[Path, CrossLingualModel, Any], tmp_path: Path) -> None:
        shutil.copytree(teacher[0], tmp_path / "out")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (tmp_path / "out" / name).unlink()
        with pytest.raises(UserError, match="out cannot be loaded: a file of the model or of its processor is missing"):
            load_text_encoder(tmp_path / "out")


def test_model_types(
    teacher: tuple[Path, CrossLingualModel, Any], retriever: tuple[LeccrModel, LeccrProcessor], checkpoint: Path
) -> None:
    assert [model_type(folder) for folder in (teacher[0], checkpoint)] == ["leccr_cross_lingual", "leccr"]
