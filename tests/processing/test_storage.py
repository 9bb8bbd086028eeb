import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Array3D, Dataset, Features, Image, Value, load_dataset
from PIL import Image as PillowImage
from pyarrow import parquet

from processing.errors import UserError
from processing.images import open_image
from processing.schema import ROW_FEATURES
from processing.storage import ROWS_PER_GROUP, find_shards, read_column, read_splits, write_rows


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def picture(folder: Path, number: int) -> Path:
    path = folder / f"{number}.jpg"
    PillowImage.new("RGB", (4, 3), (number % 256, 0, 0)).save(path, quality=90)
    return path


def row(number: int, image: Any = None) -> dict[str, Any]:
    return {
        "id": f"row {number}",
        "image": image,
        "video": None,
        "source_language": "en",
        "source_captions": [f"caption {number}", "更多"],
        "target_captions": [
            {"language": "de", "text": "Bild", "source_number": 1, "origin": "machine:x", "weight": 0.5},
            {"language": "zh", "text": "图", "source_number": None, "origin": "human", "weight": None},
        ],
        "description": None if number % 2 else "A picture.",
    }


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    paths = [picture(tmp_path, number) for number in range(5)]
    rows = [row(number, {"path": str(path), "bytes": None}) for number, path in enumerate(paths)]
    folder = tmp_path / "data"
    assert write_rows(folder, "train", rows) == 5
    read = read_splits(folder)["train"]
    assert read.features == {**ROW_FEATURES, "image": Image(decode=False)}
    for original, path, stored in zip(rows, paths, read, strict=True):
        # The bytes of the file itself, not of a picture that was encoded again.
        assert stored.pop("image") == {"path": path.name, "bytes": path.read_bytes()}
        assert stored == {name: value for name, value in original.items() if name != "image"}


@pytest.mark.parametrize(("count", "shards"), [(0, [0]), (3, [3]), (4, [4]), (5, [4, 1]), (9, [4, 4, 1])])
def test_rows_are_cut_into_shards(tmp_path: Path, count: int, shards: list[int]) -> None:
    assert write_rows(tmp_path, "train", map(row, range(count)), rows_per_shard=4) == count
    found = find_shards(tmp_path)["train"]
    expected = [f"train-{number:05d}-of-{len(shards):05d}.parquet" for number in range(len(shards))]
    assert [path.name for path in found] == expected
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == expected
    assert read_column(tmp_path, "id") == {"train": [f"row {number}" for number in range(count)]}
    assert len(read_splits(tmp_path)["train"]) == count


def test_an_empty_split_keeps_its_columns(tmp_path: Path) -> None:
    write_rows(tmp_path, "test", [])
    assert read_splits(tmp_path)["test"].features == {**ROW_FEATURES, "image": Image(decode=False)}


def test_only_one_group_of_rows_is_held(tmp_path: Path) -> None:
    """The writer must not ask for row n + a group before it has written row n."""
    written_before: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in range(5 * ROWS_PER_GROUP):
            written_before.append(sum(path.stat().st_size for path in tmp_path.glob(".train-*")))
            yield row(number, {"path": f"{number}.jpg", "bytes": bytes([number % 256]) * 5000})

    write_rows(tmp_path, "train", rows())
    # Embedded bytes compress well here, so that only growth at each group can be asked for.
    assert all(
        later > earlier
        for earlier, later in zip(written_before[::ROWS_PER_GROUP], written_before[ROWS_PER_GROUP::ROWS_PER_GROUP])
    )


def test_referenced_images_are_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    write_rows(
        tmp_path / "data", "train", [row(0, "1.jpg"), row(1, {"path": "x", "bytes": b"abc"})], embed_images=False
    )
    read = read_splits(tmp_path / "data")["train"]
    assert read[0]["image"] == {"path": str(path), "bytes": None}
    assert read[1]["image"] == {"path": "x", "bytes": b"abc"}


def test_videos_are_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data", "train", [{"id": "a", "video": "clips/a.mp4"}, {"id": "b", "video": None}])
    assert list(read_splits(tmp_path / "data")["train"]["video"]) == [str(tmp_path / "clips" / "a.mp4"), None]


def test_pillow_pictures_and_missing_columns(tmp_path: Path) -> None:
    write_rows(tmp_path, "train", [{"id": "a", "image": PillowImage.new("RGB", (4, 3))}, {"id": "b"}])
    read = read_splits(tmp_path)["train"]
    assert read[0]["image"]["bytes"].startswith(b"\x89PNG")
    assert read[1] == {**dict.fromkeys(ROW_FEATURES), "id": "b"}


def test_more_columns(tmp_path: Path) -> None:
    features = {**ROW_FEATURES, "score": Value("float32")}
    write_rows(tmp_path, "train", [{**row(0), "score": 0.5}], features=type(ROW_FEATURES)(features))
    assert read_splits(tmp_path)["train"][0]["score"] == 0.5


def test_a_data_set_is_what_the_hub_expects(tmp_path: Path) -> None:
    """Without this project, `datasets` finds the splits and decodes the pictures."""
    write_rows(tmp_path / "data", "train", [row(0, str(picture(tmp_path, 7)))])
    write_rows(tmp_path / "data", "test", [row(1, str(picture(tmp_path, 8)))])
    loaded = load_dataset(str(tmp_path / "data"))
    assert loaded["train"].features == ROW_FEATURES
    assert loaded["test"][0]["image"].size == (4, 3)


def test_a_missing_image_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="image of row 'row 1' does not exist: .*gone.jpg"):
        write_rows(tmp_path, "train", [row(0), row(1, str(tmp_path / "gone.jpg"))])
    assert list(tmp_path.iterdir()) == []


def test_writing_again_replaces_all_shards_of_the_split(tmp_path: Path) -> None:
    write_rows(tmp_path, "train", map(row, range(9)), rows_per_shard=4)
    write_rows(tmp_path, "test", [row(0)])
    write_rows(tmp_path, "train", map(row, range(2)), rows_per_shard=4)
    assert {split: len(ids) for split, ids in read_column(tmp_path, "id").items()} == {"train": 2, "test": 1}


def test_splits_come_in_order(tmp_path: Path) -> None:
    for split in ("test_1k", "gallery", "test", "validation", "train"):
        write_rows(tmp_path, split, [row(0)])
    assert list(read_splits(tmp_path)) == ["train", "validation", "test", "gallery", "test_1k"]


def test_folders_without_whole_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no data folder"):
        read_splits(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match="holds no prepared data"):
        read_splits(tmp_path)
    write_rows(tmp_path, "train", map(row, range(9)), rows_per_shard=4)
    shard = tmp_path / "train-00001-of-00003.parquet"
    content = shard.read_bytes()
    shard.unlink()
    with pytest.raises(FileNotFoundError, match="lacks train-00001-of-00003.parquet"):
        read_splits(tmp_path)
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="train-00001-of-00003.parquet is not a complete Parquet file"):
        read_splits(tmp_path)


def test_split_names_that_are_no_file_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be named '../train'"):
        write_rows(tmp_path, "../train", [])


def test_shards_are_not_written_through_links(tmp_path: Path) -> None:
    victim = tmp_path / "precious"
    victim.write_text("precious")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / ".train-00000.part.parquet").symlink_to(victim)
    (folder / "train-00000-of-00001.parquet").symlink_to(victim)
    write_rows(folder, "train", [row(0)])
    assert victim.read_text() == "precious"
    assert len(read_splits(folder)["train"]) == 1


PIXELS = np.full((6, 8, 3), 200, dtype=np.uint8)


def png(pixels: np.ndarray = PIXELS) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


class TestOtherImageColumns:
    """Data sets that other programs wrote hold pictures in other ways."""

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([png()]),
            pa.array([png()], pa.large_binary()),
            pa.array([PIXELS.tolist()]),
            pa.array([PIXELS.tolist()], pa.list_(pa.list_(pa.list_(pa.uint8())))),
            pa.array([{"bytes": png()}]),
        ],
        ids=["bytes", "large bytes", "numbers", "8-bit numbers", "record"],
    )
    def test_they_are_read(self, column: pa.Array, tmp_path: Path) -> None:
        parquet.write_table(pa.table({"id": ["a"], "image": column}), tmp_path / "train-00000-of-00001.parquet")
        [row] = read_splits(tmp_path)["train"]
        assert np.array_equal(np.asarray(open_image(row["image"], "a")), PIXELS)

    def test_an_array_of_datasets(self, tmp_path: Path) -> None:
        features = Features({"id": Value("string"), "image": Array3D((6, 8, 3), "uint8")})
        rows = Dataset.from_dict({"id": ["a"], "image": [PIXELS]}, features=features)
        rows.to_parquet(tmp_path / "train-00000-of-00001.parquet")
        [row] = read_splits(tmp_path)["train"]
        assert np.array_equal(np.asarray(open_image(row["image"], "a")), PIXELS)

    @pytest.mark.parametrize(
        "column",
        [
            pa.array([(PIXELS / 255).tolist()]),
            pa.array([[77, 77, 77]]),
            pa.array([7777]),
            pa.array([{"data": b"SECRET"}]),
            pa.array([["SECRET"]]),
        ],
        ids=["floats", "a list", "a number", "another record", "texts"],
    )
    def test_what_is_no_picture_is_refused_without_its_content(self, column: pa.Array, tmp_path: Path) -> None:
        parquet.write_table(pa.table({"id": ["a"], "image": column}), tmp_path / "train-00000-of-00001.parquet")
        with pytest.raises(UserError, match="The column image holds .*, which are not pictures; store") as refused:
            read_splits(tmp_path)
        assert not any(content in str(refused.value) for content in ("SECRET", "77", "0.78"))
