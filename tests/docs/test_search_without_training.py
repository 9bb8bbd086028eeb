"""The commands and the code of the page, run with tiny models in folders that are called as those on the Hub."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from typer.testing import CliRunner

import leccr.demo
from leccr.cli.app import app
from leccr.demo.space import space
from leccr.models.dual_encoders import SEARCHABLE
from leccr.models.encoder import Encoder
from tests.leccr.gallery.tiny_gallery import photos
from tests.leccr.models.tiny_families import PICTURES, QUERIES, own_processor, save_family, save_text_tower

PAGE = (Path(__file__).parents[2] / "docs" / "search-without-training.md").read_text(encoding="utf-8")
NAMES = {
    "siglip": "SigLIP",
    "siglip2": "SigLIP 2",
    "metaclip_2": "MetaCLIP 2",
    "altclip": "AltCLIP",
    "chinese_clip": "Chinese-CLIP",
    "clip": "CLIP",
    "vision-text-dual-encoder": "two towers of your own",
}


CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_its_table_has_all_families() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE)
    assert {NAMES[kind] for kind in SEARCHABLE} <= set(rows)


def test_its_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", 4)
    (tmp_path / "google").mkdir()
    save_family("siglip 2", tmp_path / "google" / "siglip2-base-patch16-224")
    served: list[Any] = []
    monkeypatch.setattr(leccr.demo, "run_demo", lambda *arguments, **options: served.append(arguments))
    block = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)[0]
    for line in block.splitlines():
        result = CliRunner().invoke(app, shlex.split(line.removeprefix("$ leccr ")))
        assert result.exit_code == 0, result.output
    assert served == [("my-gallery", None)]


def test_a_text_tower_and_a_clip_become_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sentence-transformers"
    folder.mkdir()
    save_family("clip", folder / "clip-ViT-B-32")
    own_processor("clip", folder / "clip-ViT-B-32")[0].save_pretrained(folder / "clip-ViT-B-32")
    save_text_tower(folder / "clip-ViT-B-32-multilingual-v1")
    code, _ = CODE
    exec(compile(code, "search-without-training.md", "exec"), {})
    photos(tmp_path / "photos", 4)
    for words in (
        ["index", "photos", "--model", "st:m-clip", "--out", "gallery"],
        ["search", "gallery", QUERIES[0], "-k", "4"],
    ):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    assert SentenceTransformer("m-clip", device="cpu").supports("image")


def test_a_model_for_the_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "google").mkdir()
    source = save_family("siglip 2", tmp_path / "google" / "siglip2-base-patch16-224")
    exec(compile(CODE[1], "search-without-training.md", "exec"), {})
    retriever = space("model").Retriever.load("model")
    encoder = Encoder.load(source, "cpu")
    np.testing.assert_allclose(retriever.embed_text(QUERIES[0]), encoder.texts(QUERIES[:1])[0], atol=1e-5)
    views, _ = retriever.embed_pictures(PICTURES, [None] * len(PICTURES))
    prepared = [encoder.prepare({"id": "a", "image": picture}) for picture in PICTURES]
    np.testing.assert_allclose(views, np.stack(encoder.views(prepared, [None] * len(PICTURES))), atol=1e-5)
