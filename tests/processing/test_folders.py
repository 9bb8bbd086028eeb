import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processing.folders import file_identity, walk_files


def walk(root: Path, **options: bool) -> tuple[list[str], list[tuple[str, str]]]:
    problems: list[tuple[str, str]] = []
    files = [path.relative_to(root).as_posix() for path in walk_files(root, problems, **options)]
    return files, [(Path(name).name, reason) for name, reason in problems]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.png", "a/1.png", ".hidden/3.png", "0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_hidden_folders_only_if_asked_for(tree: Path) -> None:
    assert walk(tree) == (["0.png", "a/1.png", "b/2.png"], [])
    assert walk(tree, hidden=True)[0] == ["0.png", ".hidden/3.png", "a/1.png", "b/2.png"]


def test_links_are_followed_once_or_not(tree: Path) -> None:
    (tree / "a" / "up").symlink_to(tree)
    (tree / "c").symlink_to("b")
    (tree / "d").symlink_to("d")
    (tree / "gone").symlink_to("nowhere")
    # Dead links count as files, which whoever reads them names.
    assert walk(tree) == (["0.png", "d", "gone", "a/1.png", "b/2.png"], [])
    assert walk(tree, follow_links=False) == (["0.png", "d", "gone", "a/1.png", "b/2.png"], [])


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENAMETOOLONG])
def test_a_folder_that_cannot_be_read_is_named(tree: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "a":
            raise OSError(code, os.strerror(code), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert walk(tree) == (["0.png", "b/2.png"], [("a", f"the folder cannot be read: {os.strerror(code)}")])


def test_a_folder_that_vanishes_meanwhile_is_named(tree: Path) -> None:
    problems: list[tuple[str, str]] = []

    def files() -> Iterator[str]:
        for path in walk_files(tree, problems):
            shutil.rmtree(tree / "b", ignore_errors=True)
            yield path.name

    assert list(files()) == ["0.png", "1.png"]
    assert [(Path(name).name, reason) for name, reason in problems] == [
        ("b", "the folder cannot be read: No such file or directory")
    ]


def test_names_of_the_same_file(tree: Path) -> None:
    (tree / "link").symlink_to("0.png")
    assert file_identity(tree / "link") == file_identity(tree / "0.png") != file_identity(tree / "a" / "1.png")
    assert file_identity(tree / "none") is None
