import errno
import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import space_sources
from space_errors import SpaceError
from space_sources import open_source

from tests.leccr.gallery.tiny_gallery import paint


def test_descriptions_come_in_three_layouts(tmp_path: Path) -> None:
    for number, name in enumerate(("a.png", "b.JPG", "sub/c.webp", "sub/d.png", ".hidden/e.png")):
        paint(tmp_path / name, number)
    (tmp_path / "note.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "sub" / "metadata.jsonl").write_text('{"file_name": "c.webp", "text": "See."}\n', encoding="utf-8")
    (tmp_path / "descriptions.jsonl").write_text('{"id": "b.JPG", "description": "Baum."}\n\n', encoding="utf-8")
    (tmp_path / "descriptions.json").write_text('{"a.png": " Ápfel. ", "sub/d.png": 7}', encoding="utf-8")
    source = open_source(tmp_path)
    assert {picture.name: picture.description for picture in source.pictures} == {
        "a.png": "Ápfel.",
        "b.JPG": "Baum.",
        "sub/c.webp": "See.",
        "sub/d.png": None,
    }
    assert (source.title, source.ideas, source.left_out) == (tmp_path.name, [], 0)


def test_a_gallery_can_bring_its_own_ideas(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 1)
    ideas = [{"en": "a house", "de": "ein Haus", "fr": 3}, "no idea", {}]
    (tmp_path / "ideas.json").write_text(json.dumps(ideas), encoding="utf-8")
    assert open_source(tmp_path).ideas == [{"en": "a house", "de": "ein Haus"}]


@pytest.mark.parametrize("name", ["metadata.jsonl", "descriptions.jsonl", "descriptions.json", "ideas.json"])
@pytest.mark.parametrize("content", [b"{broken", b"\xff\xfe\xff"])
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    paint(tmp_path / "a.png", 1)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpaceError, match=name):
        open_source(tmp_path)


def test_a_large_gallery_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        paint(tmp_path / f"{number}.png", number)
    monkeypatch.setattr(space_sources, "MOST_PICTURES", 3)
    source = open_source(tmp_path)
    assert ([picture.name for picture in source.pictures], source.left_out) == (["0.png", "1.png", "2.png"], 2)


def test_a_data_set_of_the_hub_is_a_folder_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "snapshot" / "a.png", 1)
    asked = {}

    def download(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(space_sources, "snapshot_download", download)
    source = open_source("org/pictures")
    assert (source.title, len(source.pictures)) == ("pictures", 1)
    assert (asked["name"], asked["repo_type"]) == ("org/pictures", "dataset")
    assert "*.png" in asked["allow_patterns"] and "*.py" not in asked["allow_patterns"]


@pytest.mark.parametrize("name", ["org/none", "no/such/folder/at/all", ""])
def test_what_is_not_there_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SpaceError, match="no pictures|neither a folder nor a data set") as caught:
        open_source(name or Path(__file__).parent)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_of_any_bytes_and_unicode_form(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "genève.png") for form in ("NFC", "NFD"))
    for number, name in enumerate((decomposed, os.fsdecode(b"caf\xe9.png"))):
        paint(tmp_path / name, number)
    (tmp_path / "descriptions.json").write_text(json.dumps({composed: "A lake."}), encoding="utf-8")
    pictures = open_source(str(tmp_path)).pictures
    assert {picture.name: picture.description for picture in pictures} == {decomposed: "A lake.", r"caf\xe9.png": None}


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("name", ["sub", "sub/deeper", os.fsdecode(b"caf\xe9")])
def test_folders_that_cannot_be_read_are_named(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if Path(path) == tmp_path / name:
            raise OSError(code, os.strerror(code), str(path))
        return scandir(path)

    paint(tmp_path / "a.png", 0)
    paint(tmp_path / name / "b.png", 1)
    monkeypatch.setattr(os, "scandir", refuse)
    source = open_source(tmp_path)
    assert [picture.name for picture in source.pictures] == ["a.png"]
    assert list(source.unreadable) == [name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")]
    (tmp_path / "a.png").unlink()
    with pytest.raises(SpaceError, match="holds no pictures that can be read; the folder .* cannot be read"):
        open_source(tmp_path)


def test_loops_and_dead_links_are_no_pictures(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 0)
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dead.png").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    source = open_source(tmp_path)
    assert [picture.name for picture in source.pictures] == ["a.png"] and not source.unreadable
