"""Files and folders of any name, and folders that cannot be read, from the index to the answer."""

import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery.sources import open_source
from leccr.models.encoder import Encoder
from processing.screen import shown
from tests.closed_folders import close_folders
from tests.leccr.gallery.tiny_gallery import paint, run
from tests.processing.test_screen import HOSTILE

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
GENEVA = {form: unicodedata.normalize(form, "genève.png") for form in ("NFC", "NFD")}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A folder of two pictures whose names, like its own, are not UTF-8."""
    folder = tmp_path / os.fsdecode(b"d\xfcsseldorf")
    for number, name in enumerate((b"caf\xe9.png", b"\xff/\xfe.png")):
        paint(folder / os.fsdecode(name), number)
    return folder


@only_linux
def test_names_that_are_no_text_are_stored_and_found_again(raw: Path, tmp_path: Path, encoder: Encoder) -> None:
    with Gallery.build(raw, encoder, tmp_path / "g") as gallery:
        assert gallery.report is not None and (gallery.report.added, gallery.report.broken) == (2, [])
        results = {result.id: result for result in gallery.search("en red 1")}
        assert sorted(results) == [r"\xff/\xfe.png", r"caf\xe9.png"]
        assert results[r"caf\xe9.png"].file == raw / os.fsdecode(b"caf\xe9.png")
        assert all(result.file and result.file.is_file() for result in results.values())
        assert gallery.check(files=True).problems == []
        again = gallery.add(raw)
        assert (again.added, again.replaced, again.unchanged) == (0, 0, 2)
        found = gallery.search("en red 1", where=r"path~caf\xe9")
        assert [result.id for result in found] == [r"caf\xe9.png"]
        assert gallery.search("en red 1", where=os.fsdecode(b"path~caf\xe9")) == found
        gallery.remove([str(raw / os.fsdecode(b"\xff"))])
        gallery.remove([r"caf\xe9.png"])
        assert len(gallery) == 0


@only_linux
def test_commands_show_names_that_are_no_text(raw: Path, tmp_path: Path, model: Path) -> None:
    done = run("index", raw, "--model", model, "--out", tmp_path / "g")
    assert done.exit_code == 0, done.output
    done = run("search", tmp_path / "g", "en red 1", "--sheet", tmp_path / "sheet.png")
    assert done.exit_code == 0, done.output
    assert r"  caf\xe9.png  " in done.stdout and (tmp_path / "sheet.png").is_file()
    record = json.loads(run("search", tmp_path / "g", "en red 1", "--json").stdout)
    assert {result["file"] for result in record["results"]} == {str(path) for path in raw.rglob("*.png")}
    assert r"d\xfcsseldorf" in run("gallery", "info", tmp_path / "g").stdout
    (raw / os.fsdecode(b"caf\xe9.png")).unlink()
    assert r"such as caf\xe9.png" in run("gallery", "check", tmp_path / "g").stdout


@only_linux
def test_two_files_of_one_stored_name_are_told(raw: Path) -> None:
    paint(raw / r"caf\xe9.png", 3)
    source = open_source(str(raw))
    assert source.count == 2
    assert [reason for _, reason in source.left_out] == [
        "another file is stored under the same name; rename one of them"
    ]


@pytest.mark.parametrize(("stored", "typed"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_a_name_is_found_in_both_unicode_forms(stored: str, typed: str, tmp_path: Path, encoder: Encoder) -> None:
    paint(tmp_path / "p" / GENEVA[stored], 0)
    paint(tmp_path / "p" / "other.png", 1)
    record = {"id": GENEVA[typed], "description": f"Aus {GENEVA[typed]}"}
    (tmp_path / "p" / "descriptions.jsonl").write_text(json.dumps(record), encoding="utf-8")
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
        for where in ("path~{}", "path={}", "description~{}"):
            name = GENEVA[typed]
            part = where.format(name.upper() if where == "path~{}" else name)
            assert [result.id for result in gallery.search("en red 1", where=part)][:1] == [GENEVA[stored]], part
        assert [result.id for result in gallery.search("en red 1", where=f"path!={GENEVA[typed]}")] == ["other.png"]
        assert [item.id for item in gallery.remove([GENEVA[typed]])] == [GENEVA[stored]]


@only_linux
@pytest.mark.parametrize(
    "name", [name for name in HOSTILE if name not in ("half a pair", "a NUL, a tab and a backspace")]
)
def test_names_and_descriptions_forge_nothing(name: str, tmp_path: Path, model: Path) -> None:
    text, escaped = HOSTILE[name]
    paint(tmp_path / "p" / f"{text}.png", 0)
    (tmp_path / "p" / f"broken {text}.png").write_text("no picture")
    if name != "bytes":
        record = {"id": f"{text}.png", "description": text}
        (tmp_path / "p" / "descriptions.jsonl").write_text(json.dumps(record), encoding="utf-8")
    done = run("index", tmp_path / "p", "--model", model, "--out", tmp_path / "g")
    assert done.exit_code == 0 and f"  broken {escaped}.png cannot be decoded" in done.stdout, done.output
    done = run("search", tmp_path / "g", "en red 1")
    assert len(done.stdout.splitlines()) == 2 and f" {escaped}.png " in done.stdout
    assert text not in done.output
    [result] = json.loads(run("search", tmp_path / "g", "en red 1", "--json").stdout)["results"]
    assert result["file"] == str(tmp_path / "p" / f"{text}.png")
    assert name == "bytes" or result["description"] == text
    # The filter, the folder and the query come back in messages.
    done = run("search", tmp_path / f"no {text}", "en red 1")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert shown(" ".join(text.split())) in done.stderr


def test_a_folder_that_cannot_be_read_is_named_and_counted(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "p" / "closed" / "1.png", 0)
    paint(tmp_path / "p" / "open.png", 1)
    close_folders(monkeypatch)
    expected = f"1 left out:\n  {tmp_path}/p/closed: the folder cannot be read: Permission denied\n"
    done = run("index", tmp_path / "p", "--model", model, "--out", tmp_path / "g")
    assert done.exit_code == 0 and expected in done.stdout, done.output
    assert expected in run("gallery", "add", tmp_path / "g", tmp_path / "p").stdout
    (tmp_path / "p" / "open.png").unlink()
    with pytest.raises(UserError, match="no photos or videos that can be read: .*closed: .*Permission denied"):
        open_source(str(tmp_path / "p"))


def test_a_file_without_permission_is_named(tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "p" / "closed.png", 0)
    paint(tmp_path / "p" / "open.png", 1)
    opened = Path.open

    def refuse(self: Path, *args: Any, **options: Any) -> Any:
        if self.name == "closed.png":
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
        assert gallery.report is not None and gallery.report.added == 1
        assert gallery.report.broken == [("closed.png", f"{tmp_path}/p/closed.png cannot be read: Permission denied.")]


def test_a_line_that_is_no_text_does_not_end_the_others(built: Path, tmp_path: Path) -> None:
    lines = b"\xef\xbb\xbfde red 1\n\xe9t\xe9\nzh blue 1\n\xff\xfe\n"
    (tmp_path / "queries.txt").write_bytes(lines)
    search = ("search", built / "gallery", "-k", 1, "--json")
    for done in (run(*search, "--queries", tmp_path / "queries.txt"), run(*search, input=lines)):
        assert done.exit_code == 0, done.output
        assert [json.loads(line)["query"] for line in done.stdout.splitlines()] == ["de red 1", "zh blue 1"]
        warnings = [line for line in done.stderr.splitlines() if line.startswith("Line ")]
        assert [line.split(" of ")[0] for line in warnings] == ["Line 2", "Line 4"]
        assert "is not UTF-8 text at byte 1; it is left out." in warnings[0]


def test_a_query_that_is_no_text_is_one_line(built: Path) -> None:
    done = run("search", built / "gallery", os.fsdecode(b"caf\xe9"))
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert "The query has characters that are not valid text" in done.stderr
