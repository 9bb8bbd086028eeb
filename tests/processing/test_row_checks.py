from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from leccr.data.training_data import open_training_data
from leccr.gallery.sources import open_source
from processing.errors import UserError
from processing.schema import ROW_FEATURES
from processing.storage import read_splits
from tests.tiny_data import recipe

ROW: dict[str, Any] = {
    "id": "a",
    "image": None,
    "video": None,
    "source_language": "en",
    "source_captions": ["A."],
    "target_captions": [{"language": "de", "text": "Ein A.", "source_number": 0, "origin": "human", "weight": None}],
    "description": None,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def read(tmp_path: Path, table: pa.Table) -> Any:
    parquet.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    return read_splits(tmp_path)["train"]


def rows(**fields: Any) -> pa.Table:
    return pa.Table.from_pylist([ROW, {**ROW, **fields}], schema=ROW_FEATURES.arrow_schema)


def test_whole_rows(tmp_path: Path) -> None:
    assert len(read(tmp_path, rows(id="b", target_captions=None))) == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"id": None}, r"id \(value 1"),
        ({"source_language": None}, r"source_language \(value 1"),
        ({"source_captions": None}, r"source_captions \(value 1"),
        ({"source_captions": ["A.", None]}, r"source_captions \(a value"),
        ({"target_captions": [None]}, r"target_captions \(a value"),
        ({"target_captions": [{"language": "de", "text": None, "origin": "human"}]}, r"target_captions\.text"),
        ({"target_captions": [{"language": None, "text": "A.", "origin": "human"}]}, r"target_captions\.language"),
    ],
)
def test_what_is_null_is_named(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=f"train-00000-of-00001.parquet has a null as {said}"):
        read(tmp_path, rows(**fields))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("id", [1, 2]),
        ("id", [b"a", b"b"]),
        ("source_captions", ["A.", "B."]),
        ("source_captions", [[1], [2]]),
        ("target_captions", [["A."], ["B."]]),
        ("description", [1.5, 2.5]),
        ("video", [[1], [2]]),
        ("video", [b"a.mp4", b"b.mp4"]),
        ("source_language", [1, 2]),
        ("description", [["A."], ["B."]]),
        ("target_captions", [[{"language": "de", "text": 7}]] * 2),
        ("target_captions", [{"language": "de", "text": "A."}] * 2),
        ("source_captions", [True, False]),
    ],
)
def test_wrong_types_are_named(tmp_path: Path, column: str, values: list[Any]) -> None:
    table = rows(id="b")
    table = table.set_column(table.schema.get_field_index(column), column, pa.array(values))
    with pytest.raises(UserError, match=f"has the column {column} as"):
        read(tmp_path, table)


@pytest.mark.parametrize("values", [[1, 2], [1.5, 2.5], [True, False], [[1], [2]], [{"a": 1}, {"a": 2}]])
def test_pictures_that_are_none_are_named(tmp_path: Path, values: list[Any]) -> None:
    table = rows(id="b")
    table = table.set_column(table.schema.get_field_index("image"), "image", pa.array(values))
    with pytest.raises(UserError, match="The column image holds .*, which are not pictures"):
        read(tmp_path, table)


def test_a_table_without_rows(tmp_path: Path) -> None:
    assert len(read(tmp_path, rows(id="b").slice(0, 0))) == 0
    with pytest.raises(UserError, match="has no rows to index"):
        open_source(str(tmp_path))
    with pytest.raises(UserError, match="The data have no rows in a train split"):
        open_training_data(recipe(data=str(tmp_path)))


@pytest.mark.parametrize("table", [pa.table({}), pa.table({"caption": ["A."]}), pa.table({"ID": ["a"]})])
def test_a_table_without_ids(tmp_path: Path, table: pa.Table) -> None:
    with pytest.raises(UserError, match="has no column id"):
        read(tmp_path, table)
