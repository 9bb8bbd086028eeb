import json
import os
import sys
import unicodedata
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from processing.images import open_image
from processing.readers.checks import check_splits, check_visuals
from processing.readers.folder import folder_rows
from processing.storage import read_splits, write_rows
from tests.closed_folders import close_folders

from .layout import rows, targets, touch, write


def test_a_csv_file_with_captions_and_splits(tmp_path: Path) -> None:
    touch(tmp_path, ["a.jpg", "sub/b.JPG", "c.jpg.d.png", "unlisted.jpg", "notes.md"])
    write(
        tmp_path,
        {
            "metadata.csv": "\ufefffile_name,split,caption,caption_de,caption_zh,description\r\n"
            'a.jpg,train,"A dog, running.",Ein Hund.,,Grass.\r\n'
            "a.jpg,train,It\truns.,,狗\u3000跑,\r\n"
            "\r\n"
            "sub/b.JPG,val,A cat.,,,\r\n"
            "c.jpg.d.png,test,,Ein Baum.,,\r\n"
        },
    )
    found = check_visuals(folder_rows(tmp_path))
    assert check_splits(found.splits) == []
    assert list(found.splits) == ["train", "validation", "test"]
    row = rows(found, "train")["a.jpg"]
    assert row["source_captions"] == ["A dog, running.", "It runs."]
    assert targets(row) == [("de", "Ein Hund.", 0, "human"), ("zh", "狗 跑", 1, "human")]
    assert row["description"] == "Grass."
    assert row["image"]["path"] == str(tmp_path / "a.jpg")
    # Nothing in the same line to translate.
    assert targets(rows(found, "test")["c.jpg.d.png"]) == [("de", "Ein Baum.", None, "human")]
    assert found.notes == [
        "Left out 1 file by ending (1 .md): neither a photo nor a video.",
        "1 images or videos have no line in the metadata; they are left out.",
    ]


def test_descriptions_next_to_the_pictures(tmp_path: Path) -> None:
    touch(tmp_path, ["a.jpg", "sub/b.jpg", "c.jpg"])
    said = {"a.jpg": "Grass.\nA dog.", "sub/b.jpg": "Snow.", "c.jpg": None}
    lines = [json.dumps({"id": name, "description": text}) for name, text in said.items()]
    write(tmp_path, {"descriptions.jsonl": "\n".join(lines)})
    found = folder_rows(tmp_path)
    assert {name: row["description"] for name, row in rows(found, "gallery").items()} == said
    write(tmp_path, {"captions.csv": "file_name,caption,description\na.jpg,One.,\nsub/b.jpg,Two.,Ice."})
    found = folder_rows(tmp_path, shares=(1, 0, 0))
    told = {name: row["description"] for name, row in rows(found, "train").items()}
    assert told == {"a.jpg": "Grass.\nA dog.", "sub/b.jpg": "Ice."}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_what_spreadsheets_export(tmp_path: Path, delimiter: str) -> None:
    touch(tmp_path, ["a.jpg", "b.jpg"])
    lines = [["file_name", "caption"], ["a.jpg", "One, two."], ["b.jpg", "Three."]]
    write(tmp_path, {"captions.csv": "\r\n".join(delimiter.join(line) for line in lines)})
    found = folder_rows(tmp_path)
    assert {name: row["source_captions"] for split in found.splits for name, row in rows(found, split).items()} == {
        "a.jpg": ["One, two."],
        "b.jpg": ["Three."],
    }


def test_json_lines_with_lists(tmp_path: Path) -> None:
    touch(tmp_path, ["a.jpg", "b.mp4"])
    lines = [
        {
            "file_name": "a.jpg",
            "split": "train",
            "text": ["Eins.", "Zwei."],
            "caption_en": ["One."],
            "caption_fr": "Un.",
        },
        {"video": "b.mp4", "split": "train", "caption_de": "Drei.", "description": "Long."},
    ]
    write(tmp_path, {"metadata.jsonl": "\n\n".join(json.dumps(line) for line in lines)})
    found = check_visuals(folder_rows(tmp_path, source_language="de"))
    a, b = rows(found, "train").values()
    assert a["source_language"] == "de" and a["source_captions"] == ["Eins.", "Zwei."]
    # Two source captions in the line, so which of them this translates is not known.
    assert targets(a) == [("en", "One.", None, "human"), ("fr", "Un.", None, "human")]
    assert b["source_captions"] == ["Drei."] and b["image"] is None and b["video"] == str(tmp_path / "b.mp4")


def test_no_metadata_is_a_gallery(tmp_path: Path) -> None:
    touch(tmp_path, ["b.png", "a.jpg", "sub/c.mp4", "text.txt"])
    found = check_visuals(folder_rows(tmp_path))
    gallery = rows(found, "gallery")
    assert list(found.splits) == ["gallery"] and list(gallery) == ["a.jpg", "b.png", "sub/c.mp4"]
    assert gallery["a.jpg"]["source_captions"] == []
    assert gallery["sub/c.mp4"]["video"] == str(tmp_path / "sub" / "c.mp4")


def test_subfolders_name_the_splits(tmp_path: Path) -> None:
    names = ["train/a.jpg", "validation/b.jpg", "test/c.jpg"]
    touch(tmp_path, names)
    write(tmp_path, {"metadata.csv": "file_name,caption\n" + "".join(f"{name},x\n" for name in names)})
    found = folder_rows(tmp_path)
    assert {split: list(rows(found, split)) for split in found.splits} == {
        "train": ["train/a.jpg"],
        "validation": ["validation/b.jpg"],
        "test": ["test/c.jpg"],
    }


def captioned(root: Path, count: int) -> Path:
    return write(
        root, {"metadata.csv": "file_name,caption\n" + "".join(f"{number}.jpg,x\n" for number in range(count))}
    )


def test_shares_are_drawn_in_the_same_way_always(tmp_path: Path) -> None:
    root = captioned(tmp_path, 50)
    found = folder_rows(root)
    there = {split: list(rows(found, split)) for split in found.splits}
    assert {split: len(names) for split, names in there.items()} == {"train": 40, "validation": 5, "test": 5}
    again = folder_rows(root)
    assert {split: list(rows(again, split)) for split in again.splits} == there
    # Not simply the first or the last ones.
    assert there["test"] != [f"{number}.jpg" for number in range(45, 50)]
    assert check_splits(found.splits) == []


def test_other_shares(tmp_path: Path) -> None:
    found = folder_rows(captioned(tmp_path, 50), shares=(0.5, 0.5, 0.0))
    assert {split: len(rows(found, split)) for split in found.splits} == {"train": 25, "validation": 25}
    with pytest.raises(ValueError, match="should add up to 1"):
        folder_rows(tmp_path, shares=(0.5, 0.6, 0.0))


def test_two_images_are_enough_to_train_and_select(tmp_path: Path) -> None:
    found = folder_rows(captioned(tmp_path, 2))
    assert {split: len(rows(found, split)) for split in found.splits} == {"train": 1, "validation": 1}


def test_images_of_the_metadata_that_are_missing(tmp_path: Path) -> None:
    touch(tmp_path, ["0.jpg"])
    with pytest.raises(FileNotFoundError, match="1 of 2 images or videos are missing: .*1.jpg"):
        check_visuals(folder_rows(captioned(tmp_path, 2)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,caption\na.jpg,x\n", "line 2 has no file_name or image or video; it has name, caption"),
        ("file_name,caption\na.jpg,x,y\n", "line 2 has more columns"),
        ("file_name,split\na.jpg,dev\n", "puts a.jpg into 'dev'; use train, validation or test"),
        ("file_name,split\na.jpg,train\na.jpg,test\n", "puts a.jpg into both test and train; choose one"),
        ("file_name,split\na.jpg,train\nb.jpg,\n", "gives some files a split and others none"),
    ],
)
def test_contradictions_are_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"metadata.csv.*{message}"):
        folder_rows(write(tmp_path, {"metadata.csv": content}))


@pytest.mark.parametrize(("line", "message"), [("{", "line 2 is not JSON"), ("[1]", "line 2 is not a JSON object")])
def test_broken_json_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"metadata.jsonl {message}"):
        folder_rows(write(tmp_path, {"metadata.jsonl": f'{{"file_name": "a.jpg"}}\n{line}\n'}))


def test_quoted_line_breaks_and_commas(tmp_path: Path) -> None:
    lines = ['a.jpg,"Two\r\nlines, one caption.",train', "", 'b.jpg,"""Quoted"" größer.",train', "a.jpg,Third.,train"]
    content = "\r\n".join(["file_name,caption,split", *lines])
    found = rows(folder_rows(write(tmp_path, {"metadata.csv": content})), "train")
    assert {name: row["source_captions"] for name, row in found.items()} == {
        "a.jpg": ["Two lines, one caption.", "Third."],
        "b.jpg": ['"Quoted" größer.'],
    }


def test_a_broken_line_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes("file_name,caption\na.jpg,x\nb.jpg,größer\n".encode("latin-1"))
    with pytest.raises(ValueError, match="metadata.csv is not UTF-8 text in line 3"):
        folder_rows(tmp_path)


def test_empty_and_absent_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no image or video, nor metadata.csv or"):
        folder_rows(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        folder_rows(tmp_path / "nowhere")


@pytest.mark.parametrize(("on_disk", "written"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_metadata_name_a_file_in_either_unicode_form(tmp_path: Path, on_disk: str, written: str) -> None:
    names = {form: unicodedata.normalize(form, "š/genève.jpg") for form in ("NFC", "NFD")}
    touch(tmp_path, [names[on_disk]])
    lines = "".join(f"{names[form]},{form} {number}\n" for number, form in enumerate((written, "NFC")))
    found = folder_rows(write(tmp_path, {"metadata.csv": f"file_name,caption\n{lines}"}))
    check_visuals(found)
    assert found.notes == []
    [row] = rows(found, "train").values()
    assert row["id"] == names[on_disk] and row["image"]["path"] == str(tmp_path / names[on_disk])
    assert row["source_captions"] == [f"{written} 0", "NFC 1"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_text_can_be_stored_and_opened(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"d\xfcsseldorf")
    root.mkdir()
    PillowImage.new("RGB", (8, 8), "red").save(root / os.fsdecode(b"caf\xe9.png"))
    (root / "metadata.csv").write_text("file_name,caption\ncaf\\xe9.png,A caf\u00e9.\n", encoding="utf-8")
    for embed in (True, False):
        found = check_visuals(folder_rows(root, shares=(1, 0, 0)))
        write_rows(tmp_path / f"data {embed}", "train", found.splits["train"], embed_images=embed)
        [row] = read_splits(tmp_path / f"data {embed}")["train"]
        assert row["id"] == r"caf\xe9.png" and row["source_captions"] == ["A café."]
        assert open_image(row["image"]).size == (8, 8)


def test_folders_that_cannot_be_read_are_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, ["closed/1.jpg", "open.jpg"])
    close_folders(monkeypatch)
    found = folder_rows(tmp_path)
    assert list(rows(found, "gallery")) == ["open.jpg"]
    assert found.notes == [f"{tmp_path}/closed: the folder cannot be read: Permission denied; nothing in it was read."]
    (tmp_path / "open.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="holds no image or video.*closed: the folder cannot be read"):
        folder_rows(tmp_path)
