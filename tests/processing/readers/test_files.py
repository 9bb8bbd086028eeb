import gzip
from pathlib import Path

import pytest
from datasets import Dataset

from processing.errors import UserError
from processing.readers.files import (
    CaptionLine,
    Rows,
    Target,
    clean,
    files_by_stem,
    find,
    image_key,
    make_row,
    read_caption_lines,
    read_ids,
    read_json,
    read_lines,
    require,
)
from processing.schema import ROW_FEATURES
from tests.closed_folders import close_folders

from .layout import touch, write


def test_lines_of_every_spelling_are_equal(tmp_path: Path) -> None:
    plain = "eins\nzwei\n\n四 五\n"
    spellings = {
        "plain.txt": plain.encode(),
        "without_end.txt": plain.rstrip("\n").encode(),
        "windows.txt": plain.replace("\n", "\r\n").encode(),
        "mark.txt": b"\xef\xbb\xbf" + plain.encode(),
        "both.txt.gz": gzip.compress(b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode()),
    }
    write(tmp_path, {name: data for name, data in spellings.items() if not name.endswith(".gz")})
    (tmp_path / "both.txt.gz").write_bytes(spellings["both.txt.gz"])
    for name in spellings:
        assert read_lines(tmp_path / name) == ["eins", "zwei", "", "四 五"], name


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    """str.splitlines would cut here, and files that are parallel by line would no longer be."""
    write(tmp_path, {"a.txt": "one\u2028still one\x0band\x85on\ntwo"})
    assert read_lines(tmp_path / "a.txt") == ["one\u2028still one\x0band\x85on", "two"]


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.txt is not UTF-8 text in line 1; save it as UTF-8"):
        read_lines(tmp_path / "latin.txt")


def test_all_white_space_becomes_one_space() -> None:
    assert clean("\t两只狗\u3000在 \u00a0草地\t上 \n") == "两只狗 在 草地 上"


def test_caption_lines(tmp_path: Path) -> None:
    lines = [
        "\ufeff1000_ab.jpg#enc#0 A dog .",
        "",
        "my.jpg.photo.jpg#zhc#12\t两只狗\u3000跑",
        "COCO_val2014_000000000001#0\t一只狗",
        "video7#enc2zh#3\u3000一个人",
        "   ",
        "clip.mp4#enc#1  Two   words ",
    ]
    write(tmp_path, {"x.caption.txt": "\r\n".join(lines)})
    notes: list[str] = []
    assert list(read_caption_lines(tmp_path / "x.caption.txt", notes)) == [
        CaptionLine("1000_ab", "enc", 0, "A dog ."),
        CaptionLine("my.jpg.photo", "zhc", 12, "两只狗 跑"),
        CaptionLine("COCO_val2014_000000000001", "", 0, "一只狗"),
        CaptionLine("video7", "enc2zh", 3, "一个人"),
        CaptionLine("clip", "enc", 1, "Two words"),
    ]
    assert notes == []


def test_repeated_and_empty_captions_are_counted(tmp_path: Path) -> None:
    write(tmp_path, {"x.txt": "a#enc#0 first\na#enc#0 second\na#enc#1\nb#enc#0 \u3000\nb#zh#0 x\n"})
    notes: list[str] = []
    found = [(line.id, line.text) for line in read_caption_lines(tmp_path / "x.txt", notes)]
    assert found == [("a", "first"), ("b", "x")]
    assert notes == [
        "x.txt repeats 1 caption ids; the first of each is kept.",
        "x.txt has 2 empty captions; they are left out.",
    ]


@pytest.mark.parametrize("line", ["a.jpg enc 0 text", "a.jpg#enc#x text", "#enc#0 text", "a b#enc#0 text"])
def test_a_line_of_another_form_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"x.txt": f"a#enc#0 fine\n\n{line}\n"})
    with pytest.raises(ValueError, match="x.txt line 3 is not of the form"):
        list(read_caption_lines(tmp_path / "x.txt", []))


def test_ids(tmp_path: Path) -> None:
    write(tmp_path, {"ids.txt": "\ufeffb.jpg\r\n\r\na\r\n b \r\nx.jpg.y.jpg\r\n"})
    notes: list[str] = []
    assert read_ids(tmp_path / "ids.txt", notes) == ["b", "a", "x.jpg.y"]
    assert notes == ["ids.txt repeats 1 ids; each is taken once."]


def test_broken_json_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a.json": '\ufeff{"x": 1}', "b.json": '{"x": '})
    assert read_json(tmp_path / "a.json") == {"x": 1}
    with pytest.raises(ValueError, match="b.json is not complete JSON"):
        read_json(tmp_path / "b.json")


def test_all_that_is_missing_is_in_one_message(tmp_path: Path) -> None:
    touch(tmp_path, ["a", "c.gz"])
    paths = [tmp_path / "a", tmp_path / "b", [tmp_path / "c", tmp_path / "c.gz"], [tmp_path / "d", tmp_path / "d.gz"]]
    with pytest.raises(FileNotFoundError) as error:
        require(paths, "The set", "example.org")
    assert str(error.value) == (
        f"The set is incomplete, these are missing: {tmp_path}/b, {tmp_path}/d or {tmp_path}/d.gz. "
        "It is published at example.org."
    )
    assert require(paths[:1] + paths[2:3], "The set", "example.org") == [tmp_path / "a", tmp_path / "c.gz"]


def test_the_newest_version_is_found_one_folder_below(tmp_path: Path) -> None:
    assert find(tmp_path, "v*.json") == tmp_path / "v*.json"
    touch(tmp_path, ["sub/v1.json", "sub/v2.json", "sub/deep/v3.json"])
    assert find(tmp_path, "v*.json") == tmp_path / "sub" / "v2.json"
    touch(tmp_path, ["v0.json"])
    assert find(tmp_path, "v*.json") == tmp_path / "v0.json"


def test_files_by_stem(tmp_path: Path) -> None:
    touch(tmp_path, ["a/x.JPG", "b/x.jpg", "y.jpg.png", "z.txt"])
    found = files_by_stem(tmp_path, (".jpg", ".png"))
    assert found == {"x": tmp_path / "a" / "x.JPG", "y.jpg": tmp_path / "y.jpg.png"}


def test_rows_follow_the_schema_and_numbers_become_places() -> None:
    row = make_row(
        "a",
        {4: "four", 1: "one"},
        [
            Target("de", "vier", 4, "machine:x"),
            Target("de", "zwei", 2, "machine:x"),
            Target("fr", "deux", 2, "human"),
            Target("fr", "seul", None, "human"),
        ],
        image=Path("a.jpg"),
    )
    assert list(row) == list(ROW_FEATURES)
    assert row["source_captions"] == ["one", "four"]
    found = [(target["text"], target["source_number"]) for target in row["target_captions"]]
    # Caption 2 is not there: a translation of it by a machine has nothing to stand on.
    assert found == [("vier", 1), ("deux", None), ("seul", None)]
    assert Dataset.from_list([row], features=ROW_FEATURES)[:0]["id"] == []


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("1000268201_693b08cb0e", "1000268201"),
        ("1000268201_693b08cb0e.jpg", "1000268201"),
        ("1000268201", "1000268201"),
        ("COCO_val2014_000000391895", "coco 391895"),
        ("000000391895.jpg", "coco 391895"),
        ("391895", "391895"),
        ("holiday_2020", "holiday_2020"),
    ],
)
def test_image_key(name: str, key: str) -> None:
    assert image_key(name) == key


def test_rows_can_be_read_again() -> None:
    existing = Rows.of(lambda split: ({"id": f"{split} {number}"} for number in range(2)), ["train", "test"])
    for _ in range(2):
        assert [row["id"] for row in existing["test"]] == ["test 0", "test 1"]


def test_a_folder_that_cannot_be_read_is_no_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.jpg", "closed/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert files_by_stem(tmp_path, (".jpg",)) == {"1": tmp_path / "a/1.jpg", "2": tmp_path / "closed/2.jpg"}
    assert files_by_stem(tmp_path / "none", (".jpg",)) == {}
    close_folders(monkeypatch)
    with pytest.raises(UserError, match="closed: the folder cannot be read: Permission denied; make it readable."):
        files_by_stem(tmp_path, (".jpg",))


def test_a_packed_text_that_is_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processing.readers.files.LARGEST_TEXT", 1000)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"x" * 1001))
    with pytest.raises(UserError, match="a.txt.gz unpacks to more than"):
        read_lines(tmp_path / "a.txt.gz")
