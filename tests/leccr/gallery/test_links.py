"""An untrusted gallery may hold links, and nothing is written through any of them."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery.store.catalogue import FILE
from leccr.gallery.store.untrusted import NAMES_ANOTHER_FILE, files_changed_in_place
from leccr.models.encoder import Encoder

from .tiny_gallery import paint, run

VIEWS = "views-1.fp32"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere" / "precious.txt"
    path.parent.mkdir()
    path.write_bytes(b"precious")
    return path


def replace_with_link(file: Path, target: Path, hard: bool = False) -> None:
    file.unlink(missing_ok=True)
    os.link(target, file) if hard else file.symlink_to(target)


CHANGES: dict[str, Callable[[Gallery, Path], object]] = {
    "add": lambda gallery, photo: gallery.add(photo),
    "convert": lambda gallery, photo: gallery.convert(store="fp16"),
    "index": lambda gallery, photo: gallery.convert(ann="hnsw"),
    "remove": lambda gallery, photo: gallery.remove(where="id~red"),
}


@pytest.mark.parametrize("hard", [False, True], ids=["symbolic", "hard"])
@pytest.mark.parametrize("name", [VIEWS, "descriptions.jsonl", "gallery.sqlite-journal"])
@pytest.mark.parametrize("change", CHANGES)
def test_no_change_writes_through_a_link(
    folder: Path, encoder: Encoder, victim: Path, tmp_path: Path, change: str, name: str, hard: bool
) -> None:
    photo = paint(tmp_path / "more" / "new.png", 99)
    if name == VIEWS:
        # Long enough to be taken for views, and wrong, so that repairing would write.
        victim.write_bytes(b"x" * (folder / VIEWS).stat().st_size)
    if name == "descriptions.jsonl":
        victim.write_text('{"id": "red0.png", "description": "a red one"}\n')
    content = victim.read_bytes()
    replace_with_link(folder / name, victim, hard)
    with pytest.raises(UserError, match=f"{name} is a link|damaged"):
        CHANGES[change](Gallery.open(folder, encoder), photo)
    assert victim.read_bytes() == content and victim.exists()


def test_a_catalogue_that_is_a_link_is_searched_and_not_changed(folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    (folder / FILE).rename(other)
    content = other.read_bytes()
    (folder / FILE).symlink_to(other)
    gallery = Gallery.open(folder, encoder)
    assert gallery.search("en red 1", 3)
    for change in CHANGES.values():
        with pytest.raises(UserError, match=f"{FILE} is a link"):
            change(gallery, paint(tmp_path / "more" / "new.png", 99))
    assert other.read_bytes() == content


def test_the_command_line_says_so_in_one_line(own: Path, victim: Path) -> None:
    victim.write_bytes(b"x" * (own / "gallery" / VIEWS).stat().st_size)
    content = victim.read_bytes()
    replace_with_link(own / "gallery" / VIEWS, victim)
    result = run("gallery", "check", own / "gallery", "--repair")
    assert result.exit_code == 2
    assert f"{VIEWS} is a link to another file" in result.stderr
    assert victim.read_bytes() == content


def test_views_are_not_repaired_through_a_link(folder: Path, encoder: Encoder, victim: Path) -> None:
    victim.write_bytes(b"x" * (folder / VIEWS).stat().st_size)
    content = victim.read_bytes()
    replace_with_link(folder / VIEWS, victim)
    with pytest.raises(UserError, match=f"{VIEWS} is a link"):
        Gallery.open(folder, encoder).check(repair=True)
    assert victim.read_bytes() == content


@pytest.mark.parametrize("name", [".hnsw-1-12.part", ".gallery.part.sqlite", ".mode.part", ".README.part.md"])
def test_links_that_were_prepared_for_unfinished_files_are_replaced(
    folder: Path, encoder: Encoder, victim: Path, name: str
) -> None:
    (folder / name).symlink_to(victim)
    gallery = Gallery.open(folder, encoder)
    gallery.convert(ann="hnsw")
    assert gallery.state.approximation is not None
    assert victim.read_bytes() == b"precious"


def test_removing_leftovers_removes_the_link_and_not_its_target(
    folder: Path, encoder: Encoder, victim: Path, tmp_path: Path
) -> None:
    (folder / "hnsw-9-9").symlink_to(victim)
    with pytest.raises(UserError, match="hnsw-9-9 is a link"):
        Gallery.open(folder, encoder).check()
    assert victim.read_bytes() == b"precious"


def test_a_journal_that_names_another_file_does_not_delete_it(folder: Path, encoder: Encoder, victim: Path) -> None:
    """SQLite deletes the common journal of a transaction over several databases after it has rolled back."""
    name = str(victim).encode()
    record = bytes(4) + name + len(name).to_bytes(4, "big") + (sum(name) & 0xFFFFFFFF).to_bytes(4, "big")
    (folder / f"{FILE}-journal").write_bytes(NAMES_ANOTHER_FILE + bytes(504) + record + NAMES_ANOTHER_FILE)
    with pytest.raises(UserError, match="journal .* names another file"):
        Gallery.open(folder, encoder)
    assert victim.read_bytes() == b"precious"


def test_a_catalogue_with_a_write_ahead_log_is_refused(folder: Path) -> None:
    connection = sqlite3.connect(folder / FILE)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with pytest.raises(UserError, match="not the catalogue of a gallery"):
        Gallery.open(folder)
    assert sorted(path.name for path in folder.iterdir() if "-wal" in path.name or "-shm" in path.name) == []


def test_a_named_pipe_in_place_of_views_blocks_nothing(folder: Path, encoder: Encoder) -> None:
    (folder / VIEWS).unlink()
    os.mkfifo(folder / VIEWS)
    with pytest.raises(UserError, match="not a regular file|repair"):
        Gallery.open(folder, encoder).check(repair=True)


def test_a_milvus_file_that_is_a_link_is_refused(folder: Path, victim: Path) -> None:
    milvus = pytest.importorskip("leccr.gallery.store.milvus")
    (folder / "views.db").symlink_to(victim)
    with pytest.raises(UserError, match="views.db is a link"):
        milvus.address_of(folder, "views.db")


def test_an_item_that_is_a_link_out_of_its_folder_is_not_shown(own: Path, tmp_path: Path) -> None:
    from leccr.gallery.results import existing_file

    secret = paint(tmp_path / "secret.png", 1)
    link = own / "photos" / "holiday" / "link.png"
    link.symlink_to(secret)
    assert existing_file(link, "holiday/link.png") is None
    (own / "photos" / "alias.png").symlink_to(own / "photos" / "holiday" / "red0.png")
    assert existing_file(own / "photos" / "alias.png", "alias.png") is not None
    assert existing_file(own / "photos" / "gone.png", "gone.png") is None


@pytest.mark.parametrize("name", ["LOCK", "collections/rows"])
def test_a_link_in_the_folder_of_a_milvus_database_is_found(folder: Path, victim: Path, name: str) -> None:
    link = folder / "views.db" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    assert link in files_changed_in_place(folder)
    assert folder / "views.db" not in files_changed_in_place(folder), "a folder is not a file"
