"""sentence-transformers loads our checkpoints as they are, and gives our own embeddings of texts and pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from transformers import CLIPImageProcessorPil

from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.tokenizers import train_tokenizer
from tests.odd_pictures import ramps

from . import remote_code_child, sentence_transformers_child
from .modeling_leccr.tiny import PICTURE_SIZE, SPACE, VOCABULARY, form, tiny_cross_lingual, tiny_model

LENGTH = 12
# Of very different lengths, and the last one is longer than the model reads.
TEXTS = ["ein roter Ball", "a red ball", "一只狗在草地上奔跑。", "Hund", "Ein Hund läuft über die grüne Wiese. " * 4]
REVISION = "0123456789abcdef0123456789abcdef01234567"
KINDS = ["anchored", "dual-encoder", "late-fusion", "videos", "features", "texts"]
Checkpoint = tuple[Any, Any, Path]


def pictures() -> list[Image.Image]:
    """Return pictures of different sizes, one of them with a palette and one with an alpha channel."""
    generator = np.random.default_rng(0)
    sizes = [(40, 50), (64, 32), (33, 90), (48, 48)]
    images = [Image.fromarray(generator.integers(256, size=(*size, 3), dtype=np.uint8)) for size in sizes]
    return [images[0], images[1].convert("RGBA"), images[2].convert("P"), images[3]]


def build(kind: str) -> tuple[Any, Any]:
    tokenizer = train_tokenizer(TEXTS, vocabulary_size=VOCABULARY)
    tokenizer.model_max_length = LENGTH
    size = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
    images = CLIPImageProcessorPil(size={"shortest_edge": PICTURE_SIZE}, crop_size=size)
    frames = {"num_frames": 4} if kind == "videos" else {}
    processor = LeccrProcessor(images, tokenizer, text_max_length=LENGTH, **frames)
    vocabulary = len(tokenizer)
    if kind == "texts":
        return tiny_cross_lingual(vocabulary=vocabulary, text_pooling="mean"), tokenizer
    if kind == "features":
        return tiny_model(None, vocabulary=vocabulary), processor
    if kind == "videos":
        return tiny_model(vocabulary=vocabulary, vision_summary="mean", visual_layers=1), processor
    return form(kind, vocabulary=vocabulary), processor


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    model, processor = build(request.param)
    folder = tmp_path_factory.mktemp("checkpoints") / f"leccr-{request.param}"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor, folder


@pytest.fixture(scope="module")
def loaded(checkpoint: Checkpoint) -> SentenceTransformer:
    return SentenceTransformer(str(checkpoint[2]), trust_remote_code=True, device="cpu")


@torch.inference_mode()
def text_features(checkpoint: Checkpoint) -> np.ndarray:
    model, processor, _ = checkpoint
    if isinstance(model, LeccrModel):
        return model.get_text_features(**processor(text=TEXTS)).numpy()
    options = {"padding": True, "truncation": True, "return_tensors": "pt", "return_token_type_ids": False}
    return model.get_text_features(**processor(TEXTS, **options)).numpy()


@torch.inference_mode()
def image_features(checkpoint: Checkpoint) -> np.ndarray:
    model, processor, _ = checkpoint
    return model.get_image_features(**processor(images=[picture.convert("RGB") for picture in pictures()])).numpy()


def has_pictures(checkpoint: Checkpoint) -> bool:
    return getattr(checkpoint[0].config, "vision_config", None) is not None


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_a_checkpoint_carries_nothing_for_it(checkpoint: Checkpoint) -> None:
    files = {path.name for path in checkpoint[2].iterdir()}
    assert "modules.json" not in files and not any(name.startswith("sentence_") for name in files)


@pytest.mark.parametrize("batch_size", [2, 32])
def test_texts(checkpoint: Checkpoint, loaded: SentenceTransformer, batch_size: int) -> None:
    expected = text_features(checkpoint)
    assert torch.pdist(torch.from_numpy(expected)).min() > 1e-3
    close(loaded.encode(TEXTS, batch_size=batch_size), expected)


@pytest.mark.parametrize("batch_size", [3, 32])
def test_pictures(checkpoint: Checkpoint, loaded: SentenceTransformer, batch_size: int) -> None:
    if not has_pictures(checkpoint):
        with pytest.raises(ValueError, match="image|visual_features"):
            loaded.encode(pictures(), batch_size=batch_size)
        return
    expected = image_features(checkpoint)
    assert torch.pdist(torch.from_numpy(expected)).min() > 1e-3
    close(loaded.encode(pictures(), batch_size=batch_size), expected)


def test_odd_and_large_pictures_share_a_batch(checkpoint: Checkpoint, loaded: SentenceTransformer) -> None:
    if has_pictures(checkpoint):
        shown = [*pictures(), *ramps().values(), Image.new("RGB", (3000, 2000), "red")]
        model, processor, _ = checkpoint
        with torch.inference_mode():
            alone = [model.get_image_features(**processor(images=picture)).numpy()[0] for picture in shown]
        close(loaded.encode(shown, batch_size=64), alone)


def test_single_items_queries_and_documents(checkpoint: Checkpoint, loaded: SentenceTransformer) -> None:
    expected = text_features(checkpoint)
    for encode in (loaded.encode, loaded.encode_query, loaded.encode_document):
        close(encode(TEXTS[0]), expected[0])
    if has_pictures(checkpoint):
        close(loaded.encode(pictures()[0]), image_features(checkpoint)[0])


def test_they_are_of_unit_length_and_width(checkpoint: Checkpoint, loaded: SentenceTransformer) -> None:
    found = loaded.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    close(loaded.encode(TEXTS, normalize_embeddings=True), found)
    assert found.shape == (len(TEXTS), SPACE) and loaded.get_embedding_dimension() == SPACE


def test_the_longest_text_can_be_asked_and_set(
    checkpoint: Checkpoint, loaded: SentenceTransformer, tmp_path: Path
) -> None:
    texts, shorter = [TEXTS[-1]], {"max_length": 5, "truncation": True}
    model, processor, folder = checkpoint
    with torch.inference_mode():
        inputs = processor(text=texts, return_tensors="pt", **shorter)
        expected = model.get_text_features(inputs["input_ids"], inputs["attention_mask"]).numpy()
    assert loaded.max_seq_length == LENGTH
    assert np.abs(loaded.encode(texts) - expected).max() > 1e-3
    loaded.max_seq_length = 5
    try:
        close(loaded.encode(texts), expected)
        loaded.save_pretrained(str(tmp_path / "saved"))
    finally:
        loaded.max_seq_length = LENGTH
    given = {"processor_kwargs": {"model_max_length": 5}}
    for name, options in ((tmp_path / "saved", {}), (folder, given)):
        again = SentenceTransformer(str(name), trust_remote_code=True, device="cpu", **options)
        assert again.max_seq_length == 5
        close(again.encode(texts), expected)


def test_similarity_is_the_inner_product(checkpoint: Checkpoint, loaded: SentenceTransformer) -> None:
    texts = loaded.encode(TEXTS)
    others = loaded.encode(pictures()) if has_pictures(checkpoint) else texts[::-1].copy()
    close(loaded.similarity(texts, others), texts @ others.T)
    close(loaded.similarity_pairwise(texts[:4], others[:4]), (texts[:4] * others[:4]).sum(1))


def test_what_it_saves_loads_again_in_either_library(
    checkpoint: Checkpoint, loaded: SentenceTransformer, tmp_path: Path
) -> None:
    loaded.save_pretrained(str(tmp_path / "saved"))
    again = SentenceTransformer(str(tmp_path / "saved"), trust_remote_code=True, device="cpu")
    close(again.encode(TEXTS), text_features(checkpoint))
    if has_pictures(checkpoint):
        close(again.encode(pictures()), image_features(checkpoint))
    model, report = type(checkpoint[0]).from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not any(report.values()), report
    close(text_features((model.eval(), *checkpoint[1:])), text_features(checkpoint))


STRANGERS = ("anchored", "texts")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Encode from the Hub's cache, by the repositories' names, without our packages; return what is left, by kind."""
    folder = tmp_path_factory.mktemp("stranger")
    arguments = []
    for kind in STRANGERS:
        model, processor = build(kind)
        repository = folder / "home" / "hub" / f"models--org--{kind}"
        for part in (model, processor):
            part.save_pretrained(repository / "snapshots" / REVISION)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(REVISION, encoding="utf-8")
        (folder / kind).mkdir()
        shown = has_pictures((model, processor, folder))
        names = [f"{number}.png" for number in range(len(pictures()))] if shown else []
        for name, picture in zip(names, pictures()):
            picture.save(folder / kind / name)
        request = {"texts": TEXTS, "pictures": names}
        (folder / kind / "request.json").write_text(json.dumps(request), encoding="utf-8")
        arguments += [f"org/{kind}", str(folder / kind)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHONPATH"))}
    clean |= {"HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    child = [sys.executable, "-P", sentence_transformers_child.__file__, *arguments]
    done = subprocess.run(child, cwd=folder, env=clean, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return {kind: folder / kind for kind in STRANGERS}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STRANGERS)
def test_in_a_process_without_our_packages(kind: str, encoded: dict[str, Path]) -> None:
    checkpoint = (*build(kind), encoded[kind])
    found = load_file(encoded[kind] / "found.safetensors")
    report = json.loads((encoded[kind] / "report.json").read_text(encoding="utf-8"))
    assert report["module"].startswith("transformers_modules.")
    assert report["imported"] == [] and report["refused"] == list(remote_code_child.OURS)
    close(found["texts"], text_features(checkpoint))
    if has_pictures(checkpoint):
        assert set(report["modalities"]) == {"text", "image"}
        close(found["images"], image_features(checkpoint))
        close(found["similarity"], text_features(checkpoint) @ image_features(checkpoint).T)
