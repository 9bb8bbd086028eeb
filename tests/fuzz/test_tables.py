"""Captions in CSV and JSON lines, and data in Parquet, that were changed at random."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from leccr.data.loading import load_data
from leccr.data.options import PrepareOptions
from leccr.data.prepare import run_preparation
from leccr.gallery.sources import open_source
from processing.readers.metadata import Metadata
from processing.storage import read_column, write_rows
from processing.video import open_visual
from tests.tiny_data import ROWS, picture

from .changes import flipped, harmless

NAMES = ["file_name", "image", "video", "caption", "text", "caption_de", "caption_en", "split", "description", "\0"]
CELLS = ["", "a.png", "b.png", "../victim.txt", "/etc/passwd", "a.png/x", "\0", "train", "file:///x", '"', "C:\\x", "."]
names = st.one_of(st.sampled_from(NAMES), st.text(max_size=8))
cells = st.one_of(st.sampled_from(CELLS), st.text(max_size=12))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), cells),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)
several = examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def prepare(place: Path, name: str, content: bytes) -> None:
    """Read metadata line by line, and prepare a data set of the folder, with and without what is broken."""
    root = place / "photos"
    if not root.exists():
        root.mkdir()
        picture().save(root / "a.png")
        picture("blue").save(root / "b.png")
    for other in root.glob("metadata.*"):
        other.unlink()
    (root / name).write_bytes(content)
    harmless(lambda: [metadata[file] for metadata in [Metadata(root / name)] for file in metadata])
    for skip in (False, True):
        number = len(list(place.iterdir()))
        options = PrepareOptions(root=root, skip_broken=skip)
        harmless(run_preparation, "folder", place / f"data{number}", options)
    texts = [path.read_bytes() for path in place.glob("data*/*.parquet")]
    assert not any(b"root:" in text or b"mine" in text for text in texts)


@several
@given(st.lists(st.lists(cells, max_size=4), max_size=4), st.lists(names, max_size=4), st.sampled_from(",;\t"))
def test_any_csv(place: Path, lines: list[list[str]], header: list[str], comma: str) -> None:
    quoted = [comma.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in [header, *lines]]
    prepare(place, "metadata.csv", "\n".join(quoted).encode("utf-8", "surrogatepass"))


@several
@given(st.lists(st.one_of(values, st.dictionaries(names, values, max_size=4)), max_size=4))
def test_any_json_lines(place: Path, lines: list[Any]) -> None:
    prepare(place, "metadata.jsonl", "\n".join(map(json.dumps, lines)).encode())


@several
@given(st.binary(max_size=200), st.sampled_from(["metadata.csv", "metadata.jsonl"]))
def test_any_bytes(place: Path, content: bytes, name: str) -> None:
    prepare(place, name, content)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_captions_changed_anywhere(place: Path, name: str) -> None:
    text = 'file_name,caption,caption_de,split\na.png,A dog,Ein Hund,train\nb.png,"A, cat",Katze,test\n'
    if name.endswith("jsonl"):
        lines = [
            {"file_name": "a.png", "caption": ["A dog", "Two"]},
            {"file_name": "b.png", "caption": "x", "split": None},
        ]
        text = "\n".join(map(json.dumps, lines))
    for copy in flipped(text.encode(), 30):
        prepare(place, name, copy)


def use(folder: Path) -> None:
    """Open prepared data as commands do, and look at all of it."""

    def rows_of(splits: dict[str, Dataset]) -> None:
        for rows in splits.values():
            for row in rows:
                harmless(open_visual, row)

    loaded = harmless(lambda: load_data(str(folder)))
    if loaded:
        harmless(lambda: rows_of(loaded[0]))
    harmless(lambda: load_data(str(folder), skip_broken=True))
    harmless(lambda: read_column(folder, "id"))
    source = harmless(lambda: open_source(str(folder)))
    if source:
        harmless(lambda: source.read(0, source.count))


def test_parquet_changed_anywhere(place: Path) -> None:
    whole = place / "whole"
    write_rows(whole, "train", ROWS)
    (shard,) = whole.iterdir()
    content = shard.read_bytes()
    for number, copy in enumerate(flipped(content, 20)):
        folder = place / str(number)
        folder.mkdir()
        (folder / shard.name).write_bytes(copy)
        use(folder)


def test_parquet_whose_footer_was_changed(place: Path) -> None:
    whole = place / "whole"
    write_rows(whole, "train", ROWS)
    (shard,) = whole.iterdir()
    content = shard.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    start = len(content) - 8 - length
    for number, footer in enumerate(flipped(content[start:-8], 30)):
        folder = place / str(number)
        folder.mkdir()
        ending = len(footer).to_bytes(4, "little") + b"PAR1"
        (folder / shard.name).write_bytes(content[:start] + footer + ending)
        use(folder)
