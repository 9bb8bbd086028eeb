"""Parquet files of a few kilobytes that stand for gigabytes are refused before they are decoded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from processing.errors import UserError
from processing.parquet_guard import check_parquet
from processing.storage import read_column, read_splits, write_rows

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
MIB = 2**20


def write(path: Path, columns: dict[str, Any], **options: Any) -> None:
    parquet.write_table(pa.table(columns), path, **{"compression": "zstd", **options})


def one_cell(path: Path) -> None:
    write(path, {"id": ["a"], "image": pa.array([{"bytes": bytes(9 * MIB), "path": None}], type=IMAGE)})


def zipped_cells(path: Path) -> None:
    cells = [{"bytes": bytes(MIB), "path": None}] * 7
    write(path, {"id": list("abcdefg"), "image": pa.array(cells, type=IMAGE)}, compression="gzip")


def dictionary(path: Path) -> None:
    texts = pa.array(["x" * 2**17]).take(pa.array([0] * 500))
    write(path, {"id": [str(n) for n in range(500)], "description": texts}, dictionary_pagesize_limit=2**30)


def prefixes(path: Path) -> None:
    texts = pa.array(["x" * 2**17]).take(pa.array([0] * 500))
    options = {"use_dictionary": False, "column_encoding": {"description": "DELTA_BYTE_ARRAY"}}
    write(path, {"description": texts}, **options)


def empty_values(path: Path) -> None:
    lists = pa.ListArray.from_arrays([0, 500_000], pa.nulls(500_000, pa.string()))
    write(path, {"id": ["a"], "source_captions": lists})


def rows_of_nothing(path: Path) -> None:
    write(path, {"description": pa.nulls(500_000, pa.string())}, row_group_size=2**30)


BOMBS: dict[str, Callable[[Path], None]] = {
    "one cell": one_cell,
    "zipped cells": zipped_cells,
    "a dictionary": dictionary,
    "common prefixes": prefixes,
    "a list of nulls": empty_values,
    "rows of nulls": rows_of_nothing,
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a 64th of the real ones, so that the tests themselves need little memory."""
    limits = {"MOST_CELL": 8 * MIB, "MOST_GROUP": 32 * MIB, "UNSUSPECTED": 4 * MIB, "MOST_VALUES": 300_000}
    for name, limit in limits.items():
        monkeypatch.setattr(f"processing.parquet_guard.{name}", limit)


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.usefixtures("small")
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    BOMBS[name](path)
    assert path.stat().st_size < MIB
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(UserError, match=r"train-00000-of-00001.parquet has .* does not fit into the memory"):
        read_splits(tmp_path)
    assert pa.default_memory_pool().max_memory() <= max(before, 80 * MIB)


@pytest.mark.usefixtures("small")
def test_sizes_in_the_footer_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    cells = pa.array([{"bytes": bytes(9 * MIB), "path": None}], type=IMAGE)
    write(path, {"image": cells})
    column = parquet.read_metadata(path).row_group(0).column(0)
    true, lie = (_varint(2 * size) for size in (column.total_uncompressed_size, 5 * MIB))
    content = path.read_bytes()
    assert len(true) == len(lie)
    # In the footer, behind all pages.
    cut = content.rindex(b"PAR1") - 4 - int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[:cut] + content[cut:].replace(true, lie))
    assert parquet.read_metadata(path).row_group(0).column(0).total_uncompressed_size < 6 * MIB
    with pytest.raises(UserError, match="does not fit into the memory"):
        check_parquet(path)


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_ordinary_files_pass(tmp_path: Path, compression: str, version: str) -> None:
    rows = 5000
    columns = {
        "id": [str(n) for n in range(rows)],
        "captions": [[f"caption {n}", "again"] for n in range(rows)],
        "image": pa.array([{"bytes": n.to_bytes(4) * 99, "path": None} for n in range(rows)], type=IMAGE),
        "description": ["always the same description of something"] * rows,
    }
    write(tmp_path / "a.parquet", columns, compression=compression, data_page_version=version, row_group_size=1000)
    assert check_parquet(tmp_path / "a.parquet").num_rows == rows
    parquet.write_table(pa.table({"id": pa.array([], pa.string())}), tmp_path / "b.parquet")
    assert check_parquet(tmp_path / "b.parquet").num_rows == 0


def test_our_own_data_pass(tmp_path: Path) -> None:
    row = {
        "source_language": "en",
        "source_captions": ["A.", "B."],
        "target_captions": [],
        "description": "Long. " * 99,
    }
    write_rows(tmp_path, "train", [{"id": str(n), **row} for n in range(250)], rows_per_shard=99)
    assert read_column(tmp_path, "id")["train"][0] == "0"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 9, b"text", bytes(999)])
def test_what_is_no_parquet_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(UserError, match="not a complete Parquet file"):
        check_parquet(tmp_path / "a.parquet")
