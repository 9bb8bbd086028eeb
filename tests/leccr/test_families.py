"""Dual encoders of every family, searched without training: index, search, evaluate and page give their own scores."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel

from leccr.demo.retriever import make_retriever
from leccr.demo.searcher import GallerySearcher
from leccr.demo.space import space
from leccr.evaluation.ranked import rank_retrieval
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from tests.leccr.gallery.tiny_gallery import run
from tests.leccr.models.tiny_families import (
    FAMILIES,
    PICTURES,
    QUERIES,
    image_processor,
    own_processor,
    save_family,
)
from tests.odd_pictures import encoded
from tests.tiny_data import dataset, row

# Many times as large as the models need, so that a shortcut in decoding would be seen.
JPEG = encoded(PICTURES[0].resize((1500, 1000)), "JPEG")
PHOTOS = {f"{number}.png": picture for number, picture in enumerate(PICTURES)}
PHOTOS["large.jpg"] = Image.open(io.BytesIO(JPEG)).convert("RGB")


def write_photos(folder: Path) -> Path:
    folder.mkdir()
    for name, picture in PHOTOS.items():
        picture.save(folder / name)
    (folder / "large.jpg").write_bytes(JPEG)
    return folder


def save_siglip(folder: Path) -> Path:
    save_family("siglip 2", folder / "model")
    write_photos(folder / "photos")
    return folder


@dataclass
class Searched:
    """A checkpoint of a family, a gallery that `leccr index` made with it, and the family's own scores."""

    model: Path
    gallery: Path
    scores: np.ndarray

    def check(self, query: int, found: dict[str, float]) -> None:
        """Check the scores of all pictures for a query, by the pictures' names."""
        np.testing.assert_allclose([found[name] for name in PHOTOS], self.scores[query], rtol=0, atol=1e-5)


@torch.inference_mode()
def own_scores(family: str, folder: Path) -> np.ndarray:
    """Return the cosines (queries, pictures) by the family's own model and processor, a picture at a time."""
    model = AutoModel.from_pretrained(folder).eval()
    processor, options = own_processor(family, folder)
    images = image_processor(family)
    texts = model.get_text_features(**processor(text=QUERIES, return_tensors="pt", **options)).pooler_output
    pictures = torch.cat(
        [
            model.get_image_features(**images(images=[picture], return_tensors="pt")).pooler_output
            for picture in PHOTOS.values()
        ]
    )
    scores = torch.nn.functional.cosine_similarity(texts[:, None], pictures[None], dim=-1)
    assert scores.unique().numel() == scores.numel()
    return scores.numpy()


# The page folds near duplicates otherwise.
EVERY = space("filters").Filters(alike=True)


@pytest.fixture(scope="module", params=FAMILIES)
def searched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("family")
    save_family(request.param, folder / "model")
    write_photos(folder / "photos")
    result = run("index", folder / "photos", "--model", folder / "model", "--out", folder / "gallery")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("\n") <= 2, result.stderr
    return Searched(folder / "model", folder / "gallery", own_scores(request.param, folder / "model"))


def test_search(searched: Searched) -> None:
    with Gallery.open(searched.gallery, device="cpu") as gallery:
        for query, answers in enumerate(gallery.search(QUERIES)):
            searched.check(query, {answer.path: answer.score for answer in answers})
            assert {answer.view for answer in answers} == {0}


def test_the_command_line(searched: Searched) -> None:
    result = run("search", searched.gallery, QUERIES[3], "-k", 4, "--all", "--json", "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    searched.check(3, {answer["path"]: answer["score"] for answer in json.loads(result.stdout)["results"]})


def test_evaluate(searched: Searched) -> None:
    images: list[Any] = [*PICTURES, {"bytes": JPEG, "path": None}]
    rows = [row(query[:9], image=image, source_captions=[query]) for image, query in zip(images, QUERIES)]
    (ranked,) = rank_retrieval(Encoder.load(searched.model, "cpu"), dataset(rows), ["en"])
    scores = (ranked.text_embeds @ ranked.views[:, 0].T).numpy()
    np.testing.assert_allclose(scores, searched.scores[: len(PHOTOS)], rtol=0, atol=1e-5)


def test_the_page(searched: Searched) -> None:
    with Gallery.open(searched.gallery, device="cpu") as gallery:
        searcher = GallerySearcher(gallery)
        hits = searcher.search(QUERIES[0], 10, EVERY)
        searched.check(0, {hit.name: hit.score for hit in hits})
        why = searcher.explain(hits[0].id, QUERIES[0])
        assert why.score == pytest.approx(hits[0].score, abs=1e-5) and why.slots == []
        assert [hit.name for hit in searcher.more_like(hits[0].id, 3)] != [hits[0].name]


def test_the_page_over_a_folder(searched: Searched) -> None:
    store = space("store").PictureStore(make_retriever(Encoder.load(searched.model, "cpu")))
    pictures = space("sources").open_source(str(searched.gallery.parent / "photos")).pictures
    assert store.add(pictures) == []
    searched.check(1, {hit.name: hit.score for hit in store.search(QUERIES[1], 10)})


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SigLIP 2 as `model`, and `photos`."""
    return save_siglip(tmp_path_factory.mktemp("siglip"))


def test_a_gallery_is_moved_and_opened_in_another_process(siglip: Path, tmp_path: Path) -> None:
    Gallery.build(siglip / "photos", str(siglip / "model"), tmp_path / "first", device="cpu").close()
    (tmp_path / "elsewhere").mkdir()
    moved = shutil.move(tmp_path / "first", tmp_path / "elsewhere" / "gallery")
    command = [sys.executable, "-m", "leccr.cli", "search", moved, QUERIES[0], "-k", "4", "--json", "--device", "cpu"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {answer["path"]: answer["score"] for answer in json.loads(done.stdout)["results"]}
    expected = own_scores("siglip 2", siglip / "model")[0]
    np.testing.assert_allclose([found[name] for name in PHOTOS], expected, rtol=0, atol=1e-5)


def test_a_converted_gallery(siglip: Path, tmp_path: Path) -> None:
    Gallery.build(siglip / "photos", str(siglip / "model"), tmp_path / "gallery", device="cpu").close()
    converted = run("gallery", "convert", tmp_path / "gallery", "--store", "fp16", "--ann", "hnsw")
    assert converted.exit_code == 0 and "1 of 32 numbers per item, fp16" in converted.stdout
    with Gallery.open(tmp_path / "gallery", device="cpu") as gallery:
        found = {answer.path: answer.score for answer in gallery.search(QUERIES[0])}
    expected = own_scores("siglip 2", siglip / "model")[0]
    np.testing.assert_allclose([found[name] for name in PHOTOS], expected, rtol=0, atol=1e-3)


def test_the_page_explains_sentence_slots(siglip: Path, tmp_path: Path) -> None:
    photos = shutil.copytree(siglip / "photos", tmp_path / "photos")
    (photos / "descriptions.jsonl").write_text(
        json.dumps({"id": "1.png", "description": "A brown dog. Along the beach!\nHund am Strand"}) + "\n"
    )
    model = str(siglip / "model")
    Gallery.build(photos, model, tmp_path / "gallery", device="cpu", description_weight=0.3).close()
    with Gallery.open(tmp_path / "gallery", device="cpu") as gallery:
        searcher = GallerySearcher(gallery)
        hits = {hit.name: hit for hit in searcher.search(QUERIES[0], 10, EVERY)}
        for name, count in (("1.png", 3), ("2.png", 0)):
            why = searcher.explain(hits[name].id, QUERIES[0])
            assert why.score == pytest.approx(hits[name].score, abs=1e-5) and len(why.slots) == count
        described = searcher.explain(hits["1.png"].id, QUERIES[0])
        assert described.answered_by == hits["1.png"].answered_by
        assert [slot.words[0][0] for slot in described.slots] == ["A brown dog.", "Along the beach!", "Hund am Strand"]
        assert "0.7 × whole picture" in space("about").about(space("setup").make_ready(searcher, "photos"))


def test_upper_and_lower_case_are_one_query_to_siglip_2(siglip: Path) -> None:
    encoder = Encoder.load(siglip / "model", "cpu")
    texts = encoder.texts(["Ein Hund am Strand", "ein hund am strand", "ein hund am berg"])
    assert np.array_equal(texts[0], texts[1]) and not np.allclose(texts[0], texts[2], atol=1e-3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP with all that sentence-transformers asks for."""
    folder = save_family("clip", tmp_path_factory.mktemp("st") / "clip")
    own_processor("clip", folder)[0].save_pretrained(folder)
    return folder


class TestSentenceTransformers:
    def test_it_is_searched_like_the_others(self, clip: Path, siglip: Path, tmp_path: Path) -> None:
        name = f"st:{clip}"
        result = run("index", siglip / "photos", "--model", name, "--out", tmp_path / "gallery", "--device", "cpu")
        assert result.exit_code == 0, result.output
        expected = own_scores("clip", clip)
        with Gallery.open(tmp_path / "gallery", device="cpu") as gallery:
            assert gallery.state.model == name
            searcher = GallerySearcher(gallery)
            hits = searcher.search(QUERIES[0], 10, EVERY)
            np.testing.assert_allclose(
                [{hit.name: hit.score for hit in hits}[name] for name in PHOTOS], expected[0], rtol=0, atol=1e-5
            )
            why = searcher.explain(hits[0].id, QUERIES[0])
            assert why.score == pytest.approx(hits[0].score, abs=1e-5)
            assert "no slots" in space("about").about(space("setup").make_ready(searcher, "photos"))
            assert gallery.search_by_image(siglip / "photos" / "1.png")[0].path == "1.png"
        store = space("store").PictureStore(make_retriever(Encoder.load(name, "cpu")))
        assert store.add(space("sources").open_source(str(siglip / "photos")).pictures) == []
        assert [hit.name for hit in store.search(QUERIES[0], 10)] == [hit.name for hit in hits]

    def test_it_is_evaluated(self, clip: Path, siglip: Path, tmp_path: Path) -> None:
        rows = [row(name, image=picture) for name, picture in PHOTOS.items()]
        dataset(rows).to_parquet(tmp_path / "validation-00000-of-00001.parquet")
        result = run("evaluate", f"st:{clip}", tmp_path, "--device", "cpu", "--out", tmp_path / "figures.json")
        assert result.exit_code == 0, result.output
        figures = json.loads((tmp_path / "figures.json").read_text())
        assert {each["language"] for each in figures} == {"en", "de", "zh"}
