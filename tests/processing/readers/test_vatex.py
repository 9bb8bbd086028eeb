from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processing.readers.checks import check_splits, check_visuals
from processing.readers.vatex import vatex_rows

from .layout import rows, targets, touch, write

A, B, C, D = "-0LUGgDWuWU_000005_000015", "Ptf_2VRj-V0_000122_000132", "3.jpg.x_000001_000011", "D_000000_000010"


def video(name: str, chinese: bool = True) -> dict[str, Any]:
    entry: dict[str, Any] = {"videoID": name, "enCap": [f"{name} {number}" for number in range(10)]}
    return {**entry, "chCap": [f"视频\u3000{number}" for number in range(10)]} if chinese else entry


@pytest.fixture
def root(tmp_path: Path) -> Path:
    first = video(A)
    first["enCap"][6] = " "
    first["chCap"][0] = ""
    return write(
        tmp_path,
        {
            "vatex_training_v1.0.json": [first],
            "vatex_validation_v1.0.json": [video(B), video(C)],
            "vatex_public_test_english_v1.1.json": [video(D, chinese=False)],
        },
    )


@pytest.fixture
def features(root: Path) -> Path:
    for index, name in enumerate((A, B, C, D)):
        folder = root / "val" if index else root / "public_test"
        folder.mkdir(exist_ok=True)
        np.save(folder / f"{name}.npy", np.full((1, 2 + index, 4), index))
    return root


def test_parallel_halves_are_told_from_independent_ones(features: Path) -> None:
    collection = check_visuals(vatex_rows(features))
    assert check_splits(collection.splits) == []
    row = rows(collection, "train")[A]
    # English caption 6 is empty, so those after it come one index earlier and its translation has no source.
    assert row["source_captions"] == [f"{A} {number}" for number in (0, 1, 2, 3, 4, 5, 7, 8, 9)]
    numbers = [number for _, _, number, _ in targets(row)]
    assert numbers == [None, None, None, None, 5, None, 6, 7, 8]
    assert targets(row)[0] == ("zh", "视频 1", None, "human")


def test_features_of_each_video(features: Path) -> None:
    collection = vatex_rows(features)
    assert collection.features is not None
    assert collection.features[B].tolist() == np.full((3, 4), 1.0).tolist()
    assert rows(collection, "validation")[B]["video"] is None


def test_the_public_test_is_english_alone(features: Path) -> None:
    collection = vatex_rows(features)
    assert targets(rows(collection, "test")[D]) == []
    assert collection.notes == ["test has English captions only, since VATEX publishes no others for it."]


def test_lists_of_ids_cut_a_test_split_out_of_validation(features: Path) -> None:
    write(features, {"video_id/val_id.txt": f"{B}\r\n\r\n", "video_id/test_id.txt": f"\ufeff{C}.mp4\r\nunknown\r\n"})
    collection = vatex_rows(features)
    assert {split: list(rows(collection, split)) for split in collection.splits} == {
        "train": [A],
        "validation": [B],
        "test": [C],
    }
    assert targets(rows(collection, "test")[C])[9] == ("zh", "视频 9", 9, "human")


def test_videos_in_place_of_features(features: Path) -> None:
    touch(features / "clips", [f"{name}.mp4" for name in (A, B, D)])
    collection = vatex_rows(features, videos=features / "clips")
    assert collection.features is None
    assert rows(collection, "train")[A]["video"] == str(features / "clips" / f"{A}.mp4")
    with pytest.raises(FileNotFoundError, match=f"1 of 4 images or videos are missing: image or video of {C}"):
        check_visuals(collection)
    left = check_visuals(collection, allow_missing=True)
    assert list(rows(left, "validation")) == [B]


def test_missing_and_strange_files(root: Path) -> None:
    write(root, {"vatex_training_v1.0.json": [{"videoID": "x"}]})
    with pytest.raises(ValueError, match="vatex_training_v1.0.json is not in the published layout: KeyError 'enCap'"):
        vatex_rows(root)
    (root / "vatex_training_v1.0.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"vatex_training\*.json.*eric-xw.github.io/vatex-website"):
        vatex_rows(root)
