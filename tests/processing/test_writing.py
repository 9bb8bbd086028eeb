import json
import os
import stat
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from processing.errors import UserError
from processing.writing import (
    atomic_file,
    atomic_folder,
    follow_umask,
    open_in_place,
    own_folder,
    refuse_links_below,
    write_json,
    write_text,
)


@pytest.fixture(params=[0o022, 0o077, 0o007])
def new_mode(request):
    """The mode that new files have to get under each of several umasks."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "table.csv"
    with atomic_file(path) as part:
        part.write_text("a,b")
        assert not path.exists()
        assert part.parent == path.parent and part.suffix == ".csv" and part.name.startswith(".")
    assert path.read_text() == "a,b"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_error_leaves_the_existing_file_as_it_is(tmp_path, error):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_file(path) as part:
        part.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_run_leaves_nothing_in_the_next_file(tmp_path, new_mode):
    path = tmp_path / "notes.txt"
    with atomic_file(path) as part:
        leftover = part
    leftover.write_text("longer than the new content")
    leftover.chmod(0o600)
    with atomic_file(path) as part:
        assert part == leftover
        with part.open("r+") as file:
            file.write("new")
    assert path.read_text() == "new"
    assert mode(path) == new_mode


def test_libraries_that_choose_the_format_by_the_ending(tmp_path):
    with atomic_file(tmp_path / "red.jpg") as part:
        Image.new("RGB", (8, 8), "red").save(part)
    with Image.open(tmp_path / "red.jpg") as picture:
        assert picture.format == "JPEG"


def test_the_mode_follows_the_umask(tmp_path, new_mode):
    path = tmp_path / "model.safetensors"
    with atomic_file(path) as part:
        save_file({"weight": torch.ones(2)}, part)
    assert mode(path) == new_mode
    assert load_file(path)["weight"].tolist() == [1.0, 1.0]
    write_text(tmp_path / "notes.txt", "")
    assert mode(tmp_path / "notes.txt") == new_mode


def test_all_files_of_a_folder_follow_the_umask(tmp_path, new_mode):
    (tmp_path / "below").mkdir()
    files = [tmp_path / "model.safetensors", tmp_path / "below" / "model.safetensors"]
    for file in files:
        save_file({"weight": torch.ones(2)}, file)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    follow_umask(tmp_path)
    assert [mode(file) for file in files] == [new_mode, new_mode]
    assert sorted(tmp_path.rglob("*")) == sorted([*files, tmp_path / "below", tmp_path / "link"])


def test_content_is_on_the_disk_before_the_name_changes(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append(os.fstat(file).st_ino), fsync(file)))
    monkeypatch.setattr(Path, "replace", lambda old, new: (calls.append("replace"), replace(old, new))[1])
    path = tmp_path / "notes.txt"
    write_text(path, "new")
    assert calls == [path.stat().st_ino, "replace", tmp_path.stat().st_ino]


def test_a_folder_appears_when_the_block_ends(tmp_path, new_mode):
    path = tmp_path / "parent" / "model"
    with atomic_folder(path) as part:
        (part / "below").mkdir()
        (part / "below" / "notes.txt").write_text("new")
        save_file({"weight": torch.ones(2)}, part / "model.safetensors")
        assert not path.exists()
    assert (path / "below" / "notes.txt").read_text() == "new"
    assert mode(path / "model.safetensors") == new_mode
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_replaces_an_empty_one_only(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    with atomic_folder(path) as part:
        (part / "notes.txt").write_text("first")
    with pytest.raises(OSError), atomic_folder(path) as part:
        (part / "notes.txt").write_text("second")
    assert (path / "notes.txt").read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_made_without_what_a_killed_run_left(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as part:
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    part.mkdir()
    (part / "of_an_earlier_run").touch()
    with atomic_folder(path):
        pass
    assert not list(path.iterdir())


def test_json_is_readable_and_whole(tmp_path):
    path = tmp_path / "below" / "figures.json"
    write_json(path, {"text": "一只狗"})
    assert path.read_text(encoding="utf-8") == '{\n  "text": "一只狗"\n}\n'
    with pytest.raises(TypeError):
        write_json(path, {"text": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"text": "一只狗"}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("make", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_nothing_is_changed_in_place_through_a_link(tmp_path, make):
    victim = tmp_path / "precious"
    victim.write_text("precious")
    make(victim, tmp_path / "link")
    with pytest.raises(UserError, match="link is a link to another file"):
        open_in_place(tmp_path / "link")
    assert victim.read_text() == "precious"


def test_a_file_is_changed_in_place(tmp_path, new_mode):
    with open_in_place(tmp_path / "new") as file:
        file.write(b"one two")
    assert mode(tmp_path / "new") == new_mode
    with open_in_place(tmp_path / "new") as file:
        assert file.read(3) == b"one"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="not a regular file"):
        open_in_place(tmp_path / "pipe")


@pytest.mark.parametrize("name", [".notes.part.txt", "notes.txt"])
def test_a_link_that_was_prepared_is_replaced(tmp_path, name):
    victim = tmp_path / "precious"
    victim.write_text("precious")
    (tmp_path / name).symlink_to(victim)
    write_text(tmp_path / "notes.txt", "new")
    assert victim.read_text() == "precious"
    assert (tmp_path / "notes.txt").read_text() == "new" and not (tmp_path / "notes.txt").is_symlink()


def test_the_mode_of_new_files_is_found_out_without_following_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".mode.part").symlink_to(tmp_path / "made")
    follow_umask(tmp_path / "folder")
    assert not (tmp_path / "made").exists()


def test_a_folder_that_was_prepared_as_a_link_is_not_filled(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "parts").symlink_to(tmp_path / "other")
    with pytest.raises(UserError, match="parts is a link or a file"):
        own_folder(tmp_path / "parts")
    (tmp_path / ".model.part").symlink_to(tmp_path / "other")
    with atomic_folder(tmp_path / "model") as part:
        (part / "weights").write_text("1")
    assert list((tmp_path / "other").iterdir()) == []
    assert (tmp_path / "model" / "weights").read_text() == "1"


@pytest.mark.parametrize("name", ["link", "below/link"])
def test_a_folder_with_a_link_is_refused_before_a_library_writes_into_it(tmp_path, name):
    (tmp_path / "run" / "below").mkdir(parents=True)
    refuse_links_below(tmp_path / "run")
    (tmp_path / "run" / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=f"run/{name} is a link"):
        refuse_links_below(tmp_path / "run")


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_json(pipe, [1])
    assert os.read(reader, 100) == b"[\n  1\n]\n"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_device_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No space left on device"):
        write_text("/dev/full", "text")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
