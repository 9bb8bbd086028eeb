import io
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from torch.utils.data import DataLoader

from processing.errors import UserError
from processing.images import open_image
from processing.storage import read_splits, write_rows
from processing.streaming import StreamedRows, open_shards
from tests.tiny_data import picture, row, target

ALL = re.compile(r"train-.+")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    # Three files, of which the first two have two groups of rows.
    rows = (row(f"{number}", ["de"], captions=1, image=picture(size=(4, 4))) for number in range(250))
    write_rows(folder, "train", rows, rows_per_shard=120)
    return folder


@pytest.fixture
def remote(folder: Path) -> Iterator[str]:
    files = fsspec.filesystem("memory")
    for path in folder.glob("train-*"):
        files.pipe_file(f"/set/{path.name}", path.read_bytes())
    yield "memory://set"
    files.rm("/set", recursive=True)


def stream(data: str | Path) -> StreamedRows:
    return StreamedRows(open_shards(str(data), ALL), str(data) if isinstance(data, Path) else None)


def names(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def test_rows_are_those_of_the_data_set(folder: Path, remote: str) -> None:
    expected = list(read_splits(folder)["train"])
    for data in (folder, remote):
        rows = stream(data)
        assert len(rows) == 250
        assert list(rows) == expected
        assert [rows[0], rows[130], rows[-1]] == [expected[0], expected[130], expected[-1]]
        assert rows.has("image") and not rows.has("video") and not rows.has("visual_features")
    with pytest.raises(IndexError, match="There is no row 250 of 250"):
        rows[250]


def test_columns_and_rows_are_chosen(folder: Path) -> None:
    rows = stream(folder).where(lambda row: int(row["id"]) >= 110, ["id"]).where(lambda row: row["id"] != "200", ["id"])
    kept = [str(number) for number in range(110, 250) if number != 200]
    assert len(rows) == 139 and names(list(rows)) == kept
    assert rows.select_columns(["source_captions"])[0] == {"source_captions": ["en 110 0"]}
    assert sorted(names(rows.shuffled(8, 2, 50, seed=0).__getitems__(range(139)))) == sorted(kept)


@pytest.mark.parametrize("workers", [0, 3])
def test_workers_show_every_row_once_in_the_order_of_the_epoch(folder: Path, workers: int) -> None:
    rows = stream(folder).select_columns(["id"]).shuffled(8, max(1, workers), 50, seed=3)
    epochs = []
    for epoch in (0, 1):
        rows.set_epoch(epoch)
        loader = DataLoader(rows, batch_size=8, num_workers=workers, collate_fn=names)
        epochs.append([name for batch in loader for name in batch])
        assert sorted(epochs[-1]) == sorted(str(number) for number in range(250))
        # Any position is known without what comes before it.
        assert names([rows[100]]) == epochs[-1][100:101]
    assert epochs[0] != epochs[1]


def test_no_more_than_two_windows_are_in_memory(folder: Path) -> None:
    rows = stream(folder).select_columns(["id"]).shuffled(8, 1, 100, seed=0)
    for position in range(250):
        rows[position]
        assert len(rows._windows) <= 2


def test_rows_of_elsewhere_name_no_files_of_this_machine(tmp_path: Path) -> None:
    picture().save(tmp_path / "private.png")
    write_rows(tmp_path / "data", "train", [row("a", image=str(tmp_path / "private.png"))], embed_images=False)
    # Written here, so that they may.
    assert stream(tmp_path / "data")[0]["image"]["path"] == str(tmp_path / "private.png")
    files = fsspec.filesystem("memory")
    [path] = (tmp_path / "data").glob("train-*")
    files.pipe_file(f"/other/{path.name}", path.read_bytes())
    with pytest.raises(UserError, match="Row 'a' of memory://other/train-00000-of-00001.parquet refers to .*private"):
        stream("memory://other")[0]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"id": [None, "b"]}, "has a null as id"),
        ({"id": [1, 2]}, "has the column id as int64"),
        ({"name": ["a"]}, "has no column id"),
        ({"id": ["a"], "source_captions": [[None]], "source_language": ["en"]}, "has a null as source_captions"),
    ],
)
def test_rows_are_checked_as_ever(table: dict[str, Any], words: str, tmp_path: Path) -> None:
    parquet.write_table(pa.table(table), tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(UserError, match=words):
        list(stream(tmp_path))


def test_damaged_files_are_told(folder: Path, tmp_path: Path) -> None:
    [path, *_] = sorted(folder.glob("train-*"))
    content = path.read_bytes()
    for name, damaged in (("cut", content[:-100]), ("hole", content[:200] + b"\xff" * 3000 + content[3200:])):
        (tmp_path / name).mkdir()
        (tmp_path / name / path.name).write_bytes(damaged)
        with pytest.raises(UserError, match=f"{path.name} is not a complete Parquet file"):
            list(stream(tmp_path / name))


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    picture(colour, (5, 4)).save(buffer, "png")
    return buffer.getvalue()


def write_tar(path: Path, samples: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_tars_of_webdataset(tmp_path: Path) -> None:
    columns = {"source_captions": ["a dog"], "target_captions": [target("de", "ein Hund", 0)], "description": "Dogs."}
    samples = {}
    for number in range(230):
        # What JSON says of pictures could name any file of this machine.
        own = {**columns, "image": "/etc/passwd", "video": "/etc/passwd", "id": f"row {number}"}
        samples |= {f"a/{number}.png": png("red"), f"a/{number}.json": json.dumps(own).encode()}
    write_tar(tmp_path / "train-0.tar", samples)
    write_tar(tmp_path / "train-1.tar", {"x.y.txt": b"a cat\n", "z.txt": b"a cow", "z.jpg.png": png("blue")})
    rows = stream(tmp_path)
    assert len(rows) == 232
    found = list(rows)
    assert names(found) == [*(f"row {number}" for number in range(230)), "x", "z"]
    assert found[229]["target_captions"] == columns["target_captions"] and found[229]["source_language"] == "en"
    assert open_image(rows[150]["image"]).size == (5, 4)
    assert rows[231]["source_captions"] == ["a cow"] and rows[230]["image"] is None
    assert rows.has("image") and not rows.has("video")
    assert rows.select_columns(["description"])[3] == {"description": "Dogs."}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a.json": b"{"}, "Row 'a' of .*train-0.tar has a .json or .txt that cannot be read"),
        ({"a.json": b"[1]"}, "has a .json that is no object"),
        ({"a.json": b'{"source_captions": "a dog"}'}, "has the column source_captions as string"),
        ({"a.json": b'{"description": "x"}', "b.json": b'{"description": 7}'}, "has a column of another type"),
        ({"a.json": b'{"source_captions": [null]}'}, "has a null as source_captions"),
        (b"no tar" * 1000, "is not a complete tar file"),
    ],
)
def test_tars_with_anything_else(content: dict[str, bytes] | bytes, words: str, tmp_path: Path) -> None:
    if isinstance(content, bytes):
        (tmp_path / "train-0.tar").write_bytes(content)
    else:
        write_tar(tmp_path / "train-0.tar", content)
    with pytest.raises(UserError, match=words):
        list(stream(tmp_path))
