import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from leccr.errors import UserError
from leccr.gallery import Gallery, Result
from leccr.models.encoder import Encoder
from processing.features import save_features
from processing.storage import write_rows
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.tiny_gallery import NAMES, brute_force, describe, paint
from tests.modeling_leccr.tiny import random
from tests.tiny_data import dataset, row
from tests.videos import write_video

QUERIES = [f"{language} {name} 1" for language in ("en", "de", "zh") for name in NAMES]


def contents(folder: Path) -> list[Any]:
    """Return everything that a gallery answers with, but for times."""
    with Gallery.open(folder) as gallery, gallery.catalogue.reading() as connection:
        state = gallery.snapshot(connection).state
        rows = connection.execute(
            "SELECT items.position, id, path, kind, hash, size, description, picture FROM items "
            "LEFT JOIN thumbnails USING (number) ORDER BY items.position"
        ).fetchall()
        views = gallery.snapshot(connection).engine.at(np.array([row[0] for row in rows], dtype=int))
        return [*(row[1:] for row in rows), views.tobytes(), state.dtype, state.items]


def stored_views(gallery: Gallery) -> np.ndarray:
    with gallery.catalogue.reading() as connection:
        snapshot = gallery.snapshot(connection)
        return snapshot.engine.at(np.arange(snapshot.state.positions))


def names_of(results: list[Result]) -> list[str]:
    return [result.id for result in results]


class TestSearch:
    def test_the_ranking_is_that_of_the_model_in_every_language(self, gallery: Gallery, encoder: Encoder) -> None:
        views = stored_views(gallery)
        names = names_of(gallery.search(QUERIES[0], 12))
        with gallery.catalogue.reading() as connection:
            names = [row[0] for row in connection.execute("SELECT id FROM items ORDER BY position")]
        embeds = encoder.texts(QUERIES)
        for embed, results in zip(embeds, gallery.search(QUERIES, 12)):
            order, scores = brute_force(views, embed)
            assert names_of(results) == [names[place] for place in order]
            assert [result.score for result in results] == scores
            assert [result.rank for result in results] == list(range(1, 13))

    def test_views_are_those_of_the_model(self, gallery: Gallery, encoder: Encoder, photos: Path) -> None:
        [best] = gallery.search(QUERIES[0], 1)
        inputs = encoder.processor(images=[PillowImage.open(photos / best.path)], descriptions=[best.description])
        with torch.inference_mode():
            views = encoder.model.get_image_views(**inputs)[0]
            query = encoder.model.get_text_features(**encoder.processor(text=[QUERIES[0]]))[0]
        products = views @ query
        assert best.score == pytest.approx(products.max().item(), abs=1e-6)
        assert best.view == products.argmax().item()
        assert best.answered_by == f"slot {best.view + 1}"
        assert best.file == photos / best.path

    def test_copies_tie_and_stand_in_their_order(self, tmp_path: Path, encoder: Encoder) -> None:
        for place in range(9):
            paint(tmp_path / "p" / f"{place}.png", seed=place % 3)
        with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
            found = gallery.search("en red 1", 9)
        assert [round(result.score, 6) for result in found[::3]] == [round(result.score, 6) for result in found[2::3]]
        for start in range(0, 9, 3):
            copies = [int(Path(result.id).stem) for result in found[start : start + 3]]
            assert copies == sorted(copies)
            assert len({place % 3 for place in copies}) == 1

    def test_texts_and_embeddings_one_or_several(self, gallery: Gallery, encoder: Encoder) -> None:
        text = gallery.search("de red 1", 3)
        embed = encoder.texts(["de red 1"])
        assert gallery.search(embed[0], 3) == gallery.search(torch.tensor(embed[0]), 3) == text
        assert gallery.search(embed, 3) == gallery.search(["de red 1"], 3) == [text]

    @pytest.mark.parametrize(
        ("query", "options", "message"),
        [
            ("", {}, "The query is empty; say in a word or a sentence what to look for"),
            (" \t\u3000 ", {}, "The query is empty"),
            (["red", " "], {}, "Query 2 is empty"),
            ([], {}, "There is no query"),
            ("red", {"k": 0}, "k is 0, but has to be at least 1"),
            ("red", {"where": "colour=red"}, "There is no column 'colour'"),
            (np.ones(5), {}, r"The query has 5 numbers, but the views of the gallery have 8: embed it with tiny"),
            (np.array([np.nan] * 8), {}, "an embedding of finite numbers"),
            (np.ones((2, 2, 8)), {}, r"an embedding of finite numbers, \(D,\) or \(Q, D\)"),
        ],
    )
    def test_what_cannot_be_asked_is_one_line(
        self, gallery: Gallery, query: Any, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UserError, match=message):
            gallery.search(query, **options)

    def test_more_than_there_is_gives_all(self, gallery: Gallery) -> None:
        assert len(gallery.search("en red 1", 1000)) == 12

    def test_filters(self, gallery: Gallery) -> None:
        everything = gallery.search("en red 1", 12)
        found = gallery.search("en red 1", 12, where="path~HOLIDAY/")
        assert names_of(found) == [name for name in names_of(everything) if name.startswith("holiday/")]
        assert len(found) == 4
        assert gallery.search("en red 1", 12, where="kind=video") == []

    def test_the_gallery_finds_a_picture_of_its_own(self, tmp_path: Path, photos: Path) -> None:
        whole = tiny_gallery.encoder(num_slots=0, softened_weight=0.0)
        with Gallery.build(photos, whole, tmp_path / "g") as gallery:
            for name in ("green1.png", "navy7.png"):
                [best] = gallery.search_by_image(photos / name, 1)
                assert (best.id, best.answered_by) == (name, "whole image")
                assert best.score == pytest.approx(1.0, abs=1e-5)
            [best] = gallery.search_by_image(PillowImage.open(photos / "green1.png"), 1)
            assert best.id == "green1.png"
            with pytest.raises(ValueError, match="none.png does not exist"):
                gallery.search_by_image(photos / "none.png")

    def test_thumbnails(self, gallery: Gallery) -> None:
        [best] = gallery.search("en red 1", 1)
        small = gallery.thumbnail(best)
        assert small is not None and small.size == (32, 32)
        gallery.remove([best.id])
        assert gallery.thumbnail(best) is None

    def test_many_threads_search_at_once(self, gallery: Gallery) -> None:
        expected = [gallery.search(query, 5) for query in QUERIES]
        found: dict[int, Any] = {}

        def search(place: int) -> None:
            found[place] = [gallery.search(query, 5) for query in QUERIES]

        threads = [threading.Thread(target=search, args=(place,)) for place in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(found[place] == expected for place in range(6))

    def test_what_another_adds_is_found_at_once(self, gallery: Gallery, encoder: Encoder, tmp_path: Path) -> None:
        assert len(gallery.search("en red 1", 100)) == 12
        Gallery.open(gallery.folder, encoder).add(paint(tmp_path / "new" / "p.png", 50))
        assert "p.png" in names_of(gallery.search("en red 1", 100))


class TestAdding:
    def test_the_same_twice_changes_nothing(self, gallery: Gallery, photos: Path) -> None:
        before = contents(gallery.folder)
        report = gallery.add(photos)
        assert (report.added, report.replaced, report.unchanged) == (0, 0, 12)
        report = gallery.add(photos / "green1.png")
        assert (report.added, report.replaced, report.unchanged) == (0, 0, 1)
        assert contents(gallery.folder) == before

    def test_unchanged_files_are_not_read_again(
        self, gallery: Gallery, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("leccr.gallery.candidates.hash_file", lambda path: pytest.fail(f"{path} was read"))
        assert gallery.add(photos).unchanged == 12

    def test_a_new_time_alone_changes_nothing(self, tmp_path: Path, encoder: Encoder) -> None:
        path = paint(tmp_path / "p" / "a.png", 1)
        with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
            before = contents(gallery.folder)
            os.utime(path, ns=(1, 10**18))
            report = gallery.add(tmp_path / "p")
            assert (report.replaced, report.unchanged) == (0, 1)
            assert contents(gallery.folder) == before
            assert gallery.search("red", 1)[0].time == 10**18, "so that it is not read the next time"

    def test_changed_files_and_descriptions_are_replaced(self, tmp_path: Path, encoder: Encoder, photos: Path) -> None:
        own = Path(shutil.copytree(photos, tmp_path / "photos"))
        with Gallery.build(own, encoder, tmp_path / "g") as gallery:
            paint(own / "green1.png", 99)
            describe(own, ["blue2.png", "holiday/red0.png"])
            report = gallery.add(own)
            assert (report.added, report.replaced, report.unchanged) == (0, 2, 10)
            assert len(gallery) == 12
            assert gallery.state.positions == 14
            assert len(gallery.search("en red 1", 100)) == 12
        fresh = Gallery.build(own, encoder, tmp_path / "fresh")
        described = {item[0]: item[5] for item in contents(fresh.folder)[:12]}
        changed = {item[0]: item for item in contents(gallery.folder)[:12]}
        assert changed["holiday/red0.png"][5] == described["holiday/red0.png"]
        assert changed["gray5.png"][5] is not None, "a description is not lost because it is not given again"

    def test_many_holes_are_closed(self, tmp_path: Path, encoder: Encoder, photos: Path) -> None:
        own = Path(shutil.copytree(photos, tmp_path / "photos"))
        with Gallery.build(own, encoder, tmp_path / "g") as gallery:
            for place in range(4):
                paint(own / f"{('green1', 'blue2', 'black4', 'gray5')[place]}.png", 100 + place)
            gallery.add(own)
            assert (gallery.state.positions, gallery.state.generation) == (12, 2)
            assert sorted(path.name for path in gallery.folder.iterdir()) == ["gallery.sqlite", "views-2.fp32"]
            fresh = Gallery.build(own, encoder, tmp_path / "fresh")
            assert sorted(contents(gallery.folder)[:12]) == sorted(contents(fresh.folder)[:12])

    def test_broken_files_are_listed_and_the_others_added(self, tmp_path: Path, encoder: Encoder, photos: Path) -> None:
        own = Path(shutil.copytree(photos, tmp_path / "photos"))
        (own / "text.jpg").write_text("a text, not a photo")
        (own / "empty.png").touch()
        (own / "cut.png").write_bytes((own / "green1.png").read_bytes()[:100])
        PillowImage.new("1", (10001, 10000)).save(own / "large.png")
        (own / "clip.mp4").touch()
        with Gallery.build(own, encoder, tmp_path / "g") as gallery:
            assert len(gallery) == 12
            assert gallery.report is not None
            reasons = dict(gallery.report.broken)
        assert sorted(reasons) == ["clip.mp4", "cut.png", "empty.png", "large.png", "text.jpg"]
        assert "text.jpg cannot be decoded as a picture" in reasons["text.jpg"]
        assert "large.png has more than 100 million pixels" in reasons["large.png"]
        assert "the gallery's model is for pictures alone" in reasons["clip.mp4"]

    def test_a_decompression_bomb_is_left_out(self, tmp_path: Path, encoder: Encoder) -> None:
        paint(tmp_path / "p" / "good.png", 0)
        # 400 million pixels in a file of less than 1 MB, which would take 1.2 GB as RGB.
        PillowImage.new("1", (20000, 20000)).save(tmp_path / "p" / "bomb.png", compress_level=1)
        assert (tmp_path / "p" / "bomb.png").stat().st_size < 10**6
        with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
            assert gallery.report is not None
            assert [name for name, _ in gallery.report.broken] == ["bomb.png"]

    def test_views_that_are_not_finite_are_left_out(self, tmp_path: Path, photos: Path) -> None:
        broken = tiny_gallery.encoder()
        real = broken.model.get_image_views

        def views(**inputs: Any) -> torch.Tensor:
            found = real(**inputs)
            found[0, 1, 2] = float("nan")
            return found

        broken.model.get_image_views = views
        with Gallery.build(photos, broken, tmp_path / "g", batch_size=6) as gallery:
            assert len(gallery) == 10
            assert gallery.report is not None
            assert {reason for _, reason in gallery.report.broken} == {
                "The model gives numbers for it that are not finite."
            }

    def test_an_interrupted_run_goes_on(self, tmp_path: Path, photos: Path, encoder: Encoder) -> None:
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

    def test_nothing_that_can_be_used_leaves_no_gallery(self, tmp_path: Path, encoder: Encoder) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p" / "a.jpg").write_text("text")
        with pytest.raises(UserError, match=r"None of 1 files could be used; the first is a.jpg: .* cannot be decoded"):
            Gallery.build(tmp_path / "p", encoder, tmp_path / "g")
        assert not (tmp_path / "g").exists()

    def test_batches_and_workers_change_nothing_that_matters(
        self, gallery: Gallery, encoder: Encoder, photos: Path, tmp_path: Path
    ) -> None:
        expected = stored_views(gallery)
        for batch_size, workers in ((1, 1), (5, 3), (100, 8)):
            folder = tmp_path / f"{batch_size}"
            with Gallery.build(photos, encoder, folder, batch_size=batch_size, workers=workers) as other:
                np.testing.assert_allclose(stored_views(other), expected, atol=1e-6)
                assert names_of(other.search("en red 1", 12)) == names_of(gallery.search("en red 1", 12))

    def test_a_folder_that_holds_something_else_is_left_alone(
        self, tmp_path: Path, encoder: Encoder, photos: Path
    ) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("important")
        with pytest.raises(UserError, match="mine is no gallery, and not empty; choose another folder with --out"):
            Gallery.build(photos, encoder, tmp_path / "mine")
        with pytest.raises(UserError, match=r"thesis.txt is no gallery, and not empty"):
            Gallery.build(photos, encoder, tmp_path / "mine" / "thesis.txt")

    def test_a_prepared_data_set(self, tmp_path: Path, encoder: Encoder) -> None:
        rows = [
            row(name, description=tiny_gallery.description(name), image=PillowImage.new("RGB", (32, 32), name))
            for name in NAMES
        ]
        write_rows(tmp_path / "data", "test", rows)
        with Gallery.build(tmp_path / "data", encoder, tmp_path / "g") as gallery:
            views = encoder.views(
                [encoder.prepare(each) for each in dataset(rows)], [each["description"] for each in rows]
            )
            assert np.array_equal(stored_views(gallery), views)
            [best] = gallery.search("en red 1", 1)
            assert best.file is None
            assert gallery.add(tmp_path / "data").unchanged == 12

    def test_a_data_set_of_features(self, tmp_path: Path) -> None:
        write_rows(tmp_path / "data", "test", [row(name, image=None) for name in NAMES])
        features = [random(2 + place % 3, 16, seed=place) for place in range(12)]
        save_features(tmp_path / "data" / "features.safetensors", NAMES, features)
        model = tiny_gallery.encoder()
        with Gallery.build(tmp_path / "data", model, tmp_path / "g") as gallery:
            assert len(gallery) == 12
            [best] = gallery.search("en red 1", 1)
            assert gallery.thumbnail(best) is None

    def test_videos(self, tmp_path: Path) -> None:
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


class TestRemoving:
    @pytest.mark.parametrize(
        ("names", "count"),
        [
            (["green1.png"], 1),
            (["{photos}/green1.png"], 1),
            (["holiday"], 4),
            (["holiday/"], 4),
            (["{photos}/holiday", "green1.png"], 5),
            (["{photos}"], 12),
            (["{photos}/.."], 12),
        ],
    )
    def test_by_name(self, gallery: Gallery, photos: Path, names: list[str], count: int) -> None:
        before = set(names_of(gallery.search("en red 1", 12)))
        gone = gallery.remove([name.format(photos=photos) for name in names])
        assert len(gone) == count
        assert len(gallery) == 12 - count
        left = set(names_of(gallery.search("en red 1", 12)))
        assert left == before - {item.id for item in gone}
        assert all((photos / item.path).exists() for item in gone)

    def test_by_filter(self, gallery: Gallery) -> None:
        assert len(gallery.remove(where="path~holiday")) == 4
        assert gallery.remove(where="path~holiday") == []

    def test_a_name_that_fits_nothing_removes_nothing(self, gallery: Gallery) -> None:
        with pytest.raises(UserError, match="has no item nope.png; nothing was removed"):
            gallery.remove(["green1.png", "nope.png"])
        assert len(gallery) == 12

    def test_what_was_removed_can_be_added_again(self, gallery: Gallery, photos: Path) -> None:
        everything = {result.id: result.score for result in gallery.search("en red 1", 12)}
        gallery.remove(["green1.png", "holiday"])
        assert gallery.add(photos).added == 5
        found = {result.id: result.score for result in gallery.search("en red 1", 12)}
        assert found == pytest.approx(everything, abs=1e-6)


class TestForms:
    @pytest.mark.parametrize("ann", ["hnsw", "ivfpq"])
    def test_an_approximate_index_follows_the_gallery(
        self, gallery: Gallery, photos: Path, tmp_path: Path, ann: str
    ) -> None:
        exact = gallery.search(QUERIES, 5)
        gallery.convert(ann=ann)
        assert gallery.search(QUERIES, 5) == exact, "it sees all of so few"
        gallery.add(paint(tmp_path / "new" / "p.png", 77))
        approximation = gallery.state.approximation
        assert approximation is not None and approximation.positions == 12
        gallery.remove(["holiday"])
        approximation = gallery.state.approximation
        assert approximation is not None and (approximation.kind, approximation.positions) == (ann, 9)
        assert len(gallery.search("en red 1", 20)) == 9
        assert gallery.convert(ann="none").approximation is None
        assert sorted(path.suffix for path in gallery.folder.iterdir()) == [".fp32", ".sqlite"]

    @pytest.mark.parametrize(("dtype", "error"), [("fp16", 1e-3), ("int8", 2e-2)])
    def test_smaller_formats_lose_little(self, gallery: Gallery, photos: Path, dtype: str, error: float) -> None:
        before = stored_views(gallery)
        state = gallery.convert(store=dtype)
        assert state.dtype == dtype
        np.testing.assert_allclose(stored_views(gallery), before, atol=error)
        assert gallery.convert(store=dtype) == state, "the same again is nothing to do"
        assert gallery.check().problems == []
        gallery.remove(["green1.png"])
        assert gallery.add(photos).added == 1

    def test_building_in_a_form_is_building_and_converting(
        self, gallery: Gallery, encoder: Encoder, photos: Path, tmp_path: Path
    ) -> None:
        gallery.convert(store="int8", ann="hnsw")
        Gallery.build(photos, encoder, tmp_path / "other", store="int8", ann="hnsw")
        assert contents(tmp_path / "other") == contents(gallery.folder)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"store": "int4"}, "--store is 'int4', but has to be one of fp32, fp16, int8"),
            ({"ann": "annoy"}, "--ann is 'annoy', but has to be one of hnsw, ivfpq, none"),
            ({"engine": "lucene"}, "--engine is 'lucene', but has to be one of faiss, milvus"),
            ({"engine": "milvus"}, "Say with --uri where the Milvus server is"),
            ({"uri": "http://localhost"}, "--uri is the address of a Milvus server; use it with --engine milvus"),
            ({"engine": "milvus", "uri": "a.db", "store": "int8"}, "Milvus stores fp32 views here"),
        ],
    )
    def test_unknown_forms_are_one_line(
        self, gallery: Gallery, encoder: Encoder, photos: Path, tmp_path: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UserError, match=message):
            gallery.convert(**options)
        with pytest.raises(UserError, match=message):
            Gallery.build(photos, encoder, tmp_path / "other", **options)
        assert not (tmp_path / "other").exists()


class TestModels:
    def test_another_model_is_refused_with_both_named(self, folder: Path, photos: Path, tmp_path: Path) -> None:
        other = tiny_gallery.encoder("other", seed=1)
        message = r"was built with the model tiny \(\w{16}\), and not with other \(\w{16}\)"
        with pytest.raises(UserError, match=message):
            Gallery.open(folder, other).search("en red 1")
        with pytest.raises(UserError, match=message):
            Gallery.open(folder, other).add(photos)
        with pytest.raises(UserError, match=message):
            Gallery.build(photos, other, folder)

    def test_fingerprints_tell_models_apart_and_nothing_else(self, encoder: Encoder, tmp_path: Path) -> None:
        assert tiny_gallery.encoder("elsewhere").fingerprint() == encoder.fingerprint()
        assert tiny_gallery.encoder(seed=1).fingerprint() != encoder.fingerprint()
        saved = Encoder.load(str(tiny_gallery.save_model(tmp_path / "model")))
        assert saved.fingerprint() == encoder.fingerprint()
        saved.model.config.alpha = 0.7
        assert saved.fingerprint() != encoder.fingerprint()

    def test_the_model_is_found_where_the_gallery_says(
        self, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
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

    def test_a_missing_model_makes_no_gallery(self, tmp_path: Path, photos: Path) -> None:
        with pytest.raises(UserError, match="is no model"):
            Gallery.build(photos, str(tmp_path / "none"), tmp_path / "g")
        assert not (tmp_path / "g").exists()


def test_a_path_that_leads_out_of_its_folder_has_no_file(gallery: Gallery) -> None:
    """A gallery from elsewhere could say anything."""
    with gallery.catalogue.writing() as connection:
        connection.execute("UPDATE items SET path = '../../secret.png' WHERE id = 'green1.png'")
        connection.execute("UPDATE items SET path = '/etc/passwd' WHERE id = 'blue2.png'")
    files = {result.id: result.file for result in gallery.search("en red 1", 12)}
    assert files["green1.png"] is None
    assert files["blue2.png"] is None
    assert sum(file is not None for file in files.values()) == 10
