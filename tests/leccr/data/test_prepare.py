from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from leccr.data.options import PrepareOptions
from leccr.data.prepare import run_preparation
from leccr.errors import UserError
from processing.features import FeatureFile
from processing.storage import read_splits
from processing.writing import part_path
from tests.odd_pictures import ODD_ENTRIES, ORIENTATION, SHORT, corners, encoded, exif, short
from tests.processing.readers.layout import write


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photos with English captions, half of them with German ones; the last photo is broken."""
    root = tmp_path / "photos"
    splits = ["train", "train", "train", "validation", "test", "train"]
    lines = [
        f"{number}.png,{split},Photo {number}.,{'Foto.' if number % 2 else ''}" for number, split in enumerate(splits)
    ]
    write(root, {"metadata.csv": "file_name,split,caption,caption_de\n" + "\n".join(lines)})
    for number in range(5):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(root / f"{number}.png")
    write(root, {"5.png": b"\x89PNG but no more"})
    return root


def prepare(root: Path, output: Path, **options: Any) -> None:
    run_preparation("folder", output, PrepareOptions(root=root, **options))


def test_rows_images_card_and_table(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = run_preparation("folder", tmp_path / "data", PrepareOptions(root=photos))
    table = (
        "| split      | images | source en | de human | descriptions |\n"
        "| ---------- | -----: | --------: | -------: | -----------: |\n"
        "| train      |      4 |         4 |        2 |            0 |\n"
        "| validation |      1 |         1 |        1 |            0 |\n"
        "| test       |      1 |         1 |        0 |            0 |\n"
    )
    assert capsys.readouterr().out == f"{table}The data set is in {tmp_path / 'data'}.\n"
    read = read_splits(tmp_path / "data")
    assert {split: len(rows) for split, rows in read.items()} == {"train": 4, "validation": 1, "test": 1}
    assert read["test"][0]["image"] == {"path": "4.png", "bytes": (photos / "4.png").read_bytes()}
    assert counts["train"].target_captions == {"de": {"human": 2}}
    card = DatasetCard.load(tmp_path / "data" / "README.md")
    assert card.data.to_dict()["language"] == ["en", "de"]
    assert table in card.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "photos"]


def test_referenced_images(photos: Path, tmp_path: Path) -> None:
    prepare(photos, tmp_path / "data", embed_images=False)
    assert read_splits(tmp_path / "data")["test"][0]["image"] == {"path": str(photos / "4.png"), "bytes": None}


def test_broken_images_can_be_left_out(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(photos, tmp_path / "data", skip_broken=True)
    assert len(read_splits(tmp_path / "data")["train"]) == 3
    said = capsys.readouterr().out
    assert "Note: train: left out 1 rows whose image or video cannot be decoded: 5.png.\n" in said
    assert "cannot be decoded" in (tmp_path / "data" / "README.md").read_text()


def test_odd_ones_are_kept(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = exif([(ORIENTATION, SHORT, 1, short(6)), ODD_ENTRIES["resolution as text"]])
    (photos / "1.png").write_bytes(encoded(corners(), exif=data))
    prepare(photos, tmp_path / "data", skip_broken=True)
    assert len(read_splits(tmp_path / "data")["train"]) == 3


def test_missing_images(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "1.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 of 6 images"):
        prepare(photos, tmp_path / "data")
    assert not (tmp_path / "data").exists()
    prepare(photos, tmp_path / "data", allow_missing=True)
    assert "Note: train: left out 1 rows whose image or video is missing.\n" in capsys.readouterr().out


def test_training_without_captions_by_people(photos: Path, tmp_path: Path) -> None:
    prepare(photos, tmp_path / "data", machine_only=True)
    read = read_splits(tmp_path / "data")
    assert [len(row["target_captions"]) for row in read["train"]] == [0, 0, 0, 0]
    assert len(read["validation"][0]["target_captions"]) == 1
    assert "--machine-only" in (tmp_path / "data" / "README.md").read_text()


def test_training_images_without_a_caption_are_counted(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(photos, {"metadata.csv": "file_name,split,caption\n0.png,train,x\n1.png,train,\n2.png,test,\n"})
    prepare(photos, tmp_path / "data")
    assert "Note: train: 1 rows have no source caption, which training needs.\n" in capsys.readouterr().out


def test_a_folder_with_files_is_not_touched(photos: Path, tmp_path: Path) -> None:
    write(tmp_path, {"data/mine.txt": "x"})
    with pytest.raises(UserError, match="data is not empty"):
        prepare(photos, tmp_path / "data")
    assert (tmp_path / "data" / "mine.txt").read_text() == "x"


def test_an_empty_folder_is_filled(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    prepare(photos, tmp_path / "data")
    assert len(read_splits(tmp_path / "data")) == 3


def test_nothing_half_written_stays(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"{part_path(Path('data'))}/of_an_earlier_run": "x"})
    from processing.storage import write_rows

    def fail_on_test(folder: Path, split: str, rows: Any, **options: Any) -> int:
        if split == "test":
            raise OSError("No space left on device")
        return write_rows(folder, split, rows, **options)

    monkeypatch.setattr("leccr.data.prepare.write_rows", fail_on_test)
    with pytest.raises(OSError, match="No space left"):
        prepare(photos, tmp_path / "data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_data_sets_that_share_images(photos: Path, tmp_path: Path) -> None:
    prepare(photos, tmp_path / "first")
    lines = "file_name,split,caption\n3.png,train,x\n0.png,validation,x\n"
    write(photos, {"metadata.csv": lines})
    with pytest.raises(ValueError, match="1 images are both in train and in validation of first, for example 3.png"):
        prepare(photos, tmp_path / "second", disjoint_from=[tmp_path / "first"])
    prepare(photos, tmp_path / "second", disjoint_from=[tmp_path / "first"], allow_overlap=True)
    card = (tmp_path / "second" / "README.md").read_text()
    assert "- 1 images are both in validation and in train of first, for example 0.png." in card


def test_ready_made_features_lie_beside_the_data(tmp_path: Path) -> None:
    entries = [{"videoID": name, "enCap": ["a"] * 10, "chCap": ["一"] * 10} for name in "abc"]
    write(tmp_path / "vatex", {"vatex_training_v1.0.json": entries[:2], "vatex_validation_v1.0.json": entries[2:]})
    arrays = {name: np.random.default_rng(0).normal(size=(1, length, 3)) for name, length in zip("abc", (2, 1, 4))}
    for name, array in arrays.items():
        np.save(tmp_path / "vatex" / f"{name}.npy", array)
    counts = run_preparation("vatex", tmp_path / "data", PrepareOptions(root=tmp_path / "vatex"))
    assert counts["train"].rows == 2
    features = FeatureFile(tmp_path / "data")
    for name, array in arrays.items():
        np.testing.assert_array_equal(features[name].numpy(), array[0].astype(np.float32))
    row = read_splits(tmp_path / "data")["train"][0]
    assert row["image"] is None and row["video"] is None


def test_videos_are_referred_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "clips", {"a.mp4": b"x", "b.mp4": b"x"})
    prepare(tmp_path / "clips", tmp_path / "data")
    rows = read_splits(tmp_path / "data")["gallery"]
    assert list(rows["video"]) == [str(tmp_path / "clips" / name) for name in ("a.mp4", "b.mp4")]
    assert "| videos |" in capsys.readouterr().out


def test_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from processing.scenes.build import build_scenes

    monkeypatch.setattr("processing.scenes.build.build_scenes", lambda: build_scenes(3, 2, 0))
    run_preparation("scenes", tmp_path / "data")
    read = read_splits(tmp_path / "data")
    assert {split: len(rows) for split, rows in read.items()} == {"train": 3, "validation": 2, "test": 0}
    assert read["train"][0]["image"]["bytes"].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("flickr9k", {}, "The data set flickr9k is not known: did you mean .flickr8k-cn."),
        ("vatex", {}, "Say with --root where the files of VATEX are; they are published at eric-xw"),
        (
            "vatex",
            {"root": Path(), "task": 1, "languages": None},
            "vatex takes no --task; its options are --videos, --f",
        ),
        ("scenes", {"root": Path()}, "they need no --root"),
    ],
)
def test_what_cannot_be_prepared(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run_preparation(name, tmp_path / "data", PrepareOptions(**options))
