"""What is left out of a folder, and by which rule."""

import os
from pathlib import Path

import pytest

from leccr.errors import UserError
from leccr.gallery.ignored import IGNORE_FILE, Ignored, ignored_in
from leccr.gallery.sources import open_source
from leccr.gallery.store.followed import Followed

from . import tiny_gallery


def write(folder: Path, *names: str, **files: str) -> None:
    for number, name in enumerate(names):
        tiny_gallery.paint(folder / name, number)
    for name, patterns in files.items():
        (folder / name.replace("root", ".").replace("_", "/") / IGNORE_FILE).write_text(patterns)


def kept(folder: Path, ignored: Ignored) -> list[str]:
    source = open_source(str(folder), ignored=ignored)
    return [candidate.id for candidate in source.read(0, source.count)]


def test_the_nearest_rule_decides(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "b.png", "sub/a.png", "sub/b.png", "sub/c.png", root="*.png\n!b.png\n", sub="!a.png")
    ignored = Ignored(tmp_path, {tmp_path: ["sub/b.png"]})
    assert kept(tmp_path, ignored) == ["b.png", "sub/a.png"]
    assert ignored.counts == {".leccrignore": 2, "--exclude": 1}
    assert ignored.sentences() == ["Left out 1 file by --exclude.", "Left out 2 files by .leccrignore."]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("sub/", ["a.png", "x/a.jpg.png"]),
        ("/a.png", ["sub/a.png", "sub/b.png", "x/a.jpg.png"]),
        ("a.*", ["sub/b.png"]),
        ("**/sub/a*", ["a.png", "sub/b.png", "x/a.jpg.png"]),
        ("*\n!*/\n!b.png", ["sub/b.png"]),
        ("sub/**\n!sub/b.png", ["a.png", "sub/b.png", "x/a.jpg.png"]),
        ("sub/\n!sub/b.png", ["a.png", "x/a.jpg.png"]),
        ("a*\n!sub/", ["sub/b.png"]),
        ("# comment", ["a.png", "sub/a.png", "sub/b.png", "x/a.jpg.png"]),
        ("", ["a.png", "sub/a.png", "sub/b.png", "x/a.jpg.png"]),
    ],
)
def test_patterns_are_those_of_a_gitignore(tmp_path: Path, pattern: str, left: list[str]) -> None:
    write(tmp_path, "a.png", "sub/a.png", "sub/b.png", "x/a.jpg.png")
    assert kept(tmp_path, Ignored(tmp_path, {tmp_path: pattern.split("\n")})) == left


def test_what_is_left_out_by_default_can_be_taken_back(tmp_path: Path) -> None:
    names = ("@eaDir/a.png", "x/#Recycle/a.png", ".Trash/a.png", "$Recycle.Bin/a.png", ".hidden.png", ".h/a.png")
    write(tmp_path, "a.png", *names)
    ignored = Ignored(tmp_path, {})
    assert kept(tmp_path, ignored) == ["a.png"]
    assert ignored.counts == {"system folder": 4, "hidden": 2}
    assert kept(tmp_path, Ignored(tmp_path, {tmp_path: ["!@eaDir/", "!.h"]})) == [".h/a.png", "@eaDir/a.png", "a.png"]


def test_companions_are_not_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "@eaDir/b.png", root="c*")
    for name in (".DS_Store", "@eaDir/Thumbs.db", "@eaDir/notes.txt"):
        (tmp_path / name).write_text("x")
    ignored = Ignored(tmp_path, {})
    kept(tmp_path, ignored)
    assert ignored.counts == {"system folder": 2}


def test_patterns_of_a_folder_hold_in_its_parts_and_those_of_a_part_only_there(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "b.png", "sub/a.png", "sub/b.png")
    folders = [Followed(str(tmp_path), ("a.png",), False), Followed(str(tmp_path / "sub"), ("b.png",), False)]
    assert kept(tmp_path, ignored_in(folders, str(tmp_path), ())) == ["b.png"]
    with pytest.raises(UserError, match="Left out 2 files by --exclude"):
        open_source(str(tmp_path / "sub"), ignored=ignored_in(folders, str(tmp_path / "sub"), ()))


def test_a_folder_that_is_left_out_is_not_added(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "sub/deep/a.png")
    ignored = ignored_in([Followed(str(tmp_path), ("sub/",), False)], str(tmp_path / "sub" / "deep"), ())
    with pytest.raises(UserError, match="is left out of .* \\(--exclude\\)"):
        open_source(str(tmp_path / "sub" / "deep"), ignored=ignored)


def test_names_in_any_bytes(tmp_path: Path) -> None:
    raw = os.fsdecode(b"caf\xe9")
    write(tmp_path, "a.png", f"{raw}/b.png")
    assert kept(tmp_path, Ignored(tmp_path, {tmp_path: ["caf*/"]})) == ["a.png"]


def test_files_of_patterns_that_cannot_be_used(tmp_path: Path) -> None:
    write(tmp_path, "a.png", root="ok\n!\n")
    with pytest.raises(UserError, match="'!' of line 2 of .*leccrignore is none"):
        kept(tmp_path, Ignored(tmp_path, {}))
    (tmp_path / IGNORE_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="leccrignore is not whole UTF-16"):
        kept(tmp_path, Ignored(tmp_path, {}))
    (tmp_path / IGNORE_FILE).unlink()
    os.mkfifo(tmp_path / IGNORE_FILE)
    assert kept(tmp_path, Ignored(tmp_path, {})) == ["a.png"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("#recycle", "'#recycle' of --exclude is a comment; write \\\\#recycle"),
        ("[[:alpha:]].png", "of --exclude is none"),
        ("a\nb", "'a\\\\nb' of --exclude has a line break"),
    ],
)
def test_patterns_that_would_leave_nothing_out(tmp_path: Path, pattern: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        ignored_in([], str(tmp_path), [pattern])


def test_lines_of_patterns_end_only_where_those_of_a_gitignore_do(tmp_path: Path) -> None:
    write(tmp_path, "a\u2028b.png", "b.png", "c.png", root="a\u2028b.png\r\nc.png\r\n")
    assert kept(tmp_path, Ignored(tmp_path, {})) == ["b.png"]
