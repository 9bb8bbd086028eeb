from pathlib import Path
from typing import Any

import pytest

from processing.readers.checks import check_splits, check_visuals
from processing.readers.mscoco import mscoco_rows

from .layout import rows, targets, touch, write

NUMBERS = {"train": (9, 25), "val": (42, 73)}


def name(part: str, number: int) -> str:
    return f"COCO_{part}2014_{number:012d}"


IMAGES = [name(part, number) for part, numbers in NUMBERS.items() for number in numbers]
DOG, CAT, BOAT, TRAIN = IMAGES


def coco(part: str, language: str) -> dict[str, Any]:
    """COCO's own layout, the captions of an image apart and out of order."""
    return {
        "images": [{"id": number, "file_name": f"{name(part, number)}.jpg"} for number in NUMBERS[part]],
        "annotations": [
            {"image_id": number, "id": 1000 * index + number, "caption": f"{language} {number} {index}\n"}
            for index in (1, 0)
            for number in NUMBERS[part]
        ],
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, {f"annotations/captions_{part}2014.json": coco(part, "en") for part in NUMBERS})
    touch(tmp_path, [f"{image.split('_')[1]}/{image}.jpg" for image in IMAGES])
    return tmp_path


@pytest.fixture
def chinese(root: Path) -> Path:
    return write(
        root / "coco-cn-version1805v1.1",
        {
            "coco-cn_train.txt": f"\ufeff{BOAT}\r\n{DOG}\r\n\r\n{DOG}\r\n",
            "coco-cn_val.txt": f"{CAT}\n{name('val', 999)}\n",
            "coco-cn_test.txt": f"{TRAIN}\n",
            "imageid.human-written-caption.txt": f"{DOG}#0\t一只狗\r\n{DOG}#1\t狗\u3000在跑\r\n{CAT}#0\t猫\r\n"
            f"{TRAIN}#0\t火车\r\n",
            "imageid.manually-translated-caption.txt": f"{TRAIN}#zhm#1 铁路\n",
            "imageid.machine-translated-caption.bosonseg.txt": f"{DOG}#zhbDec#1 一:m 只:q 狗:n\n"
            f"{TRAIN}#zhbDec#0 火车:n\n",
        },
    ).parent


@pytest.fixture
def japanese(root: Path) -> Path:
    return write(
        root,
        {f"STAIR-captions/stair_captions_v1.2_{part}.json": coco(part, "ja") for part in NUMBERS}
        | {"STAIR-captions/stair_captions_v1.2_train_tokenized.json": "not to be read"},
    )


def karpathy(splits: list[str]) -> dict[str, Any]:
    images = [(part, number) for part, numbers in NUMBERS.items() for number in numbers]
    return {
        "dataset": "coco",
        "images": [
            {
                "filepath": f"{part}2014",
                "filename": f"{name(part, number)}.jpg",
                "cocoid": number,
                "split": split,
                "sentences": [
                    {"sentid": 2000, "raw": "second", "tokens": []},
                    {"sentid": 1000, "raw": " first\t. ", "tokens": []},
                ],
            }
            for (part, number), split in zip(images, splits, strict=True)
        ],
    }


def test_chinese_in_the_splits_of_coco_cn(chinese: Path) -> None:
    collection = check_visuals(mscoco_rows(chinese))
    assert check_splits(collection.splits) == []
    train = rows(collection, "train")
    assert list(train) == [BOAT, DOG]
    assert train[DOG]["source_captions"] == ["en 9 0", "en 9 1"]
    assert targets(train[DOG]) == [
        ("zh", "一只狗", None, "human"),
        ("zh", "狗 在跑", None, "human"),
        ("zh", "一只狗", 1, "machine:baidu"),
    ]
    assert train[BOAT]["image"]["path"] == str(chinese / "val2014" / f"{BOAT}.jpg")
    # A test image has no machine translation, but its English translated by people.
    assert targets(rows(collection, "test")[TRAIN]) == [("zh", "火车", None, "human"), ("zh", "铁路", 1, "human")]
    assert collection.notes == [
        "coco-cn_train.txt repeats 1 ids; each is taken once.",
        "validation: left out 1 images that COCO's captions do not know.",
    ]


def test_japanese_in_cocos_own_splits(japanese: Path) -> None:
    collection = check_visuals(mscoco_rows(japanese))
    assert {split: list(rows(collection, split)) for split in collection.splits} == {
        "train": [DOG, CAT],
        "validation": [BOAT, TRAIN],
    }
    assert targets(rows(collection, "train")[CAT]) == [
        ("ja", "ja 25 0", None, "human"),
        ("ja", "ja 25 1", None, "human"),
    ]


def test_japanese_in_karpathys_splits(japanese: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processing.readers.mscoco.SMALL_TEST", 1)
    write(japanese, {"dataset_coco.json": karpathy(["test", "val", "restval", "test"])})
    collection = mscoco_rows(japanese)
    there = {split: list(rows(collection, split)) for split in collection.splits}
    assert there == {"train": [BOAT], "validation": [CAT], "test": [DOG, TRAIN], "test_1k": [DOG]}
    assert check_splits(collection.splits) == []
    row = rows(collection, "test")[DOG]
    assert row["source_captions"] == ["first .", "second"]
    assert targets(row)[0] == ("ja", "ja 9 0", None, "human")


def test_images_in_one_folder(japanese: Path, tmp_path: Path) -> None:
    touch(tmp_path / "all", [f"{image}.jpg" for image in IMAGES])
    collection = check_visuals(mscoco_rows(japanese, images=tmp_path / "all"))
    assert rows(collection, "train")[DOG]["image"]["path"] == str(tmp_path / "all" / f"{DOG}.jpg")


def test_one_language_at_a_time(chinese: Path, japanese: Path) -> None:
    with pytest.raises(ValueError, match="zh .COCO-CN. or ja .STAIR., one at a time, and not zh and ja"):
        mscoco_rows(japanese)
    assert list(mscoco_rows(japanese, languages=["zh"]).splits) == ["train", "validation", "test"]
    with pytest.raises(ValueError, match="and not de"):
        mscoco_rows(japanese, languages=["de"])


def test_all_missing_files_are_named(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="human-written-caption.txt or .*stair_captions"):
        mscoco_rows(root)
    (root / "annotations" / "captions_val2014.json").unlink()
    with pytest.raises(FileNotFoundError) as error:
        mscoco_rows(root, languages=["ja"])
    for part in ("captions_val20", "stair_captions_v*_train.json", "stair_captions_v*_val.json", "cocodataset.org"):
        assert part in str(error.value)


@pytest.mark.parametrize("content", [{"images": []}, {"images": [{"id": 1}], "annotations": []}, []])
def test_json_of_another_layout_is_named(japanese: Path, content: Any) -> None:
    write(japanese, {"annotations/captions_val2014.json": content})
    with pytest.raises(ValueError, match="captions_val2014.json is not in the published layout"):
        mscoco_rows(japanese)
