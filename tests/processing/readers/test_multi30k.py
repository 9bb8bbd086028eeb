from collections import Counter
from pathlib import Path

import pytest

from processing.readers.checks import check_splits, check_visuals
from processing.readers.multi30k import multi30k_rows

from .layout import rows, targets, touch, write

COCO = "COCO_val2014_000000391895"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(
        tmp_path / "data" / "task1",
        {
            "image_splits/train.txt": "1000092795.jpg\r\n10002456.jpg\r\n1.jpg.2.jpg\r\n",
            "image_splits/val.txt": "\ufeff1018148011.jpg\n",
            "image_splits/test_2016_flickr.txt": "1007129816.jpg\n",
            "image_splits/test_2017_mscoco.txt": f"{COCO}.jpg#367178\n{COCO}.jpg#657409\n",
            # A line break of another kind within a caption, a tab, an empty line, and an empty line too many.
            "raw/train.en.gz": "Two men\u2028outside.\r\nA\tpulley.\r\nA tree.\r\n\r\n",
            "raw/train.de.gz": "\ufeffZwei Männer.\nEin Kran.\nEin Baum.\n",
            "raw/train.fr": "Deux hommes.\n\nUn arbre.\n",
            "raw/train.cs.gz": "Dva muži.\nJeřáb.\nStrom.\n",
            "raw/val.en.gz": "Cotton.\n",
            "raw/val.de.gz": "Baumwolle.\n",
            "raw/val.fr.gz": "Coton.\n",
            "raw/val.cs.gz": "Bavlna.\n",
            "raw/test_2016_flickr.en.gz": "A hat.\n",
            "raw/test_2016_flickr.de.gz": "Ein Hut.\n",
            "raw/test_2017_mscoco.en.gz": "A train.\nA station.\n",
            "raw/test_2017_mscoco.de.gz": "Ein Zug.\nEin Bahnhof.\n",
        },
    )
    lines = {"train": "{} one\n{} two\n", "val": "{} one\n"}
    write(
        tmp_path / "data" / "task2",
        {
            "image_splits/train_images.txt": "1000092795.jpg\n10002456.jpg\n",
            "image_splits/val_images.txt": "1018148011.jpg\n",
            **{
                f"raw/{split}.{number}.{language}.gz": text.replace("{}", f"{language} {number}")
                for split, text in lines.items()
                for number in range(1, 6)
                for language in ("en", "de")
            },
        },
    )
    photos = ["1000092795.jpg", "10002456_0123456789.jpg", "1.jpg.2.jpg", "1018148011.jpg", "1007129816.jpg"]
    touch(tmp_path / "flickr30k-images", [*photos, f"{COCO}.jpg"])
    return tmp_path


def test_task_1(root: Path) -> None:
    found = multi30k_rows(root)
    assert list(found.splits) == ["train", "validation", "test", "test_2017_mscoco"]
    train = rows(found, "train")
    assert list(train) == ["1000092795", "10002456", "1.jpg.2"]
    assert [row["source_captions"] for row in train.values()] == [["Two men outside."], ["A pulley."], ["A tree."]]
    assert targets(train["10002456"]) == [("cs", "Jeřáb.", 0, "human"), ("de", "Ein Kran.", 0, "human")]
    assert ("fr", "Un arbre.", 0, "human") in targets(train["1.jpg.2"])
    assert found.notes == [
        "train.txt: 1 captions are empty; they are left out.",
        "test_2017_mscoco.txt repeats 1 images; all captions of an image come into one row.",
    ]


def test_photos_are_found_under_both_names(root: Path) -> None:
    found = check_visuals(multi30k_rows(root))
    paths = {name: Path(row["image"]["path"]).name for name, row in rows(found, "train").items()}
    assert paths["10002456"] == "10002456_0123456789.jpg"
    assert paths["1.jpg.2"] == "1.jpg.2.jpg"
    assert check_splits(found.splits) == []


def test_an_image_of_the_coco_test_split_that_comes_twice(root: Path) -> None:
    row = rows(multi30k_rows(root), "test_2017_mscoco")[COCO]
    assert row["source_captions"] == ["A train.", "A station."]
    assert targets(row) == [("de", "Ein Zug.", 0, "human"), ("de", "Ein Bahnhof.", 1, "human")]


def test_task_2_is_independent(root: Path) -> None:
    found = multi30k_rows(root, task=2)
    assert list(found.splits) == ["train", "validation"]
    row = rows(found, "train")["10002456"]
    assert row["source_captions"] == [f"en {number} two" for number in range(1, 6)]
    assert targets(row) == [("de", f"de {number} two", None, "human") for number in range(1, 6)]


def test_task_2_in_french_and_czech_is_tested_with_task_1(root: Path) -> None:
    found = check_visuals(multi30k_rows(root, task=2, languages=["fr", "cs"]))
    assert list(found.splits) == ["train", "validation", "test", "test_2017_mscoco"]
    train = rows(found, "train")
    assert train["10002456"]["source_captions"] == [f"en {number} two" for number in range(1, 6)]
    assert [targets(row) for row in train.values()] == [[], []]
    validation = rows(found, "validation")["1018148011"]
    assert validation["source_captions"] == ["Cotton."]
    assert targets(validation) == [("cs", "Bavlna.", 0, "human"), ("fr", "Coton.", 0, "human")]
    assert found.protocol is not None and found.protocol.startswith("The papers' protocol for French and Czech")
    assert "`leccr translate DATA --to fr,cs --splits train`" in found.notes[-1]
    # Task 1's training captions are not needed, nor any German.
    for path in {*root.glob("data/task1/raw/train.*"), *root.glob("data/task*/raw/*.de.gz")}:
        path.unlink()
    assert list(rows(multi30k_rows(root, task=2, languages=["cs"]), "train")) == list(train)


def test_languages(root: Path) -> None:
    row = rows(multi30k_rows(root, languages=["fr"]), "train")["1000092795"]
    assert targets(row) == [("fr", "Deux hommes.", 0, "human")]
    with pytest.raises(ValueError, match="Multi30K has no captions in ja, only in de, fr, cs"):
        multi30k_rows(root, task=2, languages=["ja"])
    with pytest.raises(ValueError, match="Task 2 has German captions of its own, but is tested in cs and fr with task"):
        multi30k_rows(root, task=2, languages=["fr", "de", "cs"])
    with pytest.raises(ValueError, match="tasks 1 and 2, not 3"):
        multi30k_rows(root, task=3)


def test_files_that_are_not_parallel(root: Path) -> None:
    write(root, {"data/task1/raw/train.de.gz": "Zwei Männer.\nEin Kran.\n"})
    with pytest.raises(ValueError, match="train.de.gz has 2 lines and .*train.txt names 3 images"):
        multi30k_rows(root)


def test_all_missing_files_are_named(root: Path, tmp_path: Path) -> None:
    for name in ("train.cs.gz", "val.en.gz"):
        (root / "data" / "task1" / "raw" / name).unlink()
    with pytest.raises(FileNotFoundError) as error:
        multi30k_rows(root)
    assert "train.cs.gz or" in str(error.value) and "val.en" in str(error.value)
    assert "github.com/multi30k/dataset" in str(error.value)


def test_missing_photos_have_their_own_message(root: Path) -> None:
    (root / "flickr30k-images").rename(root / "elsewhere")
    with pytest.raises(FileNotFoundError, match="Multi30K's photos is incomplete.*flickr30k-images"):
        multi30k_rows(root)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (1, {"train": (28129, 28129), "validation": (986, 986), "test": (970, 970)}),
        (2, {"train": (28129, 5 * 28129), "validation": (986, 5 * 986)}),
    ],
)
def test_the_shared_data(shared_dir: Path, task: int, expected: dict[str, tuple[int, int]]) -> None:
    """The counts of its README; the photos that Flickr8k has too."""
    data = shared_dir / "data"
    found = multi30k_rows(data / "multi30k", task=task, images=data / "flickr8k-cn" / "images")
    assert found.notes == []
    assert check_splits(found.splits) == []
    for split, (images, captions) in expected.items():
        languages: Counter[str] = Counter()
        for row in found.splits[split]:
            languages["en"] += len(row["source_captions"])
            languages.update(target["language"] for target in row["target_captions"])
            languages["images"] += 1
        codes = ("en", "de", "fr", "cs") if task == 1 else ("en", "de")
        assert languages == {"images": images, **dict.fromkeys(codes, captions)}
    there = check_visuals(found, allow_missing=True)
    assert 5500 < sum(1 for split in there.splits.values() for _ in split) < 7091


def test_the_shared_data_in_french_and_czech(shared_dir: Path) -> None:
    data = shared_dir / "data"
    found = multi30k_rows(data / "multi30k", 2, ["fr", "cs"], data / "flickr8k-cn" / "images")
    assert check_splits(found.splits) == []
    counts = {
        split: tuple(sum(len(row[column]) for row in rows) for column in ("source_captions", "target_captions"))
        for split, rows in found.splits.items()
    }
    assert counts == {"train": (5 * 28129, 0), "validation": (986, 2 * 986), "test": (970, 2 * 970)}
