"""Files of text in UTF-8, UTF-16 and UTF-32 are read, and all others are refused by name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from processing.descriptions import read_descriptions
from processing.errors import UserError
from processing.readers.files import read_json, read_lines
from processing.readers.folder import folder_rows
from processing.readers.metadata import Metadata
from processing.text_files import read_text
from tests.tiny_data import picture

CSV = "file_name,caption\na.jpg,Červený pes běží\nb.jpg,一只狗 größer\n"
MARKED = {"utf-8-sig": "utf-8-sig", "utf-16": "utf-16", "utf-32": "utf-32"}
REFUSED = {
    "cp1252": "a.jpg,größer café",
    "mac_roman": "a.jpg,größer café",
    "gb18030": "a.jpg,一只红色的狗",
    "big5": "a.jpg,一隻狗",
    "shift_jis": "a.jpg,赤い犬",
    "euc_jp": "a.jpg,赤い犬",
    "iso2022_jp": "a.jpg,赤い犬",
    "iso2022_kr": "a.jpg,개가 달린다",
    "koi8_r": "a.jpg,собака",
    "utf-16-le": "a.jpg,a dog",
    "utf-16-be": "a.jpg,a dog",
}
READERS: dict[str, Callable[[Path], object]] = {
    "read_text": read_text,
    "read_lines": read_lines,
    "read_json": read_json,
    "metadata": lambda path: list(Metadata(path)),
}


@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_says_its_encoding_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "metadata.csv"
    path.write_bytes(CSV.replace("\n", end).encode(encoding))
    assert read_text(path) == CSV.replace("\n", end)
    assert read_lines(path) == CSV.split("\n")[:-1]
    metadata = Metadata(path)
    assert [metadata[name][0]["caption"] for name in ("b.jpg", "a.jpg")] == ["一只狗 größer", "Červený pes běží"]


@pytest.mark.parametrize("mark", [b"\xfe\xff", b"\xff\xfe"])
def test_both_orders_of_bytes(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "metadata.csv"
    path.write_bytes(mark + CSV.replace(",", "\t").encode("utf-16-be" if mark == b"\xfe\xff" else "utf-16-le"))
    assert Metadata(path)["a.jpg"] == [{"file_name": "a.jpg", "caption": "Červený pes běží"}]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("encoding", REFUSED)
def test_other_encodings_are_refused_by_the_files_name(tmp_path: Path, encoding: str, reader: str) -> None:
    path = tmp_path / "metadata.csv"
    path.write_bytes(("file_name,caption\n" + REFUSED[encoding] + "\n").encode(encoding))
    with pytest.raises(UserError, match="metadata.csv (is not|has a NUL).*save it as UTF-8.*iconv") as refused:
        READERS[reader](path)
    assert "in line 1" in str(refused.value) if encoding.startswith("utf-16") else "in line " in str(refused.value)


def test_half_a_file_in_utf_16(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes(CSV.encode("utf-16")[:-1])
    with pytest.raises(UserError, match="metadata.csv is not whole UTF-16 text"):
        Metadata(tmp_path / "metadata.csv")


def test_descriptions_of_a_gallery(tmp_path: Path) -> None:
    path, line = tmp_path / "descriptions.jsonl", '{"id": "a.jpg", "description": "größer"}'
    path.write_text(line, encoding="utf-16")
    assert read_descriptions(tmp_path)["a.jpg"] == "größer"
    path.write_text(line, encoding="cp1252")
    with pytest.raises(UserError, match="descriptions.jsonl is not UTF-8 text in line 1"):
        read_descriptions(tmp_path)


class TestPaths:
    """Files that the metadata name by other paths than `sub/a.jpg`."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "photos" / "sub").mkdir(parents=True)
        picture().save(tmp_path / "photos" / "sub" / "a.jpg")
        return tmp_path / "photos"

    @pytest.mark.parametrize(
        "name",
        [r"sub\a.jpg", r".\sub\a.jpg", "{root}/sub/a.jpg", "./sub/a.jpg", "sub/../sub/a.jpg", "{link}/sub/a.jpg"],
    )
    def test_they_are_found_and_nothing_is_left_out(self, root: Path, name: str) -> None:
        link = root.parent / "link"
        link.symlink_to(root)
        given = name.format(root=root, link=link)
        (root / "metadata.csv").write_text(f"file_name,caption\n{given},A dog\n", encoding="utf-8")
        for folder in (root, link) if "{root}" not in name and "{link}" not in name else (link,):
            collection = folder_rows(folder)
            [row] = [row for rows in collection.splits.values() for row in rows]
            assert (row["id"], row["source_captions"], collection.notes) == ("sub/a.jpg", ["A dog"], [])
            assert Path(row["image"]["path"]).is_file()

    @pytest.mark.parametrize("name", [r"C:\Users\me\a.jpg", "D:/photos/a.jpg", r"\\server\share\a.jpg"])
    def test_paths_of_another_computer_are_refused(self, root: Path, name: str) -> None:
        (root / "metadata.csv").write_text(f"file_name,caption\n{name},A dog\n", encoding="utf-8")
        with pytest.raises(UserError, match="line 2 names .*a.jpg, a path of another computer; write .* such as a.jpg"):
            folder_rows(root)

    def test_a_backslash_may_be_part_of_a_name(self, root: Path) -> None:
        picture().save(root / r"a\b.jpg")
        (root / "metadata.csv").write_text("file_name,caption\na\\b.jpg,A dog\n", encoding="utf-8")
        [row] = [row for rows in folder_rows(root).splits.values() for row in rows]
        assert row["id"] == r"a\b.jpg"

    @pytest.mark.parametrize("value", ["[[1, 2], [3, 4]]", '{"bytes": "SECRET"}', "true"])
    def test_content_in_place_of_a_name_is_not_printed(self, root: Path, value: str) -> None:
        (root / "metadata.jsonl").write_text(f'{{"image": {value}, "caption": "A dog"}}\n', encoding="utf-8")
        with pytest.raises(UserError, match="line 1 has a (list|dict|bool) in place of a file's name") as refused:
            folder_rows(root)
        assert "SECRET" not in str(refused.value) and "[" not in str(refused.value)
