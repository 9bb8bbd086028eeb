from pathlib import Path

import pytest

from processing.readers.checks import check_splits, check_visuals
from processing.readers.nrccr import nrccr_rows

from .layout import rows, targets, touch, write
from .test_visuals import big_file

TEXTS = "TextData"


@pytest.fixture
def multi30k(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            f"{TEXTS}/Flickr30ktrain_enc.caption.txt": "\ufeff1.jpg#enc#0 A dog.\r\n1.jpg#enc#1 It runs.\r\n\r\n"
            "2.jpg.x.jpg#enc#0 A\ttree.\r\n1.jpg#enc#1 Repeated.\r\n3.jpg#enc#0 Not in the list.\r\n",
            f"{TEXTS}/Flickr30ktrain_google_enc2de.caption.txt": "1.jpg#enc2de#1 Er läuft.\n"
            "2.jpg.x.jpg#enc2de#0 Ein Baum.\n",
            f"{TEXTS}/Flickr30ktrain_google_enc2de2enc.caption.txt": "this is no caption line at all\n",
            f"{TEXTS}/multi30ktrain_enc.caption.txt": "1.jpg#enc#0 One caption.\n",
            f"{TEXTS}/multi30ktrain_google_enc2fr.caption.txt": "1.jpg#enc2fr#0 Une légende.\n",
            f"{TEXTS}/multi30kval_de.caption.txt": "7.jpg#de#0 Ein Haus.\n",
            f"{TEXTS}/multi30kval_de_task1.caption.txt": "7.jpg#de#0 Aufgabe eins.\n",
            f"{TEXTS}/multi30kval_google_de2enc.caption.txt": "7.jpg#de2enc#0 A house.\n",
            f"{TEXTS}/multi30ktest_de_2016.caption.txt": "8.jpg#de#0 Ein Hut.\n",
            f"{TEXTS}/multi30ktest_fr_2016.caption.txt": "8.jpg#fr#0 Un chapeau.\n",
            f"{TEXTS}/multi30ktest_de_2017.caption.txt": "9.jpg#de#0 Ein Zug.\n",
            "img_id/train_id.txt": "2.jpg.x\r\n1\r\n\r\n",
            "img_id/val_id.txt": "7\n",
            "img_id/test_id_2016.txt": "8\n",
            "caption/1.txt": "\ufeffA dog runs\r\non grass.\r\n",
            "caption/8.txt": " \n",
        },
    )
    touch(tmp_path / "flickr30k-images", [f"{name}.jpg" for name in ("1", "2.jpg.x", "3", "7", "8", "9")])
    return tmp_path


def test_training_and_its_order(multi30k: Path) -> None:
    collection = check_visuals(nrccr_rows(multi30k))
    assert check_splits(collection.splits) == []
    train = rows(collection, "train")
    assert list(train) == ["2.jpg.x", "1"]
    assert train["1"]["source_captions"] == ["A dog.", "It runs."]
    assert targets(train["1"]) == [("de", "Er läuft.", 1, "machine:google")]
    assert train["1"]["description"] == "A dog runs on grass."
    assert train["2.jpg.x"]["image"]["path"] == str(multi30k / "flickr30k-images" / "2.jpg.x.jpg")
    assert collection.notes == [
        "Flickr30ktrain_enc.caption.txt repeats 1 caption ids; the first of each is kept.",
        "train: left out 1 captioned ids that the lists of ids do not have.",
    ]


def test_validation_and_tests(multi30k: Path) -> None:
    collection = nrccr_rows(multi30k)
    assert list(collection.splits) == ["train", "validation", "test", "test_2017"]
    assert targets(rows(collection, "validation")["7"]) == [("de", "Ein Haus.", None, "human")]
    test = rows(collection, "test")["8"]
    assert targets(test) == [("de", "Ein Hut.", None, "human"), ("fr", "Un chapeau.", None, "human")]
    assert test["source_captions"] == [] and test["description"] is None
    assert list(rows(collection, "test_2017")) == ["9"]


def test_task_1(multi30k: Path) -> None:
    collection = nrccr_rows(multi30k, task=1)
    assert rows(collection, "train")["1"]["source_captions"] == ["One caption."]
    assert targets(rows(collection, "train")["1"]) == [("fr", "Une légende.", 0, "machine:google")]
    assert targets(rows(collection, "validation")["7"]) == [("de", "Aufgabe eins.", None, "human")]


def test_there_are_two_tasks(multi30k: Path) -> None:
    with pytest.raises(ValueError, match="the tasks 1 and 2, not 3"):
        nrccr_rows(multi30k, task=3)


def test_languages(multi30k: Path) -> None:
    assert targets(rows(nrccr_rows(multi30k, languages=["fr"]), "test")["8"]) == [("fr", "Un chapeau.", None, "human")]


@pytest.fixture
def mscoco(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            f"{TEXTS}/mscocotrain_enc.caption.txt": "9#enc#0 A dog.\n25#enc#0 A cat.\n",
            f"{TEXTS}/mscocotrain_google_enc2ja.caption.txt": "9#enc2ja#0 犬。\n",
            f"{TEXTS}/mscocoval_zh.caption.txt": "25#zh#0 猫。\n",
            f"{TEXTS}/mscocoval_ja.caption.txt": "42#ja#0 船。\n",
            f"{TEXTS}/mscocotest_ja.caption.txt": "73#ja#0 駅。\n74#ja#0 空。\n",
            f"{TEXTS}/mscocotest_1k_ja.caption.txt": "73#ja#0 駅。\n",
            "img_id/train_id.txt": "9\n25\n",
            "img_id/zh_val_id.txt": "25\n",
            "img_id/ja_val_id.txt": "42\n",
            "img_id/ja_test_id.txt": "74\n73\n",
            "img_id/image_ids.txt": "9 COCO_train2014_000000000009.jpg\r\n25 COCO_train2014_000000000025.jpg\r\n"
            "42 COCO_val2014_000000000042.jpg\r\n73 COCO_val2014_000000000073.jpg\r\n74 x.jpg\r\n",
            "data_video_chat2_generated/COCO_val2014_000000000042.txt": "A boat.",
        },
    )
    numbers = [
        f"COCO_{part}.jpg"
        for part in ("train2014_000000000009", "train2014_000000000025", "val2014_000000000042", "val2014_000000000073")
    ]
    touch(tmp_path / "all_pics", [*numbers, "x.jpg"])
    return tmp_path


def test_mscoco_names_its_images_in_a_list(mscoco: Path) -> None:
    collection = check_visuals(nrccr_rows(mscoco, languages=["ja"]))
    assert check_splits(collection.splits) == []
    row = rows(collection, "validation")["42"]
    assert row["image"]["path"] == str(mscoco / "all_pics" / "COCO_val2014_000000000042.jpg")
    assert row["description"] == "A boat."
    assert list(rows(collection, "test")) == ["74", "73"]
    assert list(rows(collection, "test_1k")) == ["73"]


def test_both_languages_of_mscoco_share_images(mscoco: Path) -> None:
    with pytest.raises(ValueError, match="1 images are both in train and in validation, for example 25"):
        check_splits(nrccr_rows(mscoco).splits)


def test_a_strange_list_of_images(mscoco: Path) -> None:
    write(mscoco, {"img_id/image_ids.txt": "9\n"})
    with pytest.raises(ValueError, match="image_ids.txt should have an id and a file name on each line"):
        nrccr_rows(mscoco)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    write(
        tmp_path,
        {
            f"{TEXTS}/vatextrain.caption.txt": "v_1#enc#0 A man.\nv_1#enc#1 He sings.\n",
            f"{TEXTS}/vatextrain_google_enc2zh.caption.txt": "v_1#enc2zh#1 他\u3000唱歌。\n",
            f"{TEXTS}/vatexval_zh.caption.txt": "v_2#zh#0 一只狗。\n",
            f"{TEXTS}/vatextest_zh.caption.txt": "v_3.mp4#zh#0 一只猫。\n",
            "video_id/train_id.txt": "v_1\n",
            "video_id/val_id.txt": "v_2\n",
            "video_id/test_id.txt": "v_3\n",
        },
    )
    frames = "{'v_1': ['v_1_0', 'v_1_1'], 'v_2': ['v_2_0'], 'v_3': ['v_2_0']}"
    big_file(tmp_path / "FeatureData" / "i3d_kinetics", {"v_1_0": [1.0], "v_1_1": [2.0], "v_2_0": [3.0]}, frames)
    return tmp_path


def test_videos_by_their_features(videos: Path) -> None:
    collection = check_visuals(nrccr_rows(videos))
    assert list(collection.splits) == ["train", "validation", "test"]
    assert collection.features is not None and collection.features["v_1"].tolist() == [[1.0], [2.0]]
    row = rows(collection, "train")["v_1"]
    assert row["image"] is None and row["video"] is None
    assert targets(row) == [("zh", "他 唱歌。", 1, "machine:google")]


def test_videos_themselves(videos: Path) -> None:
    touch(videos / "clips", ["v_1.mp4", "v_2.mp4", "v_3.mp4"])
    collection = check_visuals(nrccr_rows(videos, videos=videos / "clips"))
    assert collection.features is None
    assert rows(collection, "test")["v_3"]["video"] == str(videos / "clips" / "v_3.mp4")


def test_features_can_be_chosen_over_images(multi30k: Path) -> None:
    big_file(multi30k / "FeatureData" / "resnet", {name: [1.0] for name in ("1", "2.jpg.x", "7", "8", "9")})
    assert nrccr_rows(multi30k).features is None
    collection = check_visuals(nrccr_rows(multi30k, features="resnet"))
    assert collection.features is not None and rows(collection, "train")["1"]["image"] is None


def test_what_is_missing_is_named(tmp_path: Path, multi30k: Path) -> None:
    with pytest.raises(FileNotFoundError, match="TextData"):
        nrccr_rows(tmp_path / "nowhere")
    write(tmp_path, {"empty/TextData/multi30kval_de.caption.txt": "7.jpg#de#0 Ein Haus.\n"})
    with pytest.raises(FileNotFoundError, match="train_enc.caption.txt"):
        nrccr_rows(tmp_path / "empty")
    (multi30k / "flickr30k-images").rename(multi30k / "elsewhere")
    with pytest.raises(FileNotFoundError, match="flickr30k-images or .*feature.bin"):
        nrccr_rows(multi30k)
    with pytest.raises(FileNotFoundError, match="nothing_here"):
        nrccr_rows(multi30k, images=multi30k / "elsewhere", descriptions=multi30k / "nothing_here")
