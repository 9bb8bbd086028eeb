import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from processing.features import save_features
from processing.storage import write_rows
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.tiny_gallery import NAMES, contents, names_of, paint, photos, stored_views
from tests.modeling_leccr.tiny import random
from tests.processing.generation.chat_server import ChatServer, Reply
from tests.tiny_data import dataset, row
from tests.videos import write_video


def test_an_interrupted_run_goes_on(tmp_path: Path, photos: Path, encoder: Encoder) -> None:
    stopped = tiny_gallery.encoder()
    real, calls = stopped.model.get_image_views, []

    def views(**inputs: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(**inputs)

    stopped.model.get_image_views = views
    options = {"batch_size": 4, "commit_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        Gallery.build(photos, stopped, tmp_path / "g", **options)
    half = Gallery.open(tmp_path / "g", encoder)
    assert (len(half), half.state.unfinished) == (8, str(photos))
    assert len(half.search("en red 1", 12)) == 8
    whole = Gallery.build(photos, encoder, tmp_path / "g", **options)
    assert whole.report is not None
    assert (whole.report.added, whole.report.unchanged, whole.state.unfinished) == (4, 8, None)
    Gallery.build(photos, encoder, tmp_path / "straight", **options)
    assert contents(tmp_path / "g") == contents(tmp_path / "straight")


def test_nothing_that_can_be_used_leaves_no_gallery(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.jpg").write_text("text")
    with pytest.raises(UserError, match=r"None of 1 files could be used; the first is a.jpg: .* cannot be decoded"):
        Gallery.build(tmp_path / "p", encoder, tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_batches_and_workers_change_nothing_that_matters(
    gallery: Gallery, encoder: Encoder, photos: Path, tmp_path: Path
) -> None:
    expected = stored_views(gallery)
    for batch_size, workers in ((1, 1), (5, 3), (100, 8)):
        folder = tmp_path / f"{batch_size}"
        with Gallery.build(photos, encoder, folder, batch_size=batch_size, workers=workers) as other:
            np.testing.assert_allclose(stored_views(other), expected, atol=1e-6)
            assert names_of(other.search("en red 1", 12)) == names_of(gallery.search("en red 1", 12))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, encoder: Encoder, photos: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("important")
    with pytest.raises(UserError, match="mine is not a gallery, and not empty; choose another folder with --out"):
        Gallery.build(photos, encoder, tmp_path / "mine")
    with pytest.raises(UserError, match=r"thesis.txt is not a gallery, and not empty"):
        Gallery.build(photos, encoder, tmp_path / "mine" / "thesis.txt")


def test_a_prepared_data_set(tmp_path: Path, encoder: Encoder) -> None:
    rows = [
        row(name, description=tiny_gallery.description(name), image=PillowImage.new("RGB", (32, 32), name))
        for name in NAMES
    ]
    write_rows(tmp_path / "data", "test", rows)
    with Gallery.build(tmp_path / "data", encoder, tmp_path / "g") as gallery:
        views = encoder.views([encoder.prepare(each) for each in dataset(rows)], [each["description"] for each in rows])
        assert np.array_equal(stored_views(gallery), views)
        [best] = gallery.search("en red 1", 1)
        assert best.file is None
        assert gallery.add(tmp_path / "data").unchanged == 12


def test_a_data_set_of_features(tmp_path: Path) -> None:
    write_rows(tmp_path / "data", "test", [row(name, image=None) for name in NAMES])
    features = [random(2 + index % 3, 16, seed=index) for index in range(12)]
    save_features(tmp_path / "data" / "features.safetensors", NAMES, features)
    model = tiny_gallery.encoder()
    with Gallery.build(tmp_path / "data", model, tmp_path / "g") as gallery:
        assert len(gallery) == 12
        [best] = gallery.search("en red 1", 1)
        assert gallery.thumbnail(best) is None


def test_a_data_set_with_features_of_several_towers(tmp_path: Path) -> None:
    write_rows(tmp_path / "data", "test", [row(name, image=None) for name in NAMES])
    model = tiny_gallery.encoder()
    for tower, width in (("a/tower", 9), ("b/tower", 16), ("c/tower", 25)):
        features = [random(2, width, seed=index) for index in range(12)]
        path = tmp_path / "data" / f"features-{tower[0]}.safetensors"
        save_features(path, NAMES, features, tower=tower)
    with Gallery.build(tmp_path / "data", model, tmp_path / "g") as gallery:
        assert len(gallery) == 12
    (tmp_path / "data" / "features-b.safetensors").unlink()
    with pytest.raises(UserError, match="rows without a picture, and no features of the model's tower"):
        Gallery.build(tmp_path / "data", model, tmp_path / "h")


def test_videos(tmp_path: Path) -> None:
    model = tiny_gallery.encoder(num_frames=2)
    paint(tmp_path / "p" / "a.png", 0)
    write_video(tmp_path / "p" / "b.mp4")
    write_video(tmp_path / "p" / "short.mp4", ["green"])
    (tmp_path / "p" / "broken.mp4").write_text("no video")
    with Gallery.build(tmp_path / "p", model, tmp_path / "g") as gallery:
        assert gallery.report is not None
        assert [name for name, _ in gallery.report.broken] == ["broken.mp4"]
        found = gallery.search("en red 1", 9, where="kind=video")
        assert sorted(names_of(found)) == ["b.mp4", "short.mp4"]
        by_name = {result.id: result for result in found}
        small = gallery.thumbnail(by_name["b.mp4"])
        assert small is not None and np.asarray(small).reshape(-1, 3).mean(0).argmax() == 2, "the middle is blue"
        alike = gallery.search_by_image(tmp_path / "p" / "b.mp4", 3)
        assert len(alike) == 3
        row = {"id": "b", "image": None, "video": str(tmp_path / "p" / "b.mp4"), "description": None}
        views = model.views([model.prepare(row)], [None])[0]
        query = model.texts(["en red 1"])[0]
        assert by_name["b.mp4"].score == pytest.approx(float((views @ query).max()), abs=1e-6)


def test_another_model_is_refused_with_both_named(folder: Path, photos: Path, tmp_path: Path) -> None:
    other = tiny_gallery.encoder("other", seed=1)
    message = r"was built with the model tiny \(\w{16}\), and not with other \(\w{16}\)"
    with pytest.raises(UserError, match=message):
        Gallery.open(folder, other).search("en red 1")
    with pytest.raises(UserError, match=message):
        Gallery.open(folder, other).add(photos)
    with pytest.raises(UserError, match=message):
        Gallery.build(photos, other, folder)


def test_fingerprints_tell_models_apart_and_nothing_else(encoder: Encoder, tmp_path: Path) -> None:
    assert tiny_gallery.encoder("elsewhere").fingerprint() == encoder.fingerprint()
    assert tiny_gallery.encoder(seed=1).fingerprint() != encoder.fingerprint()
    saved = Encoder.load(str(tiny_gallery.save_model(tmp_path / "model")))
    assert saved.fingerprint() == encoder.fingerprint()
    saved.model.config.alpha = 0.7
    assert saved.fingerprint() != encoder.fingerprint()


def test_the_model_is_found_where_the_gallery_says(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_gallery.save_model(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    expected = Gallery.build(photos, "model", "g").search("en red 1", 3)
    monkeypatch.chdir("/")
    assert Gallery.open(tmp_path / "g").search("en red 1", 3) == expected
    (tmp_path / "model").rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"built with the model .*/model, which cannot be loaded; say with --model"):
        Gallery.open(tmp_path / "g").search("en red 1", 3)
    assert Gallery.open(tmp_path / "g", str(tmp_path / "moved")).search("en red 1", 3) == expected


def test_a_missing_model_makes_no_gallery(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(UserError, match="There is no model"):
        Gallery.build(photos, str(tmp_path / "none"), tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_what_has_no_description_is_described_first(tmp_path: Path, encoder: Encoder) -> None:
    folder = photos(tmp_path / "photos")
    (folder / "text.jpg").write_text("no photo")
    with ChatServer(lambda number, payload: Reply("A red dog runs.")) as server:
        gallery = Gallery.build(folder, encoder, tmp_path / "g", describe_with="tiny", endpoint=server.url)
        asked = len(server.headers)
    results = gallery.search("en red 1", 20)
    assert len(results) == 12
    new = {result.id for result in results if result.description and "A red dog runs." in result.description}
    assert new == {result.id for result in results if result.id.startswith("holiday/")}
    records = [json.loads(line) for line in (tmp_path / "g" / "descriptions.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records if record["description"]] == [f"{folder}/{name}" for name in sorted(new)]
    assert asked == 4 * len(new), "four questions for each picture, and none for a broken one"
    assert gallery.add(folder).unchanged == 12, "adding without the model keeps what it said"
    assert gallery.check().problems == []


def test_a_run_that_goes_on_asks_for_nothing_twice(tmp_path: Path, encoder: Encoder) -> None:
    folder = photos(tmp_path / "photos")
    with ChatServer(lambda number, payload: Reply("A dog.")) as server:
        options = {"describe_with": "tiny", "endpoint": server.url}
        Gallery.build(folder, encoder, tmp_path / "g", **options)
        asked = len(server.headers)
        gallery = Gallery.build(folder, encoder, tmp_path / "g", **options)
        assert len(server.headers) == asked
    assert gallery.report is not None
    assert gallery.report.unchanged == 12


def test_a_model_that_cannot_describe_is_one_line(tmp_path: Path, encoder: Encoder) -> None:
    folder = photos(tmp_path / "photos")
    with pytest.raises(ValueError, match="none"):
        Gallery.build(folder, encoder, tmp_path / "g", describe_with=str(tmp_path / "none"))
    assert not (tmp_path / "g").exists(), "nothing came of it"


def test_without_faiss_nothing_is_done(
    tmp_path: Path, folder: Path, photos: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(encoder, "views", lambda *arguments: pytest.fail("something was encoded"))
    monkeypatch.setattr(encoder, "texts", lambda *arguments: pytest.fail("something was encoded"))
    with pytest.raises(UserError, match=r"A gallery needs libraries .*: pip install 'faiss-cpu"):
        Gallery.build(photos, encoder, tmp_path / "g")
    assert not (tmp_path / "g").exists()
    paint(tmp_path / "new.png", 99)
    for call in (lambda gallery: gallery.add(tmp_path / "new.png"), lambda gallery: gallery.search("red")):
        with Gallery.open(folder, encoder) as gallery, pytest.raises(UserError, match="A gallery needs libraries"):
            call(gallery)
