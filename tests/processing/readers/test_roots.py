"""A file of captions from elsewhere reads nothing but the pictures and videos below the folder that was named."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from leccr.cli import app
from processing.errors import UserError
from processing.readers.roots import Roots


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for path in (root / "a.jpg", root / "sub" / "b.png", tmp_path / "outside.jpg"):
        Image.new("RGB", (8, 8), "red").save(path)
    (tmp_path / "private").write_text("secret")
    return root


def prepare(root: Path, names: list[str], jsonl: bool = False, **options: str) -> tuple[int, str]:
    records = [{"file_name": name, "caption": "A text."} for name in names]
    if jsonl:
        text = "".join(json.dumps(record) + "\n" for record in records)
    else:
        text = "file_name,caption\n" + "".join(f"{name},A text.\n" for name in names)
    (root / ("captions.jsonl" if jsonl else "captions.csv")).write_text(text)
    out = root.parent / "out"
    words = ["prepare", "folder", "--root", str(root), "--out", str(out)]
    result = CliRunner().invoke(app, [*words, *(word for option in options.items() for word in option if word)])
    if result.exit_code:
        assert not out.exists()
        assert "Traceback" not in result.output
    else:
        assert b"secret" not in b"".join(path.read_bytes() for path in out.iterdir())
    return result.exit_code, result.stderr


@pytest.mark.parametrize("jsonl", [False, True], ids=["csv", "jsonl"])
@pytest.mark.parametrize(
    "name",
    [
        "{parent}/private",
        "../private",
        "../outside.jpg",
        "sub/../../outside.jpg",
        "{parent}/outside.jpg",
        "link.jpg",
        "folder/outside.jpg",
        "/proc/self/environ",
        "file://{parent}/private",
        "https://example.org/a.jpg",
        "text.jpg",
        "pipe.jpg",
        "alias-of-text.jpg",
    ],
)
def test_other_files_are_refused_by_row_and_name(root: Path, name: str, jsonl: bool) -> None:
    (root / "link.jpg").symlink_to(root.parent / "private")
    (root / "folder").symlink_to(root.parent)
    (root / "text.jpg").write_text("secret")
    (root / "alias-of-text.jpg").symlink_to("text.jpg")
    os.mkfifo(root / "pipe.jpg")
    name = name.format(parent=root.parent)
    code, said = prepare(root, ["a.jpg", name], jsonl)
    assert code == 2
    [line] = [line for line in said.splitlines() if line.startswith("Error")]
    assert "secret" not in line and Path(name).name.split("?")[0] in line


@pytest.mark.parametrize("name", ["sub/b.png", "./sub/b.png", "sub/../sub/b.png", "{root}/sub/b.png", "alias.png"])
def test_files_below_the_root_are_taken_however_they_are_named(root: Path, name: str) -> None:
    (root / "alias.png").symlink_to("sub/b.png")
    code, said = prepare(root, ["a.jpg", name.format(root=root)])
    assert code == 0, said


def test_a_root_that_is_a_link_itself_is_the_users_choice(root: Path) -> None:
    link = root.parent / "link"
    link.symlink_to(root)
    assert prepare(link, ["a.jpg", f"{root}/sub/b.png"])[0] == 0


def test_what_is_no_picture_is_left_out_and_counted_if_wanted(root: Path) -> None:
    (root / "text.jpg").write_text("secret")
    assert prepare(root, ["a.jpg", "sub/b.png", "text.jpg"], **{"--skip-broken": ""})[0] == 0


def test_several_roots(root: Path) -> None:
    row = {"id": "x", "image": {"path": str(root.parent / "outside.jpg"), "bytes": None}, "video": None}
    with pytest.raises(UserError, match="outside"):
        Roots([root]).check(row)
    Roots([root, root.parent]).check(row)
    Roots([]).check(row)
    for name, part in (("a\0.jpg", "NUL"), ("x" * 5000, "cannot be read"), ("file:/a", "address")):
        with pytest.raises(UserError, match=part):
            Roots([root]).check({**row, "image": None, "video": str(root / name)})


def test_another_folder_that_was_named_may_be_read(root: Path) -> None:
    other = root.parent / "other"
    other.mkdir()
    Image.new("RGB", (8, 8), "blue").save(other / "c.png")
    (root / "link.png").symlink_to(other / "c.png")
    assert prepare(root, ["a.jpg", "link.png"])[0] == 2
    assert prepare(root, ["a.jpg", "link.png", str(other / "c.png")], **{"--images": str(other)})[0] == 0
