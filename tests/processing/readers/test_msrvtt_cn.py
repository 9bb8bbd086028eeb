from pathlib import Path

import pytest

from processing.readers.checks import check_splits, check_visuals
from processing.readers.msrvtt_cn import msrvtt_cn_rows

from .layout import rows, targets, touch, write
from .test_visuals import big_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    splits = {"video0": "train", "video1": "train", "video6513": "validate", "video7010": "test"}

    def info(names: list[str]) -> dict[str, object]:
        return {
            "info": {"year": "2016"},
            "videos": [{"id": index, "video_id": name, "split": splits[name]} for index, name in enumerate(names)],
            "sentences": [
                {"sen_id": 10 * number + len(name), "video_id": name, "caption": f"{name}\t{number}"}
                for number in (1, 0, 2)
                for name in names
            ],
        }

    write(
        tmp_path,
        {
            "train_val_videodatainfo.json": info(["video0", "video1", "video6513"]),
            "test_videodatainfo.json": info(["video7010"]),
            "TextData/msrvtt10kcntrain_google_enc2zh.caption.txt": "\ufeffvideo0#enc2zh#0 一个\u3000人\r\n\r\n"
            "video0#enc2zh#2\t两个人\r\nvideo0#enc2zh#2 重复\r\nvideo1#enc2zh#9 没有\r\n",
            "TextData/msrvtt10kcntrain_google_enc2zh2enc.caption.txt": "video0#enc2zh2enc#0 a person\n",
            "TextData/msrvtt10kcnval_zh.caption.txt": "video6513#zh#0 一辆车\n",
            "TextData/msrvtt10kcnval_google_enc2zh.caption.txt": "video6513#enc2zh#0 不要\n",
            "TextData/msrvtt10kcntest_zh.caption.txt": "video7010.mp4#zh#0 一只猫\n",
        },
    )
    touch(tmp_path / "TrainValVideo", ["video0.mp4", "video1.mp4", "video6513.mp4"])
    touch(tmp_path / "TestVideo", ["video7010.mp4"])
    return tmp_path


def test_both_json_files_and_the_chinese_texts(root: Path) -> None:
    collection = check_visuals(msrvtt_cn_rows(root))
    assert check_splits(collection.splits) == []
    assert {split: list(rows(collection, split)) for split in collection.splits} == {
        "train": ["video0", "video1"],
        "validation": ["video6513"],
        "test": ["video7010"],
    }
    row = rows(collection, "train")["video0"]
    assert row["source_captions"] == ["video0 0", "video0 1", "video0 2"]
    assert targets(row) == [("zh", "一个 人", 0, "machine:google"), ("zh", "两个人", 2, "machine:google")]
    # A translation of a caption that the JSON does not have.
    assert targets(rows(collection, "train")["video1"]) == []
    assert targets(rows(collection, "validation")["video6513"]) == [("zh", "一辆车", None, "human")]
    assert targets(rows(collection, "test")["video7010"]) == [("zh", "一只猫", None, "human")]
    assert collection.notes == [
        "msrvtt10kcntrain_google_enc2zh.caption.txt repeats 1 caption ids; the first of each is kept."
    ]


def test_videos_are_found_wherever_they_are(root: Path) -> None:
    collection = msrvtt_cn_rows(root)
    assert rows(collection, "test")["video7010"]["video"] == str(root / "TestVideo" / "video7010.mp4")


def test_features_go_before_videos(root: Path) -> None:
    frames = "{'video0': ['f0', 'f1'], 'video1': ['f2'], 'video6513': ['f1'], 'video7010': ['f0']}"
    vectors = {"f0": [0.0, 1.0], "f1": [2.0, 3.0], "f2": [4.0, 5.0]}
    big_file(root / "FeatureData" / "resnext101-resnet152", vectors, frames)
    collection = check_visuals(msrvtt_cn_rows(root))
    assert collection.features is not None and collection.features["video0"].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert rows(collection, "train")["video0"]["video"] is None
    assert msrvtt_cn_rows(root, videos=root / "TrainValVideo").features is None


def test_lists_of_ids_replace_the_published_split(root: Path) -> None:
    write(root, {"video_id/train_id.txt": "video0\nvideo6513\n", "video_id/val_id.txt": "video1\n"})
    collection = msrvtt_cn_rows(root)
    assert list(rows(collection, "train")) == ["video0", "video6513"]
    assert list(rows(collection, "validation")) == ["video1"]
    # Machine translations belong to training, wherever a list puts the video.
    assert ("zh", "不要", 0, "machine:google") in targets(rows(collection, "train")["video6513"])


def test_all_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"\*videodatainfo\*.json, .*\*.caption.txt"):
        msrvtt_cn_rows(tmp_path)


def test_json_of_another_layout_is_named(root: Path) -> None:
    write(root, {"test_videodatainfo.json": {"videos": []}})
    with pytest.raises(
        ValueError, match="test_videodatainfo.json is not in the published layout: KeyError 'sentences'"
    ):
        msrvtt_cn_rows(root)
