"""Folders of galleries that were changed at random."""

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from tests.leccr.gallery import tiny_gallery

from .changes import flipped, harmless


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return tiny_gallery.encoder()


@pytest.fixture(scope="module")
def original(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("galleries")
    tiny_gallery.photos(folder / "photos", 6)
    for name, options in {"fp32": {"ann": "hnsw"}, "int8": {"store": "int8", "ann": "ivfpq"}}.items():
        Gallery.build(folder / "photos", encoder, folder / name, **options).close()
        Gallery.open(folder / name, encoder).remove(["green1.png"])
    return folder


def use(folder: Path, encoder: Encoder) -> None:
    """Search a gallery, show what was found, check it and repair it, each as a command would."""

    def with_gallery(do: Callable[[Gallery], Any]) -> None:
        with Gallery.open(folder, encoder) as gallery:
            do(gallery)

    def search(gallery: Gallery) -> None:
        for result in gallery.search("en red 1", 10):
            harmless(gallery.thumbnail, result)

    for do in (
        search,
        lambda gallery: gallery.search("en red 1", 10**9, "path~holiday or kind=image"),
        lambda gallery: gallery.check(files=True),
        lambda gallery: gallery.remove(["holiday"]),
        lambda gallery: gallery.check(repair=True),
        lambda gallery: gallery.convert(store="fp16"),
        search,
    ):
        harmless(with_gallery, do)


@pytest.mark.parametrize("store", ["fp32", "int8"])
def test_any_file_of_a_gallery(original: Path, store: str, place: Path, encoder: Encoder) -> None:
    for path in sorted((original / store).iterdir()):
        content = path.read_bytes()
        for number, copy in enumerate(flipped(content, 5)):
            folder = Path(shutil.copytree(original / store, place / f"{path.name}-{number}"))
            (folder / path.name).write_bytes(copy)
            use(folder, encoder)
            shutil.rmtree(folder)


NUMBERS = (-1, 0, 1, 5, 6, 10**6, 2**40, 2**62, 10**30, 0.5, float("nan"), 1e400)
VALUES = (*NUMBERS, None, True, "", "x", "../x", "\0", [], {}, [1.0])


@pytest.mark.parametrize("store", ["fp32", "int8"])
def test_any_field_of_its_state(original: Path, store: str, place: Path, encoder: Encoder) -> None:
    generator = random.Random(0)
    folder = Path(shutil.copytree(original / store, place / "gallery"))
    kept = (folder / "gallery.sqlite").read_bytes()
    with Gallery.open(folder) as gallery:
        state = json.loads(gallery.state.to_json())
    for name in state:
        for value in generator.sample(VALUES, 2):
            shutil.rmtree(folder)
            shutil.copytree(original / store, folder)
            (folder / "gallery.sqlite").write_bytes(kept)
            with sqlite3.connect(folder / "gallery.sqlite") as connection:
                connection.execute("UPDATE state SET value = ?", [json.dumps({**state, name: value})])
            use(folder, encoder)


@pytest.mark.parametrize(
    "change",
    [
        *(f"UPDATE items SET position = {value} WHERE position = 0" for value in (6, -1, 7, 10**6, 2**62, 2**63 - 1)),
        "UPDATE items SET position = position + 1000",
        "DELETE FROM items",
        "DELETE FROM items WHERE position = 0",
        "DELETE FROM removed",
        "INSERT INTO removed VALUES (0, 1)",
        f"INSERT INTO removed VALUES ({2**62}, 1)",
        "INSERT INTO removed VALUES (-5, 1)",
        *(f"UPDATE items SET views = {value} WHERE position = 0" for value in (-1, 0, 7, 2**62)),
        f"UPDATE removed SET views = {2**62}",
        "DELETE FROM sources",
        "UPDATE sources SET location = 'relative'",
        "UPDATE sources SET location = char(0)",
        "UPDATE sources SET kind = 'x'",
        "UPDATE items SET source = 99",
        "UPDATE items SET kind = 'x', hash = 'x'",
        "UPDATE items SET path = '../../victim.txt', id = number",
        "UPDATE items SET path = 'a' || char(0) || 'b', id = number",
        "UPDATE items SET path = '', id = number",
        f"UPDATE items SET size = -1, time = {-(2**63)}",
        f"UPDATE items SET checksum = {2**62}",
        "UPDATE items SET description = char(27) || '[2J'",
        "UPDATE thumbnails SET picture = x'00'",
        "DELETE FROM state",
        "UPDATE state SET value = '[]'",
        "UPDATE state SET value = 'null'",
    ],
)
def test_any_row_of_its_catalogue(change: str, original: Path, place: Path, encoder: Encoder) -> None:
    folder = Path(shutil.copytree(original / "fp32", place / "gallery"))
    with sqlite3.connect(folder / "gallery.sqlite") as connection:
        connection.execute(change)
    use(folder, encoder)
