import json
from pathlib import Path

import pytest

from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from tests.leccr.gallery.tiny_gallery import photos
from tests.processing.generation.chat_server import ChatServer, Reply


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
