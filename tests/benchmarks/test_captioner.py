import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as PillowImage
from torch.nn import functional
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPImageProcessorPil,
    MobileNetV2Config,
    MobileNetV2Model,
)

from benchmarks import captioner
from benchmarks.captioner_model import QUESTIONS, build_captioner, perplexity, save_captioner, train_captioner
from leccr.data.describe import run_description
from leccr.data.options import DescribeOptions
from leccr.recipes import Recipe
from leccr.training.features import run_features
from processing.features import FeatureFile
from processing.storage import read_column, read_splits, write_rows

COLOURS = ["red", "green", "blue", "yellow", "black", "white", "purple", "orange"]
CAPTIONS = {colour: [f"It is {colour} .", f"A {colour} picture .", f"All of this is {colour} ."] for colour in COLOURS}


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MobileNetV2 with a map of 2×2 positions, which shows colours well enough."""
    folder = tmp_path_factory.mktemp("weights") / "mobilenet"
    torch.manual_seed(0)
    tower = MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.1, finegrained_output=False, tf_padding=False))
    for parameter in tower.parameters():
        if parameter.dim() > 1:
            torch.nn.init.kaiming_normal_(parameter)
    tower.save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, vision: Path) -> Path:
    """Pictures of one colour each, with their maps."""
    folder = tmp_path_factory.mktemp("data")
    rows = ({"id": colour, "image": PillowImage.new("RGB", (80, 64), colour)} for colour in COLOURS)
    write_rows(folder, "train", rows)
    run_features(str(folder), Recipe("maps", vision=str(vision)), store="fp32")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, vision: Path, data: Path) -> tuple[Path, float]:
    torch.manual_seed(0)
    texts = [text for captions in CAPTIONS.values() for text in captions]
    model, processor = build_captioner(vision, texts, width=64, layers=2, vocabulary=100, dropout=0.0)
    maps = FeatureFile(data)
    train_captioner(model, processor.tokenizer, maps, CAPTIONS, epochs=40, seed=0, batch_size=4, learning_rate=3e-3)
    folder = tmp_path_factory.mktemp("models") / "captioner"
    figure = perplexity(model, processor.tokenizer, maps, CAPTIONS)
    save_captioner(folder, model, processor, {"perplexity": figure})
    return folder, figure


def test_the_saved_captioner_says_what_it_learned(trained: tuple[Path, float], data: Path, tmp_path: Path) -> None:
    folder, _ = trained
    output = tmp_path / "described"
    options = DescribeOptions(model=str(folder), prompts=str(folder / "prompts.yaml"), output=output, batch_size=3)
    run_description(str(data), options)
    rows = {row["id"]: row["description"] for row in read_splits(output)["train"]}
    expected = {name: "\n".join(sorted(texts, key=len)).replace(" .", ".") for name, texts in CAPTIONS.items()}
    assert rows == expected


def test_training_sees_what_the_saved_captioner_computes(trained: tuple[Path, float], data: Path) -> None:
    folder, figure = trained
    model, info = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    processor = AutoProcessor.from_pretrained(folder)
    total, count = 0.0, 0
    for colour, captions in CAPTIONS.items():
        for question, caption in zip(QUESTIONS.values(), sorted(captions, key=len)):
            parts = [{"type": "image"}, {"type": "text", "text": question}]
            prompt = processor.apply_chat_template([{"role": "user", "content": parts}], tokenize=False)
            picture = PillowImage.new("RGB", (80, 64), colour)
            inputs = processor(
                text=f"{prompt} {caption}[SEP]", images=picture, add_special_tokens=False, return_tensors="pt"
            )
            answer = len(processor.tokenizer(caption, add_special_tokens=False)["input_ids"]) + 1
            with torch.inference_mode():
                logits = model.eval()(**inputs).logits[0, -answer - 1 : -1]
            total += functional.cross_entropy(logits, inputs["input_ids"][0, -answer:], reduction="sum").item()
            count += answer
    assert figure == pytest.approx(torch.tensor(total / count).exp().item(), rel=0.02)
    assert 1.0 < figure < 1.5


def test_folds_share_no_image() -> None:
    names = [f"p{number}" for number in range(11)]
    folds = captioner.deal(names, 3, seed=0)
    assert sorted(map(len, folds)) == [3, 4, 4]
    assert sorted(name for fold in folds for name in fold) == sorted(names)
    assert folds == captioner.deal(names[::-1], 3, seed=0) != captioner.deal(names, 3, seed=1)


@pytest.fixture
def shared(tmp_path: Path, vision: Path) -> Path:
    """Flickr8k-CN in its published layout, with six training images and two others."""
    root = tmp_path / "shared" / "data" / "flickr8k-cn"
    (root / "images").mkdir(parents=True)
    (root / "captions").mkdir()
    for colour in COLOURS:
        PillowImage.new("RGB", (64, 64), colour).save(root / "images" / f"{colour}.jpg")
    (root / "flickr8ktrain.txt").write_text("\n".join(COLOURS[:6]))
    (root / "flickr8kval.txt").write_text("\n".join(COLOURS[6:]))
    for tag, end in (("enc", ""), ("zhb", ""), ("zhc", ".val")):
        lines = [f"{name}.jpg#{tag}#{number} caption {number} {name}" for name in COLOURS for number in range(5)]
        (root / "captions" / f"flickr8k{tag}{end}.caption.txt").write_text("\n".join(lines))
    (tmp_path / "shared" / "weights").mkdir()
    (tmp_path / "shared" / "weights" / "mobilenet_v2_imagenet").symlink_to(vision)
    return tmp_path / "shared"


def test_the_data_set_gets_the_captioners_text(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, results = tmp_path / "cache", tmp_path / "captioner.json"
    monkeypatch.setattr(captioner, "RESULTS", results)
    seen: list[list[str]] = []
    build = captioner.build_captioner

    def build_small(vision: Path, texts: list[str]) -> Any:
        seen.append(texts)
        return build(vision, texts, width=32, layers=1)

    monkeypatch.setattr(captioner, "build_captioner", build_small)
    given = ["--shared", str(shared), "--cache", str(cache), "--epochs", "20"]
    captioner.main(given)

    answers: dict[str, str | None] = {}
    for fold, texts in enumerate(seen):
        folder = cache / "captioner" / "captions012-folds2-epochs20-seed0" / f"described-{fold}"
        records = map(json.loads, (folder / "descriptions.jsonl").read_text().splitlines())
        answers |= {record["id"]: record["description"] for record in records}
        unseen = read_column(folder, "id")["train"]
        assert len(texts) == 9 and not any(name in text for name in unseen for text in texts)
    described = cache / "flickr8k-cn-described"
    splits = read_splits(described)
    assert {name: rows["id"] for name, rows in splits.items()} == {"train": COLOURS[:6], "validation": COLOURS[6:]}
    for rows in splits.values():
        for row in rows:
            assert row["source_captions"] == [f"caption {number} {row['id']}" for number in range(3)]
            assert row["description"] == answers.pop(row["id"])
            assert row["description"] != f"caption 3 {row['id']} caption 4 {row['id']}"
    assert not answers
    figures = json.loads(results.read_text())
    assert [report["images"] for report in figures["captioners"]] == [3, 3]
    assert list(figures["answers"]) == list(QUESTIONS)

    captioner.main(given)
    assert len(seen) == 2
    assert "exists already" in capsys.readouterr().out
