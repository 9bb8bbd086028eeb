"""What holds for any content of caption files: they are read, or refused with a reason that names the file."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processing.errors import UserError
from processing.readers.files import clean, read_caption_lines, read_ids, read_json
from processing.readers.metadata import Metadata

# Characters that file formats give a meaning to are likely, and all others possible.
TEXT = st.text(
    st.one_of(st.sampled_from(",;\t\"'\\\n\r{}[]:#0a \ufeff\x00\u2028"), st.characters(exclude_categories=["Cs"]))
)
CONTENT = st.one_of(st.binary(max_size=40), TEXT.map(str.encode))
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captions")


def read_or_refuse(read: Callable[[Path], Any], path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        read(path)
    except UserError as error:
        assert str(path) in str(error)


def all_lines(path: Path) -> list[Any]:
    metadata = Metadata(path)
    return [metadata[file] for file in metadata]


@given(content=CONTENT)
@example(content=b"file_name,caption\na\rb,c")
@example(content=b"file_name,caption\na.jpg," + b"x" * 200_000)
@example(content=b"file_name\n\x00.jpg")
def test_metadata_csv(folder: Path, content: bytes) -> None:
    read_or_refuse(all_lines, folder / "metadata.csv", content)


@given(content=CONTENT)
@example(content=b"[" * 100_000)
@example(content=b'{"file_name": ' + b"9" * 5000 + b"}")
def test_metadata_jsonl(folder: Path, content: bytes) -> None:
    read_or_refuse(all_lines, folder / "metadata.jsonl", content)
    read_or_refuse(read_json, folder / "metadata.json", content)


@given(content=CONTENT)
@example(content=b"a#" + b"9" * 5000 + b" text")
@example(content="a#\u0663 text".encode())
def test_caption_lines(folder: Path, content: bytes) -> None:
    read_or_refuse(lambda path: list(read_caption_lines(path, [])), folder / "captions.txt", content)
    read_or_refuse(lambda path: read_ids(path, []), folder / "train_id.txt", content)


@given(content=CONTENT)
@example(content=b"\x1f\x8b\x08\x00")
def test_packed_lines(folder: Path, content: bytes) -> None:
    read_or_refuse(lambda path: read_ids(path, []), folder / "train.en.gz", content)


@given(
    rows=st.lists(st.tuples(st.sampled_from(["a.jpg", "b c.jpg"]), CELLS), max_size=5),
    delimiter=st.sampled_from(",;\t"),
)
def test_what_csv_writes_is_read(folder: Path, rows: list[tuple[str, str]], delimiter: str) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter).writerows([("file_name", "caption"), *rows])
    path = folder / "metadata.csv"
    path.write_bytes(stream.getvalue().encode())
    metadata = Metadata(path)
    for file in metadata:
        assert [line["caption"] for line in metadata[file]] == [caption for name, caption in rows if name == file]


@given(rows=st.lists(st.tuples(st.sampled_from(["a.jpg", "b c.jpg"]), st.text(max_size=12)), max_size=5))
def test_what_json_writes_is_read(folder: Path, rows: list[tuple[str, str]]) -> None:
    path = folder / "metadata.jsonl"
    path.write_text("".join(json.dumps({"file_name": name, "caption": text}) + "\n" for name, text in rows))
    metadata = Metadata(path)
    for file in metadata:
        assert [line["caption"] for line in metadata[file]] == [caption for name, caption in rows if name == file]


@given(TEXT)
def test_cleaning_again_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert "\n" not in clean(text) and clean(text) == clean(text).strip()
