"""What `--model` refuses, and code that a model carries, which runs only when it is trusted."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from transformers import AlignConfig, BertConfig, ViTConfig

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from tests.leccr.gallery.tiny_gallery import run
from tests.leccr.models.tiny_families import QUERIES, build, save_family
from tests.leccr.test_families import PHOTOS, own_scores, save_siglip
from tests.videos import write_video


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SigLIP 2 in `model` and with `photos`."""
    return save_siglip(tmp_path_factory.mktemp("siglip"))


class TestMistakes:
    """One line that names the model and what would work."""

    @pytest.mark.parametrize(
        ("config", "kind"), [(BertConfig(), "bert"), (ViTConfig(), "vit"), (AlignConfig(), "align")], ids=str
    )
    def test_texts_only_pictures_only_and_an_unknown_family(
        self, config: Any, kind: str, siglip: Path, tmp_path: Path
    ) -> None:
        config.save_pretrained(tmp_path / "other")
        result = run("index", siglip / "photos", "--model", tmp_path / "other", "--out", tmp_path / "gallery")
        assert result.exit_code == 2
        [line] = result.stderr.splitlines()
        assert f"other is a {kind} model, which does not embed texts and pictures in one space; give" in line
        assert "siglip2" in line and "st:NAME" in line
        assert not (tmp_path / "gallery").exists()

    def test_a_gallery_of_another_model(self, siglip: Path, tmp_path: Path) -> None:
        Gallery.build(siglip / "photos", str(siglip / "model"), tmp_path / "gallery", device="cpu").close()
        other = save_family("clip", tmp_path / "clip")
        for words in (("search", tmp_path / "gallery", "Hund"), ("gallery", "add", tmp_path / "gallery", siglip)):
            result = run(*words, "--model", other)
            assert result.exit_code == 2
            [line] = result.stderr.splitlines()
            assert f"was built with the model {siglip / 'model'}" in line and f"and not with {other}" in line

    @pytest.mark.parametrize("family", ["clip", "metaclip 2", "siglip 2 naflex", "siglip", "chinese clip"])
    def test_a_missing_tokenizer(self, family: str, tmp_path: Path) -> None:
        """Some classes of transformers make an empty one then."""
        save_family(family, tmp_path / "model")
        for file in ("tokenizer.json", "tokenizer_config.json", "spiece.model"):
            (tmp_path / "model" / file).unlink(missing_ok=True)
        with pytest.raises(UserError, match=r"model (has no vocabulary|cannot be loaded).*download"):
            Encoder.load(tmp_path / "model")

    def test_a_tokenizer_of_another_model(self, tmp_path: Path) -> None:
        save_family("clip", tmp_path / "model")
        # Some texts have none of the tokens that are too many.
        build("clip", 300).save_pretrained(tmp_path / "model")
        with pytest.raises(UserError, match=r"of which it knows 300\): its tokenizer does not fit the model"):
            Encoder.load(tmp_path / "model")

    def test_a_video_is_its_middle_frame(self, siglip: Path, tmp_path: Path) -> None:
        photos = shutil.copytree(siglip / "photos", tmp_path / "photos")
        write_video(photos / "film.mp4")
        result = run("index", photos, "--model", siglip / "model", "--out", tmp_path / "gallery")
        assert result.exit_code == 0
        found = run("search", tmp_path / "gallery", "red", "--filter", "kind=video")
        assert "film.mp4" in found.stdout, found.output


CODE = """
from transformers import CLIPConfig, CLIPModel, PreTrainedModel

class OwnConfig(CLIPConfig):
    model_type = "own_clip"

class OwnModel(CLIPModel):
    config_class = OwnConfig

class OtherNames(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.clip = CLIPModel(config)
        self.post_init()

    def encode_texts(self, input_ids, attention_mask):
        return self.clip.get_text_features(input_ids, attention_mask).pooler_output

    def encode_images(self, pixel_values):
        return self.clip.get_image_features(pixel_values).pooler_output
"""


@pytest.mark.parametrize("name", ["OwnModel", "OtherNames"])
def test_a_repository_with_code_of_its_own(name: str, siglip: Path, tmp_path: Path) -> None:
    model = save_family("clip", tmp_path / "own-clip")
    (model / "own.py").write_text(CODE)
    config = json.loads((model / "config.json").read_text())
    config |= {"model_type": "own_clip", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": f"own.{name}"}}
    (model / "config.json").write_text(json.dumps(config))
    if name == "OtherNames":
        weights = {f"clip.{key}": value for key, value in load_file(model / "model.safetensors").items()}
        save_file(weights, model / "model.safetensors", {"format": "pt"})
    words = ["index", siglip / "photos", "--model", model, "--out", tmp_path / "gallery", "--device", "cpu"]
    refused = run(*words)
    assert refused.exit_code == 2 and "Traceback" not in refused.stderr
    assert "own-clip needs code that it carries itself, which is not run" in refused.stderr
    assert "--trust-remote-code" in refused.stderr
    assert run(*words, "--trust-remote-code").exit_code == 0
    search = ["search", tmp_path / "gallery", QUERIES[0], "-k", "4", "--json", "--device", "cpu"]
    assert "--trust-remote-code" in run(*search).stderr
    result = run(*search, "--trust-remote-code")
    found = {answer["path"]: answer["score"] for answer in json.loads(result.stdout)["results"]}
    expected = own_scores("clip", save_family("clip", tmp_path / "clip"))[0]
    np.testing.assert_allclose([found[name] for name in PHOTOS], expected, rtol=0, atol=1e-5)
