"""Where commands write: found out before the work, told in one line, and nothing half-written after a full disk."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from leccr.gallery import Gallery
from processing import writable
from processing.features import save_features
from processing.storage import read_splits, write_rows
from tests.crashes import command, needs_forks
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.tiny_gallery import run
from tests.tiny_data import row

TARGETS = {
    "prepare": ["prepare", "scenes", "--out", "{target}"],
    "describe": ["describe", "{data}", "--model", "m", "--endpoint", "http://localhost:1/v1", "--out", "{target}"],
    "translate": ["translate", "{data}", "--to", "de", "--model", "m", "--endpoint", "http://x", "--out", "{target}"],
    "train": ["train", "dual-encoder", "--towers", "scenes", "--out", "{target}"],
    "resume": ["train", "dual-encoder", "--towers", "scenes", "--out", "{target}", "--resume"],
    "quickstart": ["quickstart", "--out", "{target}"],
    "evaluate": ["evaluate", "{model}", "{data}", "--out", "{target}"],
    "plots": ["evaluate", "{model}", "{data}", "--plots", "{target}"],
    "export": ["export", "{model}", "--out", "{target}"],
    "convert": ["convert-official", "{data}/train-00000-of-00001.parquet", "--out", "{target}"],
    "card": ["card", "{model}", "--out", "{target}"],
    "index": ["index", "{data}", "--model", "{model}", "--out", "{target}"],
    "sheet": ["search", "{gallery}", "a dog", "--sheet", "{target}.png"],
}
IN_PLACE = {
    "describe": ["describe", "{data}", "--model", "m", "--endpoint", "http://localhost:1/v1"],
    "translate": ["translate", "{data}", "--to", "de", "--model", "m", "--endpoint", "http://localhost:1/v1"],
    "features": ["features", "{data}", "--towers", "scenes"],
    "embed-captions": ["embed-captions", "{data}", "--model", "{model}"],
    "card": ["card", "{model}"],
    "add": ["gallery", "add", "{gallery}", "{data}"],
    "remove": ["gallery", "remove", "{gallery}", "a"],
    "convert": ["gallery", "convert", "{gallery}", "--store", "fp16"],
    "repair": ["gallery", "check", "{gallery}", "--repair"],
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A model, a gallery of it, and a data set."""
    folder = tmp_path_factory.mktemp("places")
    model = tiny_gallery.save_model(folder / "model")
    for split in ("train", "validation"):
        write_rows(folder / "data", split, [row("a")])
    Gallery.build(folder / "data", str(model), folder / "gallery").close()
    return {name: str(folder / name) for name in ("model", "data", "gallery")}


def snapshot(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).parent.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_below_a_file_is_one_line(name: str, places: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "out"
    done = run(*(word.format(**places, target=target) for word in TARGETS[name]))
    expected = f"Error: {tmp_path}/file is a file, so nothing can be written below it; choose another folder.\n"
    assert (done.exit_code, done.stderr) == (2, expected), done.output


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("name", IN_PLACE)
def test_a_folder_that_cannot_be_written_is_one_line(
    name: str, code: int, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(writable, "_probe", refuse)
    before = snapshot(places["model"])
    done = run(*(word.format(**places) for word in IN_PLACE[name]))
    assert done.exit_code == 2, done.output
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: Nothing can be written to ") and os.strerror(code)[1:] in line
    assert snapshot(places["model"]) == before


def limited(size: int, *arguments: object) -> str:
    """Run `leccr` where no file can be larger than `size` bytes; return its errors, of which the last is one line."""
    code, _, errors = command([*map(str, arguments)], size)
    assert code == 2 and errors.splitlines()[-1].startswith("Error: ") and "Traceback" not in errors, errors
    return errors


@needs_forks
@pytest.mark.parametrize("size", [4096 * 2, 4096 * 5])
def test_an_index_that_outgrows_the_disk_resumes(size: int, places: dict[str, str], tmp_path: Path) -> None:
    for number in range(40):
        tiny_gallery.paint(tmp_path / "photos" / f"{number}.png", number)
    words = ("index", tmp_path / "photos", "--model", places["model"], "--out", tmp_path / "g")
    assert limited(size, *words).count("Error: ") == 1
    again = run(*words)
    assert again.exit_code == 0 and "The gallery" in again.output, again.output
    with Gallery.open(tmp_path / "g") as gallery:
        assert len(gallery) == 40 and gallery.check().problems == []


@needs_forks
def test_training_that_outgrows_the_disk_leaves_no_model_and_resumes(places: dict[str, str], tmp_path: Path) -> None:
    words = ["train", "dual-encoder", "--towers", "scenes", "--out", tmp_path / "out", "--data", places["data"]]
    words += ["--max_steps", 1, "--languages", "de"]
    assert limited(2**16, *words).count("Error: ") == 1
    assert not (tmp_path / "out" / "config.json").exists()
    again = run(*words, "--resume")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "out" / "config.json").is_file() and (tmp_path / "out" / "model.safetensors").is_file()
    assert not [path for path in (tmp_path / "out").rglob("*.part*")]


@needs_forks
def test_data_that_outgrow_the_disk_leave_nothing(places: dict[str, str], tmp_path: Path) -> None:
    for number in range(30):
        tiny_gallery.paint(tmp_path / "photos" / f"{number}.png", number, size=(200, 200))
    words = ("prepare", "folder", "--root", tmp_path / "photos", "--out", tmp_path / "data")
    limited(4096, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    assert run(*words).exit_code == 0
    assert len(read_splits(tmp_path / "data")["gallery"]) == 30


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_whatever_is_written_has_the_mode_of_new_files(umask: int, places: dict[str, str], tmp_path: Path) -> None:
    """Models, data, features, galleries, sheets, figures and cards: others can read what they may read."""
    tiny_gallery.photos(tmp_path / "photos", 3)
    before = os.umask(umask)
    try:
        (tmp_path / "out").mkdir()
        data, gallery = tmp_path / "out" / "data", tmp_path / "out" / "gallery"
        save_features(tmp_path / "out" / "features.safetensors", ["a"], [torch.ones(1, 2)])
        for words in (
            ["prepare", "folder", "--root", tmp_path / "photos", "--out", data, "--reference-images"],
            ["index", data, "--model", places["model"], "--out", gallery],
            ["gallery", "add", gallery, tmp_path / "photos"],
            ["gallery", "convert", gallery, "--store", "fp16"],
            ["search", gallery, "a dog", "--sheet", tmp_path / "out" / "sheet.png"],
            ["evaluate", places["model"], places["data"], "--out", tmp_path / "out" / "figures.json"],
            ["card", places["model"], "--out", tmp_path / "out" / "card.md"],
        ):
            done = run(*words)
            assert done.exit_code == 0, done.output
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"gallery.sqlite", "sheet.png", "figures.json", "card.md", "facts.json", "features.safetensors"} <= names
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in files} == dict.fromkeys(names, oct(0o666 & ~umask))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_figures_are_shown_even_if_their_file_cannot_be_written(places: dict[str, str], tmp_path: Path) -> None:
    command = ["evaluate", places["model"], places["data"], "--split", "train"]
    done = run(*command, "--out", "/dev/full")
    assert done.exit_code == 2 and "| en " in done.stdout, done.output
    assert "Error: " in done.stderr and "the disk is full" in done.stderr.lower()
    assert run(*command, "--out", tmp_path / "new" / "figures.json").exit_code == 0
    assert json.loads((tmp_path / "new" / "figures.json").read_text())[0]["language"] == "en"
