from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from datasets import load_dataset
from PIL import Image as PillowImage

from processing.generation.write_back import copy_data, rewrite_column
from processing.storage import read_splits, write_rows


def row(number: int) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "image": None if number == 3 else PillowImage.new("RGB", (3 + number, 3)),
        "source_language": "en",
        "source_captions": [f"Picture {number}."],
        "target_captions": [],
        "description": "old" if number % 2 else None,
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_rows(folder, "train", map(row, range(7)), rows_per_shard=3)
    write_rows(folder, "test", map(row, range(7, 9)))
    (folder / "README.md").write_text("A card.")
    return folder


def test_only_the_column_changes(data: Path) -> None:
    before = {path.name: parquet.read_table(path) for path in data.glob("*.parquet")}
    seen = []

    def value(row: dict[str, Any]) -> str | None:
        seen.append(row)
        return None if row["id"] == "p1" else f"{row['id']} {row['description']}"

    rewrite_column(data, "description", ["id", "description"], value)
    assert sorted(before) == sorted(path.name for path in data.iterdir() if path.name != "README.md")
    for name, table in before.items():
        after = parquet.read_table(data / name)
        assert after.schema.equals(table.schema, check_metadata=True)
        assert after.drop(["description"]).equals(table.drop(["description"]))
    splits = read_splits(data)
    assert splits["train"]["description"][:3] == ["p0 None", None, "p2 None"]
    assert splits["test"]["description"][:] == ["p7 old", "p8 None"]
    assert all(set(found) == {"id", "description"} for found in seen)


def test_nested_values(data: Path) -> None:
    caption = {"language": "de", "text": "Bild", "source_number": 0, "origin": "machine:x", "weight": 0.5}
    rewrite_column(data, "target_captions", ["id"], lambda row: [caption] if row["id"] == "p2" else [])
    assert [len(captions) for captions in read_splits(data)["train"]["target_captions"]] == [0, 0, 1, 0, 0, 0, 0]
    assert read_splits(data)["train"][2]["target_captions"] == [caption]


def test_a_failure_changes_nothing(data: Path) -> None:
    before = {path.name: path.read_bytes() for path in data.iterdir()}

    def fail(row: dict[str, Any]) -> str:
        if row["id"] == "p8":
            raise RuntimeError
        return "new"

    with pytest.raises(RuntimeError):
        rewrite_column(data, "description", ["id"], fail)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


def test_a_missing_column_is_named(data: Path) -> None:
    with pytest.raises(ValueError, match="has no column descriptions"):
        rewrite_column(data, "descriptions", ["id"], lambda row: None)


def test_pictures_can_still_be_decoded(data: Path) -> None:
    rewrite_column(data, "description", ["id"], lambda row: "new")
    rows = load_dataset("parquet", data_files=[str(data / "test-00000-of-00001.parquet")])["train"]
    assert [picture.size for picture in rows["image"]] == [(10, 3), (11, 3)]


def test_copying_takes_everything_and_leaves_what_is_there(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy_data(data, copy)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == {
        path.name: path.read_bytes() for path in data.iterdir()
    }
    (copy / "README.md").write_text("Another card.")
    rewrite_column(copy, "description", ["id"], lambda row: "new")
    copy_data(data, copy)
    assert (copy / "README.md").read_text() == "Another card."
    assert read_splits(copy)["test"]["description"][:] == ["new", "new"]
    with pytest.raises(FileNotFoundError):
        copy_data(tmp_path / "nowhere", copy)


def test_links_that_lead_out_of_the_folder_are_not_copied(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (data / "notes.txt").symlink_to(tmp_path / "secret.txt")
    (data / "own.txt").write_text("own")
    (data / "alias.txt").symlink_to("own.txt")
    copy_data(data, tmp_path / "copy")
    assert not (tmp_path / "copy" / "notes.txt").exists()
    assert (tmp_path / "copy" / "alias.txt").read_text() == "own"
    said = "".join(capsys.readouterr())
    assert "Left out: notes.txt" in said and "secret.txt" not in said


def test_a_copy_is_not_written_through_links(data: Path, tmp_path: Path) -> None:
    victim = tmp_path / "precious"
    victim.write_text("precious")
    (tmp_path / "copy").mkdir()
    for shard in data.glob("*.parquet"):
        (tmp_path / "copy" / f".{shard.stem}.part.parquet").symlink_to(victim)
    copy_data(data, tmp_path / "copy")
    assert victim.read_text() == "precious"
