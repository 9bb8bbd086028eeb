import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, Features, Image, Value

from leccr.errors import UserError
from leccr.gallery.candidates import Source
from leccr.gallery.sources import open_source
from processing.features import save_features
from processing.storage import write_rows
from tests.leccr.gallery.tiny_gallery import paint
from tests.modeling_leccr.tiny import random
from tests.processing.test_parquet_guard import one_cell, small  # noqa: F401 - a fixture
from tests.tiny_data import row


def ids(source: Source) -> list[str]:
    return [candidate.id for chunk in source.chunks(5) for candidate in chunk]


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/z.PNG", "a.webp", ".hidden.png", ".trash/c.png", "notes.txt", "clip.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    source = open_source(str(tmp_path))
    assert ids(source) == ["a/z.PNG", "a.webp", "b.jpg", "clip.mp4"]
    assert [candidate.kind for candidate in source.read(0, 4)] == ["image", "image", "image", "video"]
    assert (source.kind, source.location, source.left_out) == ("folder", str(tmp_path), [])


def test_loops_of_links_end(tmp_path: Path) -> None:
    paint(tmp_path / "a" / "b" / "p.png", 0)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "round.png").symlink_to(tmp_path / "round.png")
    source = open_source(str(tmp_path))
    assert ids(source) == ["a/b/p.png"]
    assert [Path(name).name for name, _ in source.left_out] == ["round.png"]


def test_what_lies_outside_of_the_folder_is_left_out(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    paint(inside / "real.png", 0)
    paint(outside / "secret.png", 1)
    (inside / "link.png").symlink_to(outside / "secret.png")
    (inside / "folder").symlink_to(outside)
    (inside / "alias.png").symlink_to("real.png")
    source = open_source(str(inside))
    assert ids(source) == ["alias.png", "real.png"]
    reasons = dict(source.left_out)
    assert sorted(reasons) == [str(inside / "folder/secret.png"), str(inside / "link.png")]
    assert "is a link that leads out of" in reasons[str(inside / "link.png")]


def test_pipes_and_dead_links_are_left_out(tmp_path: Path) -> None:
    paint(tmp_path / "real.png", 0)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dead.png").symlink_to("gone.png")
    source = open_source(str(tmp_path))
    assert ids(source) == ["real.png"]
    assert [reason for _, reason in sorted(source.left_out)] == [
        "it cannot be read: No such file or directory",
        "it is not a regular file",
    ]


def test_a_file_belongs_to_the_known_folder_that_it_lies_in(tmp_path: Path) -> None:
    path = paint(tmp_path / "a" / "b" / "p.png", 0)
    [single] = open_source(str(path)).read(0, 1)
    assert (single.location, single.id) == (str(path.parent), "p.png")
    [known] = open_source(str(path), roots=[str(tmp_path / "else"), str(tmp_path)]).read(0, 1)
    assert (known.location, known.id) == (str(tmp_path), "a/b/p.png")


def test_a_folder_around_a_known_one_does_not_take_its_files_over(tmp_path: Path) -> None:
    paint(tmp_path / "a" / "p.png", 0)
    paint(tmp_path / "b" / "p.png", 0)
    found = open_source(str(tmp_path), roots=[str(tmp_path / "a")]).read(0, 2)
    assert [(candidate.location, candidate.id) for candidate in found] == [
        (str(tmp_path / "a"), "p.png"),
        (str(tmp_path), "b/p.png"),
    ]


def test_names_with_odd_characters_are_kept(tmp_path: Path) -> None:
    names = ["ä ö.png", "写真/犬.png", "100%.png", "a'b\"c.png"]
    for name in names:
        paint(tmp_path / name, 0)
    assert sorted(ids(open_source(str(tmp_path)))) == sorted(names)


def test_descriptions_of_the_folder_and_of_a_folder_above_are_used(tmp_path: Path) -> None:
    paint(tmp_path / "a" / "p.png", 0)
    paint(tmp_path / "a" / "q.png", 0)
    (tmp_path / "descriptions.jsonl").write_text('{"id": "a/p.png", "description": "above"}\n')
    (tmp_path / "a" / "descriptions.jsonl").write_text('\n{"id": "q.png", "description": "next to it"}\n\n')
    found = open_source(str(tmp_path / "a"), roots=[str(tmp_path)]).read(0, 2)
    assert [candidate.description for candidate in found] == ["above", "next to it"]
    assert open_source(str(tmp_path)).read(0, 1)[0].description == "above"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "There is no folder, file or data set .*none"),
        ("empty", "empty has no photos or videos, such as .jpg"),
        ("notes.txt", "notes.txt is not a photo or video, such as .jpg"),
    ],
)
def test_nothing_to_index_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("milk")
    with pytest.raises(UserError, match=message):
        open_source(str(tmp_path / name))


def test_a_prepared_data_set_gives_its_rows(tmp_path: Path) -> None:
    rows = [row(name, description=text) for name, text in (("x", "said"), ("y", None), ("z", None))]
    write_rows(tmp_path, "train", rows[:2])
    write_rows(tmp_path, "test", rows[2:])
    (tmp_path / "descriptions.jsonl").write_text('{"id": "y", "description": "next to it"}\n')
    source = open_source(str(tmp_path))
    found = source.read(0, 3)
    assert [(candidate.id, candidate.description) for candidate in found] == [
        ("x", "said"),
        ("y", "next to it"),
        ("z", None),
    ]
    assert found[0].hash() == found[1].hash(), "all of them show the same"
    assert found[0].as_row()["image"]["bytes"] is not None
    assert ids(open_source(str(tmp_path), "test")) == ["z"]
    with pytest.raises(UserError, match="has no split nope; it has train, test"):
        open_source(str(tmp_path), "nope")


def test_rows_that_are_in_two_splits_are_one_item(tmp_path: Path) -> None:
    for split, names in (("train", "ab"), ("test", "cbd"), ("test_1k", "dc")):
        write_rows(tmp_path, split, [row(name, description=f"{name} of {split}") for name in names])
    source = open_source(str(tmp_path))
    candidates = source.read(0, source.count)
    assert [candidate.id for candidate in candidates] == ["a", "b", "c", "d"]
    assert [candidate.description for candidate in candidates[1:3]] == ["b of train", "c of test"]


def test_a_data_set_without_pictures_gives_its_features(tmp_path: Path) -> None:
    write_rows(tmp_path, "test", [row(name, image=None) for name in "ab"])
    save_features(tmp_path / "features.safetensors", ["a", "b"], [random(3, 5), random(2, 5)])
    first, second = open_source(str(tmp_path)).read(0, 2)
    assert first.as_row()["visual_features"].shape == (3, 5)
    assert first.hash() != second.hash()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Data sets of a Hub by their names, and the files that they are made of, by `name files`."""
    served: dict[str, Any] = {}

    def builder(name: str) -> Any:
        if name not in served:
            raise ConnectionError("Couldn't reach\nthe Hub")
        return SimpleNamespace(config=SimpleNamespace(data_files=served.get(f"{name} files")))

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.load_dataset_builder", builder)
    monkeypatch.setattr("datasets.load_dataset", lambda name, split: served[name])
    return served


def pictures_at(*paths: Path) -> DatasetDict:
    rows = Dataset.from_dict({"photo": list(map(str, paths))}, features=Features({"photo": Image()}))
    return DatasetDict(train=rows)


def test_a_data_set_of_the_hub_needs_a_column_of_pictures_alone(tmp_path: Path, hub: dict[str, Any]) -> None:
    picture = paint(tmp_path / "cache" / "datasets--some--pictures" / "snapshots" / "0" / "p.png", 0)
    hub["some/pictures"] = pictures_at(picture, picture)
    hub["some/texts"] = Dataset.from_dict({"text": ["a"]}, features=Features({"text": Value("string")}))
    source = open_source("some/pictures")
    assert (source.kind, source.location, ids(source)) == ("hub", "some/pictures", ["0/0", "0/1"])
    assert source.read(1, 2)[0].as_row()["image"]["path"].endswith("p.png")
    with pytest.raises(UserError, match="The data set some/texts has no column of pictures; it has text"):
        open_source("some/texts")
    with pytest.raises(
        UserError,
        match="There is no folder some/none, and no data set .* from the Hub: Couldn't reach the Hub",
    ):
        open_source("some/none")


@pytest.mark.parametrize("name", ["home/mine.png", "cache/datasets--other--pictures/p.png", "cache/../home/mine.png"])
def test_a_data_set_of_the_hub_names_no_files_of_the_user(name: str, tmp_path: Path, hub: dict[str, Any]) -> None:
    for path in ("home/mine.png", "cache/datasets--other--pictures/p.png"):
        paint(tmp_path / path, 0)
    hub["some/pictures"] = pictures_at(tmp_path / name)
    with pytest.raises(UserError, match="^Row 0 of the data set some/pictures refers to .*p?.png, which is not in"):
        open_source("some/pictures")


@pytest.mark.usefixtures("small")
def test_parquet_of_the_hub_is_measured_before_it_is_decoded(tmp_path: Path, hub: dict[str, Any]) -> None:
    one_cell(tmp_path / "x.PARQUET")
    hub["some/pictures"] = pictures_at(tmp_path / "never")
    hub["some/pictures files"] = {"train": [str(tmp_path / "x.PARQUET")]}
    with pytest.raises(UserError, match="^Row group 0 of .*x.PARQUET has .* in column image.bytes, which does not fit"):
        open_source("some/pictures")
