"""Rows of data sets from elsewhere read no files of the user's; those that were written here do."""

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from datasets import Dataset

from processing.errors import UserError
from processing.generation.write_back import copy_data
from processing.references import NOTE_FILE, check_references, note_folders, noted_folders
from processing.storage import ROWS_PER_GROUP, read_splits, undecoded, write_rows
from tests.leccr.gallery.tiny_gallery import paint

Image = dict[str, Any]


def as_path(path: str) -> Image:
    return {"image": {"path": path, "bytes": None}}


def as_text(path: str) -> Image:
    return {"image": path}


def as_video(path: str) -> Image:
    return {"video": path}


def foreign(folder: Path, rows: list[dict[str, Any]], name: str = "test-00000-of-00001.parquet") -> Path:
    """Write a data set as somebody else may have made it."""
    folder.mkdir(exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), folder / name)
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return paint(tmp_path / "home" / "mine.png", 1)


@pytest.mark.parametrize(
    "path",
    ["{mine}", "{data}/../home/mine.png", "{data}/x/../../home/mine.png", "../home/mine.png", "~/mine.png", "{mine}x"]
    + ["file://{mine}", "{data}/link.png", "{data}/linked/mine.png", "{data}/..", "/dev/zero", "{data}2/mine.png"]
    + ["{data}\0.png", "http://localhost/mine.png", "C:\\home\\mine.png", "{data}/link.png/../../home/mine.png"],
)  # fmt: skip
def test_a_row_that_names_a_file_outside_is_refused(
    path: str, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = paint(tmp_path / "data" / "a.png", 1).parent
    (data / "link.png").symlink_to(mine)
    (data / "linked").symlink_to(mine.parent)
    shutil.copytree(mine.parent, tmp_path / "data2")
    monkeypatch.chdir(tmp_path / "data2")
    for form in (as_path, as_text, as_video):
        bad = path.format(mine=mine, data=data)
        rows = Dataset.from_list([{"id": "good"} | form(str(data / "a.png")), {"id": "bad\n"} | form(bad)])
        with pytest.raises(UserError, match=r"^Row 'bad\\n' of shard 1 refers to .*, which is not in the data set's"):
            check_references(undecoded(rows), [data], lambda index: f"shard {index}")
        check_references(undecoded(rows.select([0])), [data], str)


@pytest.mark.parametrize("path", ["{data}/a.png", "{data}/b/../a.png", "a.png", "{data}/inner.png", "./b/c.png"])
def test_the_data_sets_own_files_may_be_named(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    for name in ("a.png", "b/c.png"):
        paint(data / name, 1)
    (data / "inner.png").symlink_to("b/c.png")
    monkeypatch.chdir(data)
    for form in (as_path, as_text, as_video):
        check_references(undecoded(Dataset.from_list([{"id": "a"} | form(path.format(data=data))])), [data], str)


def test_the_file_and_the_row_are_named_wherever_they_are(mine: Path, tmp_path: Path) -> None:
    rows = [{"id": f"{number}", "image": {"path": f"{number}.png", "bytes": b"x"}} for number in range(5)]
    data = foreign(tmp_path / "data", rows[:3], "test-00000-of-00002.parquet")
    bad = {"id": "bad", "image": {"path": str(mine), "bytes": None}}
    foreign(data, [rows[3], bad, rows[4]], "test-00001-of-00002.parquet")
    with pytest.raises(UserError, match="Row 'bad' of .*test-00001-of-00002.parquet refers to .*mine.png"):
        read_splits(data)


def test_what_is_embedded_may_have_had_any_name(mine: Path, tmp_path: Path) -> None:
    data = foreign(tmp_path / "data", [{"id": "a", "image": {"path": str(mine), "bytes": b"x"}}])
    assert read_splits(data)["test"][0]["image"]["bytes"] == b"x"


def test_folders_can_be_named(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = foreign(tmp_path / "data", [{"id": "a"} | as_video(str(mine))])
    monkeypatch.setenv("LECCR_ROOTS", os.pathsep.join([str(tmp_path / "none"), str(mine.parent)]))
    assert list(read_splits(data)["test"]["video"]) == [str(mine)]
    monkeypatch.setenv("LECCR_ROOTS", str(tmp_path / "none"))
    with pytest.raises(UserError, match="LECCR_ROOTS"):
        read_splits(data)


class TestWrittenHere:
    @pytest.fixture
    def data(self, mine: Path, tmp_path: Path) -> Path:
        rows = [{"id": "a", "image": str(mine)}, {"id": "b", "video": str(mine.parent / "more" / "b.mp4")}]
        write_rows(tmp_path / "data", "train", rows, embed_images=False)
        return tmp_path / "data"

    def test_other_files_may_be_named(self, data: Path, mine: Path, tmp_path: Path) -> None:
        assert read_splits(data)["train"][0]["image"]["path"] == str(mine)
        assert noted_folders(data) == {str(mine.parent), str(mine.parent / "more")}
        # A second split adds to the note, and moving or copying the data changes nothing.
        write_rows(data, "test", [{"id": "c", "video": str(tmp_path / "c.mp4")}])
        data.rename(tmp_path / "moved")
        copy_data(tmp_path / "moved", tmp_path / "copy")
        for folder in (tmp_path / "moved", tmp_path / "copy"):
            assert {name: len(rows) for name, rows in read_splits(folder).items()} == {"train": 2, "test": 1}

    def test_embedded_pictures_need_no_note(self, mine: Path, tmp_path: Path) -> None:
        write_rows(tmp_path / "embedded", "train", [{"id": "a", "image": str(mine)}])
        assert not (tmp_path / "embedded" / NOTE_FILE).exists()

    def test_a_note_covers_only_the_folders_in_it(self, data: Path, tmp_path: Path) -> None:
        other = paint(tmp_path / "home" / "private" / "x.png", 2)
        foreign(data, [{"id": "x"} | as_path(str(other))], "test-00000-of-00001.parquet")
        with pytest.raises(UserError, match="Row 'x' of .*test-00000-of-00001.parquet refers to .*private/x.png"):
            read_splits(data)

    @pytest.mark.parametrize("change", ["folders", "signature", "key", "no key", "list", "text", "deep", "large"])
    def test_a_note_that_is_not_ours_counts_for_nothing(
        self, change: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        note = json.loads((data / NOTE_FILE).read_text())
        contents = {
            "folders": {**note, "folders": [*note["folders"], "/"]},
            "signature": {**note, "signature": "0" * 64},
            "list": [note],
        }
        texts = {"text": "no JSON", "deep": "[" * 10**5, "large": " " * (2**24 + 1)}
        if change in contents or change in texts:
            (data / NOTE_FILE).write_text(texts.get(change) or json.dumps(contents[change]))
        else:
            monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "of somebody else"))
        if change == "key":
            note_folders(tmp_path, ["/x"])
        assert noted_folders(data) == frozenset()
        with pytest.raises(UserError, match="Row 'a' of .* refers to"):
            read_splits(data)

    def test_a_pipe_as_a_note_stops_nothing(self, data: Path) -> None:
        (data / NOTE_FILE).unlink()
        os.mkfifo(data / NOTE_FILE)
        assert noted_folders(data) == frozenset()

    def test_the_key_is_the_users_own(self, data: Path) -> None:
        key = Path(os.environ["XDG_CONFIG_HOME"], "leccr", "key")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600 and len(key.read_bytes()) == 32
        assert key.read_bytes().hex() not in (data / NOTE_FILE).read_text()

    def test_without_a_home_it_is_told_what_to_do(
        self, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
        write_rows(tmp_path / "data", "train", [{"id": "a", "image": str(mine)}], embed_images=False)
        assert "name their folders in the variable LECCR_ROOTS" in capsys.readouterr().out
        monkeypatch.setenv("LECCR_ROOTS", str(mine.parent))
        assert len(read_splits(tmp_path / "data")["train"]) == 1


def test_many_rows_are_checked_quickly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folder is looked up once, and nothing is asked about pictures that are embedded."""
    folder = tmp_path.resolve()
    rows = [{"id": f"{number}", "video": f"{folder}/{number}.mp4"} for number in range(3 * ROWS_PER_GROUP)]
    asked: list[Any] = []
    realpath = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: asked.append(path) or realpath(path))
    check_references(undecoded(Dataset.from_list(rows)), [folder], lambda index: "it")
    assert list(map(str, asked)).count(str(folder)) == 2
