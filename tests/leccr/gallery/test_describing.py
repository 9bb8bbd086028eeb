"""Descriptions of what goes into a gallery: each picture, each short clip and each shot of a film has its own."""

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from leccr.gallery import Gallery
from tests.leccr.gallery import films
from tests.leccr.gallery.films import SCENES, TIMES, colour, opened
from tests.leccr.gallery.tiny_gallery import describe
from tests.processing.generation.chat_server import ChatServer, Reply

QUERY = "en red 1"


def say_the_colour(number: int, payload: dict[str, Any]) -> Reply:
    """Answer with the colour of the first picture that is asked about."""
    parts = [part for part in payload["messages"][-1]["content"] if part["type"] == "image_url"]
    content = base64.b64decode(parts[0]["image_url"]["url"].partition(",")[2])
    return Reply(f"A {colour(PillowImage.open(io.BytesIO(content)))} thing.")


@pytest.fixture
def film(filmed: Path, tmp_path: Path) -> Path:
    """A folder with one film of three shots."""
    (tmp_path / "v").mkdir()
    shutil.copy(filmed / "videos" / "clip.mp4", tmp_path / "v")
    return tmp_path / "v"


def said(gallery: Gallery) -> list[str | None]:
    """Return what is said about the shots of the film, in their order."""
    found = gallery.search(QUERY, 9, all_moments=True)
    return [each.description for each in sorted(found, key=lambda each: each.start or 0)]


def test_each_shot_is_described_once_and_keeps_its_description(film: Path, tmp_path: Path) -> None:
    with ChatServer(say_the_colour) as server:
        options = {"describe_with": "tiny", "endpoint": server.url}
        gallery = Gallery.build(film, films.model(), tmp_path / "g", **options)
        assert len(server.payloads) == 4 * len(TIMES), "four questions for each shot"
        assert [text and text.split("\n")[0] for text in said(gallery)] == [f"A {name} thing." for name in SCENES]
        records = [json.loads(line) for line in (tmp_path / "g" / "descriptions.jsonl").read_text().splitlines()]
        ids = [f"{film}/clip.mp4#t={start},{end}" for start, end in TIMES]
        assert [record["id"] for record in records] == ids
        before = said(gallery)
        assert gallery.add(film, **options).unchanged == gallery.add(film).unchanged == 1
        assert gallery.sync().has_changes is False
        (tmp_path / "g" / "descriptions.jsonl").unlink()
        assert gallery.add(film, **options).unchanged == gallery.add(film).unchanged == 1
        assert len(server.payloads) == 4 * len(TIMES)
    assert said(gallery) == before and gallery.check().problems == []
    found = gallery.search("blue", 1, words=1.0, all_moments=True)
    assert [(each.start, each.words) for each in found] == [(8, ("blue",))], "words are found in their shot"


def test_a_film_that_is_in_the_gallery_gets_descriptions_later(film: Path, tmp_path: Path) -> None:
    gallery = Gallery.build(film, films.model(), tmp_path / "g")
    assert said(gallery) == [None] * 3
    with ChatServer(say_the_colour) as server:
        assert gallery.add(film, describe_with="tiny", endpoint=server.url).replaced == 1
    assert [text and text.split()[1] for text in said(gallery)] == [*SCENES]
    # What a person says about the whole counts for all of it.
    describe(film, ["clip.mp4"])
    assert gallery.add(film).replaced == 1
    assert set(said(gallery)) == {"This is clip de clip 1"}
    gallery.close()


def test_damaged_shots_are_encoded_again_with_their_descriptions(film: Path, tmp_path: Path) -> None:
    with ChatServer(say_the_colour) as server:
        gallery = Gallery.build(film, films.model(), tmp_path / "g", describe_with="tiny", endpoint=server.url)
    scores = {each.start: each.score for each in gallery.search(QUERY, 9, all_moments=True)}
    before = said(gallery)
    gallery.close()
    path = tmp_path / "g" / "views-1.fp32"
    content = bytearray(path.read_bytes())
    content[:4] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    (tmp_path / "g" / "descriptions.jsonl").unlink()
    with opened(tmp_path / "g") as repaired:
        repaired.check(repair=True)
        assert repaired.check().problems == []
        assert said(repaired) == before
        found = {each.start: each.score for each in repaired.search(QUERY, 9, all_moments=True)}
        assert found == pytest.approx(scores, abs=1e-6)
