"""A published gallery says nothing about the folders of the machine that made it."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from leccr.gallery import Gallery
from leccr.gallery.store.catalogue import sources_of
from leccr.hub.public_gallery import _public_model, public_key, public_locations
from leccr.hub.push import plan_upload, run_push
from processing.storage import write_rows
from tests.leccr.gallery.tiny_gallery import paint, save_model
from tests.tiny_data import row


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a model, photos in two folders of the same name, a data set, and a gallery of all of them."""
    folder = tmp_path_factory.mktemp("jane-doe")
    model = save_model(folder / "models" / "mine")
    for number, name in enumerate(("summer/photos/a.png", "winter/photos/b.png", "winter/photos/sub/c.png")):
        paint(folder / name, number)
    write_rows(
        folder / "data", "test", [row("d", image=str(folder / "summer/photos/a.png")), row("e")], embed_images=False
    )
    with Gallery.build(folder / "summer" / "photos", str(model), folder / "gallery") as gallery:
        gallery.add(folder / "winter" / "photos")
        gallery.add(folder / "data")
        paint(folder / "gone" / "x.png", 9)
        gallery.add(folder / "gone")
        gallery.remove([str(folder / "gone")])
    key = f"{folder}/summer/photos/a.png"
    record = {"id": key, "description": "A.", "settings": {"model": str(folder / "models" / "describer")}}
    (folder / "gallery" / "descriptions.jsonl").write_text(json.dumps(record) + "\n\n")
    return folder


def uploaded(folder: Path) -> dict[str, bytes]:
    upload = plan_upload(folder, "org/gallery")
    assert upload.card is not None
    files = {name: file if isinstance(file, bytes) else file.read_bytes() for name, file in upload.files.items()}
    return {**files, "README.md": upload.card.encode()}


def test_no_folder_of_this_machine_is_in_what_is_uploaded(home: Path) -> None:
    private = (home / "gallery" / "gallery.sqlite").read_bytes()
    files = uploaded(home / "gallery")
    assert str(home).encode() in private
    assert {"gallery.sqlite", "descriptions.jsonl", "README.md"} < set(files)
    for name, content in files.items():
        for word in (str(home), home.name, "jane", "summer", "winter", "models"):
            assert word.encode() not in content, (name, word)
    assert (home / "gallery" / "gallery.sqlite").read_bytes() == private, "the gallery itself stays as it is"
    [line] = filter(None, files["descriptions.jsonl"].decode().split("\n"))
    assert json.loads(line)["id"] == "photos/a.png" and json.loads(line)["settings"]["model"] == "describer"


def test_the_copy_is_a_gallery_that_answers_alike(home: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    for name, content in uploaded(home / "gallery").items():
        (tmp_path / "copy" / name).write_bytes(content)
    with Gallery.open(home / "gallery") as gallery:
        model = gallery.state.model
        expected = [(result.id, result.score) for result in gallery.search("en red 1", 9)]
    with Gallery.open(tmp_path / "copy", model) as copy:
        assert [(result.id, result.score) for result in copy.search("en red 1", 9)] == expected
        with copy.catalogue.reading() as connection:
            names = list(sources_of(connection).values())
        assert copy.state.model == "mine"
    assert names == [("folder", "photos"), ("folder", "photos-2"), ("data", "data"), ("folder", "gone")]


def test_a_dry_run_leaves_no_copy_behind(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    upload = plan_upload(home / "gallery", "org/gallery")
    assert len(list(tmp_path.iterdir())) == 1
    del upload
    assert "gallery.sqlite" in run_push(home / "gallery", "org/gallery", dry_run=True)
    assert list(tmp_path.iterdir()) == []


def test_a_gallery_in_a_data_set_is_not_uploaded_with_it(home: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "data", "train", [row("a")])
    Gallery.build(tmp_path / "data", Gallery.open(home / "gallery").state.model, tmp_path / "data" / "mine").close()
    upload = plan_upload(tmp_path / "data", "org/data")
    assert "train-00000-of-00001.parquet" in upload.files and "mine/gallery.sqlite" in upload.left_out
    assert not any(name.startswith("mine/") for name in upload.files)


def test_data_that_name_files_are_told(home: Path) -> None:
    assert "by their paths on this machine" in plan_upload(home / "data", "org/data").notes[0]


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        ([("folder", "/home/jane/photos/")], ["photos"]),
        (
            [("folder", "/a/x"), ("data", "/b/x"), ("folder", "/c/x-2"), ("folder", "/c/x")],
            ["x", "x-2", "x-2-2", "x-3"],
        ),
        ([("hub", "org/pictures"), ("folder", "/")], ["root"]),
        ([("folder", r"/home/caf\xe9")], [r"caf\xe9"]),
    ],
)
def test_each_folder_has_a_name_of_its_own(sources: list[tuple[str, str]], names: list[str]) -> None:
    assert list(public_locations(sources).values()) == names


@pytest.mark.parametrize("line", ["", "{", "[]", "7", '{"id": 7}', '{"id": "/other/a.png"}', '{"description": "x"}'])
def test_other_lines_of_a_journal_stay(line: str) -> None:
    assert public_key(line, {"/home": "home"}) == line


@pytest.mark.parametrize(
    ("model", "public"),
    [
        ("st:/home/jane/mine", "st:mine"),
        ("st:org/name", "st:org/name"),
        ("/home/jane/m", "m"),
        ("org/name", "org/name"),
    ],
)
def test_models_go_by_their_names(model: str, public: str) -> None:
    assert _public_model(model) == public


def test_the_longest_folder_counts() -> None:
    locations = {"/home": "home", "/home/jane": "jane"}
    assert json.loads(public_key('{"id": "/home/jane/a.png"}', locations)) == {"id": "jane/a.png"}


def test_a_catalogue_without_folders_is_uploaded_as_it_is(home: Path, tmp_path: Path) -> None:
    with Gallery.open(home / "gallery") as gallery:
        copy = tmp_path / "g" / "gallery.sqlite"
        copy.parent.mkdir()
        with gallery.catalogue.reading() as connection, sqlite3.connect(copy) as target:
            connection.backup(target)
            target.execute("DELETE FROM sources")
            target.execute("DELETE FROM followed")
            target.execute("UPDATE state SET value = replace(value, ?, 'org/model')", [gallery.state.model])
        target.close()
    assert plan_upload(copy.parent, "org/gallery").files["gallery.sqlite"] == copy


def test_where_pictures_were_taken_is_not_published(home: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(home / "gallery", tmp_path / "g")) / "gallery.sqlite"
    with sqlite3.connect(copy) as target:
        target.execute("INSERT INTO facts (number, taken, latitude, longitude) VALUES (1, '2024', 48.137, 11.575)")
        # The place alone is a reason for a copy.
        target.execute("DELETE FROM sources")
        target.execute("DELETE FROM items WHERE path LIKE '/%'")
    target.close()
    upload = plan_upload(copy.parent, "org/gallery")
    published = sqlite3.connect(str(upload.files["gallery.sqlite"]))
    assert published.execute("SELECT taken, latitude, longitude FROM facts").fetchall() == [("2024", None, None)]
    published.close()
