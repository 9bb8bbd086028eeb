from collections import Counter
from pathlib import Path

import pytest

from processing.readers.checks import check_splits, check_visuals
from processing.readers.five_languages import five_languages_rows

from .layout import rows, targets, touch, write

DOG, CAT, TREE = "1000268201_693b08cb0e", "1001773457_577c3a7d70", "1002674143_1b742ab4b8"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Multi30K has the cat in its training split, Flickr8k-CN in its validation split."""
    write(
        tmp_path / "flickr8k-cn",
        {
            "flickr8ktrain.txt": f"{DOG}\n{TREE}\n",
            "flickr8kval.txt": f"{CAT}\n",
            "captions/flickr8kenc.caption.txt": f"{DOG}.jpg#enc#0 A dog runs .\n{DOG}.jpg#enc#1 The dog , it runs .\n"
            f"{CAT}.jpg#enc#0 A cat .\n{TREE}.jpg#enc#0 A tree .\n",
            "captions/flickr8kzhb.caption.txt": f"{DOG}.jpg#zhb#1 狗跑。\n",
            "captions/flickr8kzhc.val.caption.txt": f"{CAT}.jpg#zhc#0 猫。\n",
        },
    )
    touch(tmp_path / "flickr8k-cn" / "images", [f"{name}.jpg" for name in (DOG, CAT, TREE)])
    files = {
        "image_splits/train.txt": "1000268201.jpg\n1001773457.jpg\n99.jpg\n",
        "image_splits/val.txt": "1002674143.jpg\n",
    }
    texts = {
        "en": ("The dog, it runs.\nA cat.\nOther.\n", "Another caption of the tree.\n"),
        "de": ("Der Hund.\nEine Katze.\nAnderes.\n", "Ein Baum.\n"),
        "fr": ("Le chien.\nUn chat.\nAutre.\n", "Un arbre.\n"),
        "cs": ("Pes.\nKočka.\nJiné.\n", "Strom.\n"),
    }
    for language, (train, validation) in texts.items():
        files |= {f"raw/train.{language}.gz": train, f"raw/val.{language}.gz": validation}
    write(tmp_path / "multi30k" / "data" / "task1", files)
    return tmp_path


def test_captions_join_by_number_and_point_to_what_they_translate(root: Path) -> None:
    collection = check_visuals(five_languages_rows(root))
    train = rows(collection, "train")
    assert targets(train[DOG]) == [
        ("zh", "狗跑。", 1, "machine:baidu"),
        ("cs", "Pes.", 1, "human"),
        ("de", "Der Hund.", 1, "human"),
        ("fr", "Le chien.", 1, "human"),
    ]
    # Its English caption is none of Flickr8k's, spelt however.
    assert {number for _, _, number, _ in targets(train[TREE])} == {None}
    assert "99" not in train


def test_splits_are_those_of_flickr8k_cn(root: Path) -> None:
    collection = five_languages_rows(root, languages=["de"])
    assert check_splits(collection.splits) == []
    assert targets(rows(collection, "validation")[CAT]) == [
        ("zh", "猫。", None, "human"),
        ("de", "Eine Katze.", 0, "human"),
    ]


def test_nothing_of_a_reserved_caption_is_left(root: Path) -> None:
    collection = five_languages_rows(root, reserved_captions=(1,))
    train = rows(collection, "train")
    assert train[DOG]["description"] == "The dog , it runs ."
    assert targets(train[DOG]) == []
    assert targets(train[TREE]) == []


def test_all_five_languages_of_the_shared_data(shared_dir: Path) -> None:
    """Its README: about 5,500 training and 930 validation images with de, fr and cs."""
    collection = five_languages_rows(shared_dir / "data")
    assert collection.notes == []
    assert check_splits(collection.splits) == []
    counted = {}
    for split, there in collection.splits.items():
        images = [Counter(target["language"] for target in row["target_captions"]) for row in there]
        counted[split] = (
            len(images),
            sum(image["zh"] for image in images),
            sum(image["de"] == image["fr"] == image["cs"] == 1 for image in images),
            sum(image["de"] + image["fr"] + image["cs"] for image in images),
        )
    assert counted == {"train": (6000, 30000, 5528, 3 * 5528), "validation": (1000, 5000, 934, 3 * 934)}
    human = [
        target["source_number"]
        for row in collection.splits["train"]
        for target in row["target_captions"]
        if target["origin"] == "human"
    ]
    # Multi30K's English captions are Flickr30k's own, a few of them edited.
    assert sum(number is not None for number in human) > 0.98 * len(human)
