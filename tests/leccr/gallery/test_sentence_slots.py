"""Galleries of a dual encoder whose pictures have as many views as their descriptions have sentences."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery.store.view_map import NUMBER, map_path
from leccr.models.encoder import Encoder
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.tiny_gallery import NAMES, QUERIES, brute_force, names_of, paint, run, stored_views
from tests.processing.generation.chat_server import ChatServer, Reply

COUNTS = [3, 0, 1, 5, 2, 0, 4, 1, 3, 2, 1, 6, 0, 2]
WEIGHT = 0.4
MILVUS: dict[str, Any] = {"engine": "milvus", "uri": "views.db"}


def describe(folder: Path, names: list[str], counts: list[int]) -> None:
    """Give each picture a number of sentences about colours."""
    records = []
    for number, (name, count) in enumerate(zip(names, counts)):
        colours = [NAMES[(number * 5 + place * 7) % 12] for place in range(count)]
        records.append({"id": name, "description": " ".join(f"This is {colour} 1." for colour in colours)})
    (folder / "descriptions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture(scope="module")
def dual_encoder() -> Encoder:
    return tiny_gallery.encoder(num_slots=0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sentences") / "photos"
    names = [f"{'holiday/' if number % 3 == 0 else ''}{number:02}.png" for number in range(len(COUNTS))]
    for number, name in enumerate(names):
        paint(folder / name, number)
    describe(folder, names, COUNTS)
    return folder


@pytest.fixture(scope="module")
def original(pictures: Path, dual_encoder: Encoder) -> Path:
    folder = pictures.with_name("gallery")
    Gallery.build(pictures, dual_encoder, folder, description_weight=WEIGHT, batch_size=4).close()
    return folder


@pytest.fixture
def gallery(original: Path, dual_encoder: Encoder, tmp_path: Path) -> Gallery:
    return Gallery.open(shutil.copytree(original, tmp_path / "gallery"), dual_encoder)


def check_exact(gallery: Gallery, where: str | None = None) -> None:
    """Compare all answers with the full matrix of scores of what is stored."""
    condition = "position >= 0" if where is None else "id LIKE '%1%'"
    with gallery.catalogue.reading() as connection:
        rows = connection.execute(f"SELECT position, id FROM items WHERE {condition} ORDER BY position").fetchall()
    views = stored_views(gallery)
    for query in gallery.encoder.texts(QUERIES[::4]):
        order, scores = brute_force([views[position] for position, _ in rows], query)
        for k in (1, 4, len(rows)):
            found = gallery.search(query, k, where)
            assert names_of(found) == [rows[index][1] for index in order[:k]]
            assert [result.score for result in found] == scores[:k]


@pytest.mark.parametrize(
    "form", [{}, {"store": "fp16"}, {"store": "int8"}, {"ann": "hnsw"}, {"ann": "ivfpq"}, MILVUS], ids=str
)
def test_answers_are_exact_with_filters_after_adding_and_removing(
    gallery: Gallery, form: dict[str, Any], tmp_path: Path
) -> None:
    if form == MILVUS:
        pytest.importorskip("milvus_lite", reason="milvus-lite has no package for this system")
    if form:
        gallery.convert(**form)
    assert sorted(map(len, stored_views(gallery))) == sorted(max(count, 1) for count in COUNTS)
    check_exact(gallery)
    check_exact(gallery, "id~1")
    for number in range(3):
        paint(tmp_path / "more" / f"more{number}1.png", 100 + number)
    describe(tmp_path / "more", [f"more{number}1.png" for number in range(3)], [7, 0, 2])
    assert gallery.add(tmp_path / "more").added == 3
    gallery.remove(["00.png", "holiday/03.png"] if "00.png" in _ids(gallery) else ["holiday/03.png", "04.png"])
    check_exact(gallery)
    check_exact(gallery, "id~1")
    assert gallery.check().problems == []
    gallery.convert(engine="faiss", store="fp32", ann="none")
    check_exact(gallery)
    assert gallery.state.views == sum(map(len, stored_views(gallery)))


def _ids(gallery: Gallery) -> list[str]:
    with gallery.catalogue.reading() as connection:
        return [row[0] for row in connection.execute("SELECT id FROM items")]


def test_the_best_slot_is_named_with_the_number_of_the_items_own(gallery: Gallery) -> None:
    counts = {name: max(count, 1) for name, count in zip(sorted(_ids(gallery), key=lambda name: name[-6:]), COUNTS)}
    found = gallery.search("en red 1", 20)
    assert {result.id: result.views for result in found} == counts
    described = {result.id for result in found if result.description}
    assert len(described) == 11
    assert all((result.answered_by == "whole image") == (result.id not in described) for result in found)
    assert any(result.view > 0 for result in found)


def test_a_description_that_shows_nothing_is_no_slot(dual_encoder: Encoder, tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "a.png", 1)
    (tmp_path / "photos" / "descriptions.jsonl").write_text(json.dumps({"id": "a.png", "description": "\u200b"}))
    with Gallery.build(tmp_path / "photos", dual_encoder, tmp_path / "gallery", description_weight=WEIGHT) as gallery:
        [result] = gallery.search("en red 1")
    assert result.answered_by == "whole image"


def test_a_map_that_gives_views_to_other_items_is_told(gallery: Gallery) -> None:
    path = map_path(gallery.folder, gallery.state)
    ends = np.fromfile(path, NUMBER)
    # The map is possible, and only the catalogue knows better.
    ends[3] -= 1
    ends.tofile(path)
    with pytest.raises(UserError, match=r"items without views, or views without an item; `leccr gallery check"):
        gallery.search(QUERIES[0], len(COUNTS))
    assert gallery.check(repair=True).repaired
    check_exact(gallery)


def test_damaged_views_are_computed_again_as_they_were(gallery: Gallery, pictures: Path) -> None:
    before = gallery.search(QUERIES, 5)
    path = gallery.folder / "views-1.fp32"
    content = bytearray(path.read_bytes())
    content[10 * 32] ^= 0xFF
    path.write_bytes(content)
    assert gallery.check(repair=True).repaired == ["The views of 1 items are damaged."]
    again = gallery.search(QUERIES, 5)
    assert [names_of(results) for results in again] == [names_of(results) for results in before]
    assert np.allclose([[r.score for r in results] for results in again], [[r.score for r in rs] for rs in before])


def test_a_description_that_changes_changes_the_number_of_views(
    gallery: Gallery, pictures: Path, tmp_path: Path
) -> None:
    (gallery.folder / "descriptions.jsonl").unlink(missing_ok=True)
    source = shutil.copytree(pictures, tmp_path / "photos")
    moved = Gallery.build(source, gallery.encoder, tmp_path / "own", description_weight=WEIGHT)
    describe(source, ["02.png"], [4])
    assert moved.add(source).replaced == 1
    assert next(result for result in moved.search("en red 1", 20) if result.id == "02.png").views == 4
    check_exact(moved)


@pytest.fixture(scope="module")
def checkpoint(dual_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gallery.save_model(tmp_path_factory.mktemp("model") / "dual", num_slots=0)


class TestCommands:
    def test_index_add_search_and_info(self, pictures: Path, checkpoint: Path, tmp_path: Path) -> None:
        folder, new = tmp_path / "g", paint(tmp_path / "new" / "n.png", 99)
        describe(new.parent, ["n.png"], [3])
        done = run("index", pictures, "--model", checkpoint, "--out", folder, "--description-weight", 0.4)
        assert done.exit_code == 0, done.output
        done = run("gallery", "add", folder, new.parent, "--description-weight", 0.4)
        assert done.exit_code == 0, done.output
        with Gallery.open(folder) as gallery:
            assert next(result for result in gallery.search("en red 1", 20) if result.id == "n.png").views == 3
            check_exact(gallery)
        done = run("search", folder, "en red 1", "-k", 20, "--words", 0)
        assert done.exit_code == 0, done.output
        assert " of 6  This is" in done.stdout and "  whole image\n" in done.stdout
        done = run("gallery", "info", folder)
        assert "views    1 to 6 (2.4 on average) of 8 numbers per item, fp32" in done.stdout
        assert "weight   0.4 for descriptions" in done.stdout

    @pytest.mark.parametrize("command", ["index", "add"])
    def test_another_weight_is_one_sentence(
        self, command: str, pictures: Path, original: Path, checkpoint: Path, tmp_path: Path
    ) -> None:
        folder = shutil.copytree(original, tmp_path / "g")
        words = {"index": ["index", pictures, "--out", folder], "add": ["gallery", "add", folder, pictures]}[command]
        done = run(*words, "--model", checkpoint, "--description-weight", 0.3)
        assert done.exit_code == 2
        assert "was built with --description-weight 0.4, and not 0.3: leave the option out" in done.stderr

    def test_a_model_with_descriptions_of_its_own_is_one_sentence(
        self, pictures: Path, model: Path, tmp_path: Path
    ) -> None:
        done = run("index", pictures, "--model", model, "--out", tmp_path / "g", "--description-weight", 0.2)
        assert done.exit_code == 2
        assert "uses descriptions by itself" in done.stderr
        assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("source", ["sentences", "both"])
def test_a_model_that_was_trained_with_sentences(source: str, pictures: Path, tmp_path: Path) -> None:
    slots = {"slot_source": source, "num_slots": 2, "slot_layers": 1, "interaction_layers": 1, "interaction_heads": 2}
    encoder = tiny_gallery.encoder(**slots)
    others = encoder.model.config.num_slots
    gallery = Gallery.build(pictures, encoder, tmp_path / "g", batch_size=5)
    assert sorted(map(len, stored_views(gallery))) == sorted(others + max(count, 1) for count in COUNTS)
    check_exact(gallery)
    first = gallery.search("en red 1", 20)
    undescribed = {result.answered_by for result in first if result.description is None}
    assert ("whole image" in undescribed) == (source == "sentences")


def test_what_a_describer_answers_is_a_slot_each(dual_encoder: Encoder, tmp_path: Path) -> None:
    for number in range(2):
        paint(tmp_path / "photos" / f"{number}.png", number)
    with ChatServer(lambda number, payload: Reply("This is green 1. This is navy 1.")) as server:
        options: dict[str, Any] = {"describe_with": "tiny", "endpoint": server.url}
        gallery = Gallery.build(tmp_path / "photos", dual_encoder, tmp_path / "g", description_weight=0.2, **options)
        gallery.add(paint(tmp_path / "photos" / "2.png", 2), **options)
    assert list(map(len, stored_views(gallery))) == [8, 8, 8], "four answers of two sentences"
    check_exact(gallery)


def test_a_loaded_model_of_another_weight_is_refused(gallery: Gallery, dual_encoder: Encoder) -> None:
    from leccr.models.sentence_views import SentenceViews

    with pytest.raises(UserError, match=r"with --description-weight 0\.4, and not 0\.3"):
        Gallery.open(gallery.folder, SentenceViews(dual_encoder, 0.3)).search("en red 1")
    same = Gallery.open(gallery.folder, SentenceViews(dual_encoder, WEIGHT))
    assert same.search("en red 1") == gallery.search("en red 1")


def test_with_a_weight_of_zero_the_gallery_is_that_of_the_dual_encoder(
    pictures: Path, dual_encoder: Encoder, tmp_path: Path
) -> None:
    plain = Gallery.build(pictures, dual_encoder, tmp_path / "plain")
    zero = Gallery.build(pictures, dual_encoder, tmp_path / "zero", description_weight=0.0)
    assert tiny_gallery.contents(zero.folder) == tiny_gallery.contents(plain.folder)
