from pathlib import Path

import pytest
import torch
from datasets import Dataset, DatasetDict

from leccr.data.loading import load_data, split_of, without_broken_pictures
from leccr.errors import UserError
from processing.features import FEATURES_FILE, save_features
from processing.storage import write_rows
from tests.tiny_data import dataset, picture, row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return prepared data of three training rows, the middle one with a broken picture, and one validation row."""
    names = {name: tmp_path / f"{name}.png" for name in "abcd"}
    for name, path in names.items():
        picture().save(path) if name != "b" else path.write_text("text")
    rows = [row(name, image=str(path)) for name, path in names.items()]
    write_rows(tmp_path / "data", "train", rows[:3])
    write_rows(tmp_path / "data", "validation", rows[3:])
    return tmp_path / "data"


def test_a_prepared_data_set(folder: Path) -> None:
    splits, features = load_data(str(folder))
    assert features is None
    assert {name: list(rows["id"]) for name, rows in splits.items()} == {"train": ["a", "b", "c"], "validation": ["d"]}
    # Undecoded, so that a broken picture is met where it can be named.
    assert splits["train"][1]["image"] == {"bytes": b"text", "path": "b.png"}


def test_broken_pictures_are_counted_and_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits, _ = load_data(str(folder), skip_broken=True)
    assert list(splits["train"]["id"]) == ["a", "c"]
    assert list(splits["validation"]["id"]) == ["d"]
    assert capsys.readouterr().out == "train: skipped 1 of 3 rows, their pictures cannot be decoded: b.\n"


def test_features_stand_beside_the_data_and_need_no_pictures(folder: Path) -> None:
    save_features(folder / FEATURES_FILE, list("abcd"), [torch.ones(1, 2)] * 4)
    splits, features = load_data(str(folder), skip_broken=True)
    assert features is not None and features.width == 2
    assert len(splits["train"]) == 3


def test_sound_pictures_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(without_broken_pictures(dataset([row("a"), row("b")]), "test")) == 2
    assert capsys.readouterr().out == ""


def test_the_built_in_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = DatasetDict(train=Dataset.from_dict({"id": ["a"]}))
    monkeypatch.setattr("processing.scenes.build.build_scenes", lambda: made)
    assert load_data("scenes") == (made, None)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match="There is no data folder .*absent; make one with `leccr prepare` or use scenes.",
    ):
        load_data(str(tmp_path / "absent"))


def test_a_folder_without_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no prepared data"):
        load_data(str(tmp_path))


def test_a_split_that_is_not_there(folder: Path) -> None:
    splits, _ = load_data(str(folder))
    assert split_of(splits, "validation", "here") is splits["validation"]
    with pytest.raises(UserError, match="here has no split test; it has train, validation."):
        split_of(splits, "test", "here")
