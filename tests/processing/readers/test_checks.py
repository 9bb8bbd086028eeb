from pathlib import Path
from typing import Any

import pytest

from processing.readers.checks import check_disjoint, check_splits, check_visuals
from processing.readers.files import Collection, Rows, make_row

from .layout import rows, touch


def collection(folder: Path, names: dict[str, list[str]]) -> Collection:
    def make(split: str) -> list[dict[str, Any]]:
        return [make_row(name, {}, image=folder / f"{name}.jpg") for name in names[split]]

    return Collection(Rows.of(make, names), notes=["before"])


def test_nothing_missing(tmp_path: Path) -> None:
    touch(tmp_path, ["a.jpg", "b.jpg"])
    whole = collection(tmp_path, {"train": ["a"], "test": ["b"]})
    assert check_visuals(whole) is whole


def test_missing_images_are_counted_and_some_named(tmp_path: Path) -> None:
    touch(tmp_path, ["a.jpg"])
    lacking = collection(tmp_path, {"train": ["a", "b", "c"], "test": ["d", "e"]})
    with pytest.raises(FileNotFoundError) as error:
        check_visuals(lacking)
    assert str(error.value) == (
        f"4 of 5 images or videos are missing: {tmp_path}/b.jpg, {tmp_path}/c.jpg, {tmp_path}/d.jpg .... "
        "Put them there, or leave their rows out with --allow-missing."
    )


def test_missing_images_can_be_left_out(tmp_path: Path) -> None:
    touch(tmp_path, ["a.jpg", "d.jpg"])
    left = check_visuals(collection(tmp_path, {"train": ["a", "b", "c"], "test": ["d"]}), allow_missing=True)
    assert [list(rows(left, split)) for split in left.splits] == [["a"], ["d"]]
    assert left.notes == ["before", "train: left out 2 rows whose image or video is missing."]


def test_not_all_images_can_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="2 of 2 images"):
        check_visuals(collection(tmp_path, {"train": ["a"], "test": ["b"]}), allow_missing=True)


def test_a_data_set_without_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no image or video at all"):
        check_visuals(collection(tmp_path, {"train": []}), allow_missing=True)


def test_videos_and_features(tmp_path: Path) -> None:
    def make(split: str) -> list[dict[str, Any]]:
        return [make_row("a", {}, video=tmp_path / "a.mp4"), make_row("b", {})]

    with pytest.raises(FileNotFoundError, match="2 of 2 images or videos are missing: .*a.mp4, image or video of b"):
        check_visuals(Collection(Rows.of(make, ["train"])))
    features: Any = {"a": 1, "b": 2}
    assert check_visuals(Collection(Rows.of(make, ["train"]), features)).notes == []
    del features["b"]
    with pytest.raises(FileNotFoundError, match="1 of 2 images or videos are missing: features of b"):
        check_visuals(Collection(Rows.of(make, ["train"]), features))


def test_a_repeated_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The id 'a' occurs twice in train"):
        check_splits(collection(tmp_path, {"train": ["a", "b", "a"]}).splits)


def test_splits_that_share_a_picture_under_two_names_are_refused(tmp_path: Path) -> None:
    names = {"train": ["1000268201", "2"], "test": ["1000268201_693b08cb0e", "3"]}
    splits = collection(tmp_path, names).splits
    with pytest.raises(ValueError, match="1 images are both in train and in test, for example 1000268201: figures"):
        check_splits(splits)
    assert check_splits(splits, allow_overlap=True) == [
        "1 images are both in train and in test, for example 1000268201."
    ]


def test_parts_of_a_split_may_share_pictures(tmp_path: Path) -> None:
    names = {"train": ["1"], "validation": ["2"], "test": ["3", "4"], "test_1k": ["3"]}
    assert check_splits(collection(tmp_path, names).splits) == []


def test_splits_of_other_data_sets() -> None:
    keys = {"train": frozenset("ab"), "train of other": frozenset("ab"), "test of other": frozenset("c")}
    assert check_disjoint(keys) == []
    with pytest.raises(ValueError, match="1 images are both in train and in test of other, for example b"):
        check_disjoint({**keys, "test of other": frozenset("bc")})
