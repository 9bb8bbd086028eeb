from collections import Counter
from pathlib import Path

import pytest
from datasets import Image

from processing.readers.checks import check_splits, check_visuals
from processing.readers.flickr8k_cn import flickr8k_cn_rows, read_flickr8k_cn
from processing.schema import ROW_FEATURES

from .layout import rows, targets, touch, write

DOG, CAT, BOAT, TREE = "1000268201_693b08cb0e", "1001773457_577c3a7d70", "23445819_3a458716c1", "2.jpg.9_aaaaaaaaaa"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            # Windows line ends, a byte order mark, an empty line, an id twice.
            "flickr8ktrain.txt": f"\ufeff{DOG}\r\n\r\n{TREE}\r\n{DOG}\r\n",
            "flickr8kval.txt": f"{CAT}\n",
            "flickr8kenc.caption.txt": f"\ufeff{DOG}.jpg#enc#0 A dog .\r\n{DOG}.jpg#enc#1 A\twet  dog .\r\n\r\n"
            f"{DOG}.jpg#enc#2 An animal .\r\n{TREE}.jpg#enc#0 A tree .\r\n{CAT}.jpg#enc#0 A cat .\r\n"
            f"{CAT}.jpg#enc#1 It sleeps .\r\n{BOAT}.jpg#enc#0 A boat .\r\n{BOAT}.jpg#enc#1 The sea .\r\n"
            f"{DOG}.jpg#enc#2 Repeated .\r\n",
            "flickr8kzhb.caption.txt": f"{DOG}.jpg#zhb#0 一只狗\u3000。\n{DOG}.jpg#zhb#1 一只湿狗。\n"
            f"{TREE}.jpg#zhb#0 一棵树。\n{CAT}.jpg#zhb#0 一只猫。\n",
            "flickr8kzhg.caption.txt": f"{DOG}.jpg#zhg#2 动物。\n",
            "flickr8kzhc.caption.txt": f"{DOG}.jpg#zhc#0 人写的。\n{CAT}.jpg#zhc#1 猫睡觉。\n{CAT}.jpg#zhc#0 猫。\n"
            f"{BOAT}.jpg#zhc#0 船。\n",
        },
    )
    touch(tmp_path / "Flicker8k_Dataset", [f"{name}.jpg" for name in (DOG, CAT, BOAT, TREE)])
    return tmp_path


def test_training_has_machine_translations_alone(root: Path) -> None:
    collection = flickr8k_cn_rows(root)
    train = rows(collection, "train")
    assert list(train) == [DOG, TREE]
    assert train[DOG]["source_captions"] == ["A dog .", "A wet dog .", "An animal ."]
    assert targets(train[DOG]) == [
        ("zh", "一只狗 。", 0, "machine:baidu"),
        ("zh", "一只湿狗。", 1, "machine:baidu"),
    ]
    assert targets(train[TREE]) == [("zh", "一棵树。", 0, "machine:baidu")]
    assert train[TREE]["image"]["path"] == str(root / "Flicker8k_Dataset" / f"{TREE}.jpg")
    assert check_visuals(collection).notes == [
        "flickr8kenc.caption.txt repeats 1 caption ids; the first of each is kept.",
        "flickr8ktrain.txt repeats 1 ids; each is taken once.",
    ]
    assert check_splits(collection.splits) == []


def test_validation_has_captions_by_people_alone(root: Path) -> None:
    collection = flickr8k_cn_rows(root)
    assert list(collection.splits) == ["train", "validation"]
    assert targets(rows(collection, "validation")[CAT]) == [
        ("zh", "猫。", None, "human"),
        ("zh", "猫睡觉。", None, "human"),
    ]


def test_the_published_test_split_with_translations_by_people(root: Path) -> None:
    write(root, {"flickr8ktest.txt": BOAT, "flickr8kzhm.caption.txt": f"{BOAT}.jpg#zhm#1 大海。\n"})
    assert targets(rows(flickr8k_cn_rows(root), "test")[BOAT]) == [
        ("zh", "船。", None, "human"),
        ("zh", "大海。", 1, "human"),
    ]


def test_several_translations(root: Path) -> None:
    dog = rows(flickr8k_cn_rows(root, translation=["baidu", "google"]), "train")[DOG]
    assert targets(dog)[-1] == ("zh", "动物。", 2, "machine:google")


def test_reserved_captions_become_the_description(root: Path) -> None:
    collection = flickr8k_cn_rows(root, reserved_captions=(0,))
    dog = rows(collection, "train")[DOG]
    assert dog["description"] == "A dog ."
    assert dog["source_captions"] == ["A wet dog .", "An animal ."]
    # Caption 1 now has index 0; the translation of the reserved one is gone.
    assert targets(dog) == [("zh", "一只湿狗。", 0, "machine:baidu")]


def test_images_elsewhere(root: Path, tmp_path: Path) -> None:
    (root / "Flicker8k_Dataset").rename(root / "photos")
    with pytest.raises(FileNotFoundError, match="images or .*Flicker8k_Dataset"):
        flickr8k_cn_rows(root)
    assert check_visuals(flickr8k_cn_rows(root, images=root / "photos")).splits


def test_all_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        flickr8k_cn_rows(tmp_path, translation="google")
    for name in ("flickr8ktrain", "flickr8kval", "flickr8kenc", "flickr8kzhg", "flickr8kzhc"):
        assert name in str(error.value)
    assert "github.com/li-xirong/flickr8kcn" in str(error.value)


def test_an_unknown_translation(root: Path) -> None:
    with pytest.raises(ValueError, match="no translation by 'bing'; choose baidu or google"):
        flickr8k_cn_rows(root, translation="bing")


def test_read_into_memory(root: Path) -> None:
    read = read_flickr8k_cn(root)
    assert read["train"].features == {**ROW_FEATURES, "image": Image(decode=False)}
    assert read["train"][:] == {
        name: [row[name] for row in flickr8k_cn_rows(root).splits["train"]] for name in ROW_FEATURES
    }


def test_the_shared_data(shared_dir: Path) -> None:
    """The counts of its README."""
    collection = flickr8k_cn_rows(shared_dir / "data" / "flickr8k-cn", translation=["baidu", "google"])
    assert check_visuals(collection).notes == []
    assert check_splits(collection.splits) == []
    counted = {}
    for split, there in collection.splits.items():
        origins = Counter(target["origin"] for row in there for target in row["target_captions"])
        counted[split] = (sum(1 for _ in there), sum(len(row["source_captions"]) for row in there), dict(origins))
    assert counted == {
        "train": (6000, 30000, {"machine:baidu": 30000, "machine:google": 30000}),
        "validation": (1000, 5000, {"human": 5000}),
    }
