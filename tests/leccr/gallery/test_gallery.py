import contextlib
import dataclasses
import threading
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from PIL import Image as PillowImage

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.tiny_gallery import QUERIES, brute_force, names_of, paint, stored_views


def test_the_ranking_is_that_of_the_model_in_every_language(gallery: Gallery, encoder: Encoder) -> None:
    views = stored_views(gallery)
    names = names_of(gallery.search(QUERIES[0], 12))
    with gallery.catalogue.reading() as connection:
        names = [row[0] for row in connection.execute("SELECT id FROM items ORDER BY position")]
    embeds = encoder.texts(QUERIES)
    for embed, results in zip(embeds, gallery.search(QUERIES, 12, words=0)):
        order, scores = brute_force(views, embed)
        assert names_of(results) == [names[index] for index in order]
        assert [result.score for result in results] == scores
        assert [result.rank for result in results] == list(range(1, 13))


def test_views_are_those_of_the_model(gallery: Gallery, encoder: Encoder, photos: Path) -> None:
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


def test_copies_tie_and_stand_in_their_order(tmp_path: Path, encoder: Encoder) -> None:
    for index in range(9):
        paint(tmp_path / "p" / f"{index}.png", seed=index % 3)
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
        found = gallery.search("en red 1", 9)
    assert [round(result.score, 6) for result in found[::3]] == [round(result.score, 6) for result in found[2::3]]
    for start in range(0, 9, 3):
        copies = [int(Path(result.id).stem) for result in found[start : start + 3]]
        assert copies == sorted(copies)
        assert len({index % 3 for index in copies}) == 1


def test_texts_and_embeddings_one_or_several(gallery: Gallery, encoder: Encoder) -> None:
    text = gallery.search("de red 1", 3, words=0)
    embed = encoder.texts(["de red 1"])
    assert gallery.search(["de red 1"], 3, words=0) == [text]
    # Only what was asked in words has a confidence.
    unsure = [dataclasses.replace(result, confidence=None) for result in text]
    assert gallery.search(embed[0], 3) == gallery.search(torch.tensor(embed[0]), 3) == unsure != text
    assert gallery.search(embed, 3) == [unsure]


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        ("", {}, "The query is empty; say in a word or a sentence what to look for"),
        (" \t\u3000 ", {}, "The query is empty"),
        (["red", " "], {}, "Query 2 is empty"),
        ("\udcff", {}, "The query has characters that are not valid text"),
        ([], {}, "There is no query"),
        ("red", {"k": 0}, "k is 0, but has to be at least 1"),
        ("red", {"where": "colour=red"}, "There is no column 'colour'"),
        ("red", {"min_confidence": 1.1}, r"The least confidence is 1\.1, but has to be from 0 to 1"),
        ("red", {"min_confidence": float("nan")}, "The least confidence is nan, but has to be from 0 to 1"),
        (np.ones(8), {"min_confidence": 0.5}, "It is not known how sure these answers are"),
        (np.ones(5), {}, r"The query has 5 numbers, but the views of the gallery have 8: embed it with tiny"),
        (np.array([np.nan] * 8), {}, "an embedding of finite numbers"),
        (np.ones((2, 2, 8)), {}, r"an embedding of finite numbers, \(D,\) or \(Q, D\)"),
    ],
)
def test_what_cannot_be_asked_is_one_line(gallery: Gallery, query: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        gallery.search(query, **options)


def test_a_large_k_gives_all_items(gallery: Gallery) -> None:
    assert len(gallery.search("en red 1", 1000)) == 12


def test_filters(gallery: Gallery) -> None:
    everything = gallery.search("en red 1", 12)
    found = gallery.search("en red 1", 12, where="path~HOLIDAY/")
    assert names_of(found) == [name for name in names_of(everything) if name.startswith("holiday/")]
    assert len(found) == 4
    assert gallery.search("en red 1", 12, where="kind=video") == []


def test_the_gallery_finds_a_picture_of_its_own(tmp_path: Path, photos: Path) -> None:
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


def test_thumbnails(gallery: Gallery) -> None:
    [best] = gallery.search("en red 1", 1)
    small = gallery.thumbnail(best)
    assert small is not None and small.size == (32, 32)
    gallery.remove([best.id])
    assert gallery.thumbnail(best) is None


def test_an_item_never_gets_the_number_of_one_that_was_removed(gallery: Gallery, tmp_path: Path) -> None:
    last = max(gallery.search("en red 1", 20), key=lambda result: result.number)
    gallery.remove([last.id])
    gallery.add(tiny_gallery.paint(tmp_path / "other.png", 99))
    assert gallery.thumbnail(last) is None, "it would be another picture's"


def test_many_threads_search_at_once(gallery: Gallery) -> None:
    expected = [gallery.search(query, 5) for query in QUERIES]
    found: dict[int, Any] = {}

    def search(index: int) -> None:
        found[index] = [gallery.search(query, 5) for query in QUERIES]

    threads = [threading.Thread(target=search, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[index] == expected for index in range(6))


def test_what_another_adds_is_found_at_once(gallery: Gallery, encoder: Encoder, tmp_path: Path) -> None:
    assert len(gallery.search("en red 1", 100)) == 12
    Gallery.open(gallery.folder, encoder).add(paint(tmp_path / "new" / "p.png", 50))
    assert "p.png" in names_of(gallery.search("en red 1", 100))


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
def test_by_name(gallery: Gallery, photos: Path, names: list[str], count: int) -> None:
    before = set(names_of(gallery.search("en red 1", 12)))
    gone = gallery.remove([name.format(photos=photos) for name in names])
    assert len(gone) == count
    assert len(gallery) == 12 - count
    left = set(names_of(gallery.search("en red 1", 12)))
    assert left == before - {item.id for item in gone}
    assert all((photos / item.path).exists() for item in gone)


def test_by_filter(gallery: Gallery) -> None:
    assert len(gallery.remove(where="path~holiday")) == 4
    assert gallery.remove(where="path~holiday") == []


def test_a_name_that_fits_nothing_removes_nothing(gallery: Gallery) -> None:
    with pytest.raises(UserError, match="has no item nope.png; nothing was removed"):
        gallery.remove(["green1.png", "nope.png"])
    assert len(gallery) == 12


def test_what_was_removed_can_be_added_again(gallery: Gallery, photos: Path) -> None:
    everything = {result.id: result.score for result in gallery.search("en red 1", 12)}
    gallery.remove(["green1.png", "holiday"])
    assert gallery.add(photos).added == 5
    found = {result.id: result.score for result in gallery.search("en red 1", 12)}
    assert found == pytest.approx(everything, abs=1e-6)


def test_a_path_that_leads_out_of_its_folder_has_no_file(gallery: Gallery) -> None:
    """An untrusted gallery could say anything."""
    with gallery.catalogue.writing() as connection:
        connection.execute("UPDATE items SET path = '../../secret.png' WHERE id = 'green1.png'")
        connection.execute("UPDATE items SET path = '/etc/passwd' WHERE id = 'blue2.png'")
    files = {result.id: result.file for result in gallery.search("en red 1", 12)}
    assert files["green1.png"] is None
    assert files["blue2.png"] is None
    assert sum(file is not None for file in files.values()) == 10


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(query=st.text(st.characters(exclude_categories=())), where=st.none() | st.text())
def test_any_query_and_filter_are_answered_or_refused(gallery: Gallery, query: str, where: str | None) -> None:
    with contextlib.suppress(UserError):
        assert len(gallery.search(query, 12, where)) <= 12
