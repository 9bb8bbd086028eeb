"""Models of sentence-transformers: their own embeddings, and texts that are never opened as files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router

from leccr.errors import UserError
from leccr.models.encoder import Encoder
from leccr.models.sentence_encoder import SentenceEncoder
from leccr.training.embed_captions import run_embedding
from processing.caption_embeddings import CaptionEmbeddings, caption_texts
from tests.modeling_leccr.tiny_dual_encoders import SPACE
from tests.tiny_data import dataset, row

from .tiny_families import PICTURES, QUERIES, own_processor, save_family, save_text_tower


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_family("clip", tmp_path_factory.mktemp("st") / "clip")
    own_processor("clip", folder)[0].save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def texts_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_text_tower(tmp_path_factory.mktemp("texts") / "tower")


@pytest.fixture(scope="module", params=["clip", "m-clip"])
def saved(
    request: pytest.FixtureRequest, clip: Path, texts_only: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("saved") / request.param
    model = SentenceTransformer(str(clip), device="cpu")
    if request.param == "m-clip":
        text = SentenceTransformer(str(texts_only), device="cpu")
        router = Router({"text": list(text.children()), "image": list(model.children())})
        model = SentenceTransformer(modules=[router], device="cpu")
    model.save(str(folder))
    return folder


def views(encoder: Encoder, pictures: list[Image.Image]) -> np.ndarray:
    prepared = [encoder.prepare({"id": "a", "image": picture}) for picture in pictures]
    return np.stack(encoder.views(prepared, [None] * len(pictures), batch_size=2))


def test_its_own_embeddings(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own = SentenceTransformer(str(saved), device="cpu")
    capfd.readouterr()
    encoder = Encoder.load(f"st:{saved}", "cpu")
    assert capfd.readouterr() == ("", "")
    assert (encoder.width, encoder.view_count, encoder.slots, encoder.takes_images) == (SPACE, 1, False, True)
    texts = own.encode(QUERIES, normalize_embeddings=True)
    pictures = own.encode(PICTURES, normalize_embeddings=True)
    assert min(torch.pdist(torch.from_numpy(embeds)).min() for embeds in (texts, pictures)) > 1e-3
    np.testing.assert_allclose(encoder.texts(QUERIES), texts, atol=1e-6)
    np.testing.assert_allclose(views(encoder, PICTURES)[:, 0], pictures, atol=1e-6)
    np.testing.assert_allclose(encoder.image({"id": "a", "image": PICTURES[0]}), pictures[0], atol=1e-6)
    assert encoder.texts([]).shape == (0, SPACE) and encoder.views([], []) == []


def test_prompts_for_queries_and_documents(clip: Path) -> None:
    model = SentenceTransformer(str(clip), device="cpu", prompts={"query": "a dog "})
    expected = model.encode(["a dog along the beach"], normalize_embeddings=True)
    np.testing.assert_allclose(SentenceEncoder(model).texts(["along the beach"]), expected, atol=1e-6)


def test_a_query_is_never_opened(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes texts that name pictures for pictures, and fetches addresses."""
    encoder = Encoder.load(f"st:{clip}", "cpu")
    monkeypatch.chdir(tmp_path)
    before = encoder.texts(["dog.png", "a dog"])
    PICTURES[0].save("dog.png")
    assert np.array_equal(encoder.texts(["dog.png", "a dog"]), before)
    assert encoder.texts(["http://127.0.0.1:9/dog.png"]).shape == (1, SPACE)


def test_fingerprints_tell_weights_apart(clip: Path) -> None:
    encoders = [Encoder.load(f"st:{clip}", "cpu", dtype) for dtype in ("auto", "bf16")]
    assert len({encoder.fingerprint() for encoder in encoders}) == 1
    with torch.no_grad():
        next(iter(encoders[0].model.parameters())).add_(1.0)
    assert encoders[0].fingerprint() != encoders[1].fingerprint()


def test_half_of_a_surrogate_pair_and_unknown_scripts(saved: Path) -> None:
    encoder = Encoder.load(f"st:{saved}", "cpu")
    assert np.isfinite(encoder.texts(["a \ud83d dog"])).all()
    assert encoder.unknown_shares(["a dog", "🐕"]) == ([0, 1] if saved.name == "m-clip" else [0, 0])


def test_a_teacher_of_texts(texts_only: Path, tmp_path: Path) -> None:
    rows = dataset([row("a"), row("b")])
    rows.to_parquet(tmp_path / "train-00000-of-00001.parquet")
    path = run_embedding(str(tmp_path), f"st:{texts_only}", device="cpu")
    found = torch.cat(list(CaptionEmbeddings(path.parent).of(rows[0]).values())).float()
    own = SentenceTransformer(str(texts_only), device="cpu")
    expected = own.encode(caption_texts(rows[0]), normalize_embeddings=True)
    np.testing.assert_allclose(found, expected, atol=1e-3)


class TestMistakes:
    def test_texts_only(self, texts_only: Path) -> None:
        with pytest.raises(UserError, match="embeds no pictures, only text; give a model of sentence-transformers"):
            Encoder.load(f"st:{texts_only}")
        assert Encoder.load(f"st:{texts_only}", text_only=True).width == SPACE

    def test_code_of_its_own(self, clip: Path, tmp_path: Path) -> None:
        SentenceTransformer(str(clip), device="cpu").save(str(tmp_path / "own"))
        (tmp_path / "own" / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
        modules = json.loads((tmp_path / "own" / "modules.json").read_text())
        modules[0]["type"] = "mine.Mine"
        (tmp_path / "own" / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(UserError, match="own needs code that it carries itself.*--trust-remote-code"):
            Encoder.load(f"st:{tmp_path / 'own'}")
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("content", ["{", "[]"])
    def test_broken(self, content: str, clip: Path, tmp_path: Path) -> None:
        (tmp_path / "modules.json").write_text(content)
        with pytest.raises(UserError, match="cannot be loaded by sentence-transformers"):
            Encoder.load(f"st:{tmp_path}")

    def test_a_video(self, clip: Path) -> None:
        row: dict[str, Any] = {"id": "v", "image": None, "video": "v.mp4"}
        with pytest.raises(UserError, match="Row 'v' is a video, but st:.* takes pictures only"):
            Encoder.load(f"st:{clip}").prepare(row)
