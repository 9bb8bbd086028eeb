"""An exported model gives the model's own embeddings, in onnxruntime and in torch.export's programs."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from tokenizers import Tokenizer
from torch import Tensor
from transformers import CLIPImageProcessorPil, XLNetConfig
from typer.testing import CliRunner

from leccr import UserError
from leccr.cli import app
from leccr.models.checkpoints import load_retriever
from leccr.models.export import image_sample, run_export, sized
from leccr.models.export_programs import onnx_runner
from leccr.models.exported_views import pixel_values
from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from tests.modeling_leccr.tiny import TRANSFORMER, form, tiny_config
from tests.tiny_data import PICTURE_SIZE, picture, processor, row

ROWS = [row("a"), row("b", description="A long red thing beside a small blue thing")]
TEXTS = ["en a 1", "de b 2", "zh a 0 This is b", "en", "de a 1 zh b"]
DESCRIPTIONS = ["This is a", None, "A long red thing beside a small blue thing", None, "This is b"]


def save(folder: Path, form_name: str, vision: str | None, **settings: Any) -> Path:
    """Write a tiny checkpoint, its vocabulary that of the rows, and return its folder."""
    made = processor(ROWS, text_max_length=32, description_max_length=40)
    for name, value in settings.items():
        setattr(made, name, value)
    with patch.dict(TRANSFORMER, num_hidden_layers=1):
        model = form(form_name, vision, vocabulary=len(made.tokenizer), slot_layers=1)
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


class Export:
    """A checkpoint and what was exported of it."""

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        self.checkpoint, self.folder = checkpoint, folder
        self.model, self.processor = load_retriever(checkpoint)
        # Another number of rows, and texts of other lengths, than what the export was made with.
        pictures = [picture(colour) for colour in ("red", "blue", "green", "white", "pink")]
        self.pictures = dict(self.processor(images=pictures, descriptions=DESCRIPTIONS))
        self.texts = dict(self.processor(text=TEXTS))

    def check(self, run: Callable[[str], Callable[..., Tensor]]) -> None:
        """Compare five rows and then one row with the model itself."""
        text, image = run("text"), run("image")
        for rows in (slice(None), slice(1)):
            texts = {name: value[rows] for name, value in self.texts.items()}
            pictures = {name: value[rows] for name, value in self.pictures.items()}
            with torch.no_grad():
                expected = self.model.get_text_features(**texts), self.model.get_image_views(**pictures)
            assert_near(text(**texts), expected[0])
            assert_near(image(**pictures), expected[1])
        pictures["description_attention_mask"] = torch.zeros_like(pictures["description_attention_mask"])
        with torch.no_grad():
            plain = self.model.get_image_views(pictures["pixel_values"])
        assert_near(image(**pictures), plain)


def assert_near(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Export:
    folder = tmp_path_factory.mktemp("onnx")
    checkpoint = save(folder / "model", "anchored", "clip")
    words = ["export", str(checkpoint), "--format", "onnx", "--int8", "--out", str(folder / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "text.onnx: differs from the model by at most" in result.output
    return Export(checkpoint, folder / "out")


def test_anchored_slots_over_clip_in_onnxruntime(onnx: Export) -> None:
    onnx.check(lambda name: onnx_runner(onnx.folder / f"{name}.onnx"))


def test_late_fusion_over_a_resnet_in_onnxruntime(tmp_path: Path) -> None:
    export = Export(save(tmp_path / "model", "late-fusion", "resnet"), tmp_path / "out")
    differences = run_export(export.checkpoint, export.folder)
    assert set(differences) == {"text.onnx", "image.onnx"}
    assert max(differences.values()) < 1e-4
    export.check(lambda name: onnx_runner(export.folder / f"{name}.onnx"))


def save_xlnet(folder: Path, layers: int) -> LeccrProcessor:
    """Write a checkpoint with an XLNet text tower, and return its processor."""
    made = processor(ROWS, text_max_length=32)
    sizes = {"d_model": 32, "n_layer": layers, "n_head": 2, "d_inner": 32}
    config = tiny_config(None, num_slots=0)
    config.text_config = XLNetConfig(vocab_size=len(made.tokenizer), initializer_range=0.2, **sizes)
    torch.manual_seed(0)
    LeccrModel(config).save_pretrained(folder)
    made.save_pretrained(folder)
    return made


def test_an_xlnet_text_tower_which_subtracts_its_mask(tmp_path: Path) -> None:
    made = save_xlnet(tmp_path / "model", layers=0)
    run_export(tmp_path / "model", tmp_path / "out")
    model, _ = load_retriever(tmp_path / "model")
    texts = dict(made(text=TEXTS))
    with torch.no_grad():
        expected = model.get_text_features(**texts)
    assert_near(onnx_runner(tmp_path / "out" / "text.onnx")(**texts), expected)


def test_a_tower_that_pytorch_cannot_export_is_named(tmp_path: Path) -> None:
    save_xlnet(tmp_path / "model", layers=1)
    words = ["export", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: PyTorch cannot export a model with towers of the kind xlnet for inputs of any size;")
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_torch_export_and_back(tmp_path: Path) -> None:
    export = Export(save(tmp_path / "model", "late-fusion", "clip"), tmp_path / "out")
    run_export(export.checkpoint, export.folder, "torch-export")
    export.check(lambda name: torch.export.load(export.folder / f"{name}.pt2").module())


def test_int8_changes_the_embeddings_a_little_and_is_smaller(onnx: Export) -> None:
    quantized, whole = (onnx_runner(onnx.folder / name) for name in ("text-int8.onnx", "text.onnx"))
    embeds, expected = quantized(**onnx.texts), whole(**onnx.texts)
    cosine = (embeds * expected).sum(dim=1)
    assert cosine.min() > 0.98 and cosine.max() < 0.999999
    sizes = [(onnx.folder / name).stat().st_size for name in ("text-int8.onnx", "text.onnx")]
    assert sizes[0] < sizes[1]


def run_without_torch(script: Path, *words: str) -> list[str]:
    """Run a script of an export as its README says, where torch and our packages are not installed."""
    start = (
        "import runpy, sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'transformers', 'leccr', 'modeling_leccr', 'processing']))\n"
        f"sys.argv = {[script.name, *words]!r}\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
    )
    result = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, cwd=script.parent)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def commands_of(readme: Path) -> list[list[str]]:
    """Return the words of the commands that a README prints."""
    lines = readme.read_text(encoding="utf-8").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("    python ")]


def test_the_printed_commands_find_what_the_model_finds(onnx: Export, tmp_path: Path) -> None:
    folder = shutil.copytree(onnx.folder, tmp_path / "exported")
    pictures, said = folder / "PICTURES", dict(zip("abcde", DESCRIPTIONS))
    pictures.mkdir()
    shown = {name: PillowImage.effect_noise((40 + 9 * number, 50), 90) for number, name in enumerate("abcde")}
    for name, image in shown.items():
        image.save(pictures / f"{name}.png")
    lines = [json.dumps({"id": f"{name}.png", "description": text}) for name, text in said.items() if text]
    (pictures / "descriptions.jsonl").write_text("\n".join(lines))
    (views_script, *views_words), (search_script, *search_words) = commands_of(folder / "README.md")
    printed = run_without_torch(folder / views_script, *views_words)
    assert printed == ["The views of 5 pictures are in views.npz."]
    assert search_words == ["views.npz", "ein roter Ball"]
    answers = [line.split("\t") for line in run_without_torch(folder / search_script, search_words[0], *TEXTS[:2])]
    with torch.no_grad():
        inputs = onnx.processor(images=[image.convert("RGB") for image in shown.values()], descriptions=DESCRIPTIONS)
        views = onnx.model.get_image_views(**inputs)
        embeds = onnx.model.get_text_features(**onnx.processor(text=TEXTS[:2]))
    scores = torch.einsum("td,bkd->tbk", embeds, views).amax(dim=2)
    assert [line[0] for line in answers] == [text for text in TEXTS[:2] for _ in range(5)]
    for text, name, score in answers:
        expected = scores[TEXTS.index(text), "abcde".index(name.removesuffix(".png"))].item()
        assert float(score) == pytest.approx(expected, abs=1e-3)
    assert [float(line[2]) for line in answers[:5]] == sorted((float(line[2]) for line in answers[:5]), reverse=True)
    script = (folder / "search.py").read_text(encoding="utf-8")
    assert script in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "settings",
    [
        {"size": {"shortest_edge": 40}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}},
        {"size": {"height": 24, "width": 48}, "do_center_crop": False, "do_normalize": False},
    ],
)
@pytest.mark.parametrize("size", [(90, 61), (33, 70)])
def test_the_views_script_makes_the_pixels_of_the_image_processor(
    settings: dict[str, Any], size: tuple[int, int]
) -> None:
    image_processor = CLIPImageProcessorPil(**settings)
    picture = PillowImage.effect_noise(size, 90).convert("RGB")
    expected = image_processor(images=[picture], return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(pixel_values(picture, image_processor.to_dict()), expected, atol=1e-5)


def test_the_exported_preprocessor_makes_pictures_as_large_as_the_program_takes_them(tmp_path: Path) -> None:
    made = processor(ROWS)
    made.image_processor.do_resize = False
    sized(made.image_processor, torch.zeros(1, 3, 48, 64)).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text(encoding="utf-8"))
    assert saved["size"] == {"height": 48, "width": 64}
    loaded = CLIPImageProcessorPil.from_pretrained(tmp_path)
    assert loaded(images=[picture(size=(100, 90))], return_tensors="pt")["pixel_values"].shape == (1, 3, 48, 64)
    assert not made.image_processor.do_resize, "the model's own is as it was"
    made.image_processor.do_resize = True
    assert sized(made.image_processor, torch.zeros(1, 3, PICTURE_SIZE, PICTURE_SIZE)) is made.image_processor


def test_the_tokenizer_cuts_and_pads_as_the_processor(onnx: Export) -> None:
    tokenizer = Tokenizer.from_file(str(onnx.folder / "tokenizer.json"))
    texts = ["en a 1", "de b 2 " * 30, "ｅｎ\u00a0a\u200b 1"]
    encodings = tokenizer.encode_batch(texts)
    expected = onnx.processor(text=texts)
    assert [encoding.ids for encoding in encodings] == expected["input_ids"].tolist()
    assert [encoding.attention_mask for encoding in encodings] == expected["attention_mask"].tolist()
    assert len(encodings[0].ids) == 32


def test_a_model_of_features_gives_only_its_text_tower(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = save(tmp_path / "model", "published", None)
    run_export(checkpoint, tmp_path / "out", "torch-export")
    assert "only its text tower is exported" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "export.json",
        "text.pt2",
        "tokenizer.json",
    }


def test_pictures_that_are_not_resized_need_a_size(tmp_path: Path) -> None:
    made = processor(ROWS)
    made.image_processor.do_resize = False
    with pytest.raises(UserError, match="give their size with --picture-size PIXELS"):
        image_sample(made)
    assert image_sample(made, PICTURE_SIZE)["pixel_values"].shape == (3, 3, PICTURE_SIZE, PICTURE_SIZE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "tflite"], "--format tflite is not known; choose onnx or torch-export."),
        (["--format", "torch-export"], "There is no model"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["export", str(tmp_path / "none"), "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    assert message in result.output
    assert not list(tmp_path.iterdir())


def test_int8_is_for_onnx(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--int8 is for --format onnx; leave it out."):
        run_export("org/none", tmp_path / "out", "torch-export", int8=True)


def test_a_full_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty; choose a new folder"):
        run_export("anything", tmp_path)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"--format onnx needs libraries .*: pip install 'onnx>=1.18' 'onnxruntime"):
        run_export("anything", tmp_path / "out")
