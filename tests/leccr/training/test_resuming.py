import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict

from leccr.errors import UserError
from leccr.training.resuming import last_checkpoint
from leccr.training.train import run_training
from processing.storage import write_rows
from tests.tiny_data import DUAL_ENCODER, recipe, row, scenes


@pytest.fixture(scope="module")
def data() -> DatasetDict:
    return scenes()


@pytest.fixture
def folder(data: DatasetDict, tmp_path: Path) -> Path:
    for split in ("train", "validation"):
        write_rows(tmp_path / "data", split, data[split])
    return tmp_path / "data"


def checkpoint(folder: Path, step: int, state: str | None = '{"global_step": 1}') -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").touch()
    if state is not None:
        (path / "trainer_state.json").write_text(state)
    return path


def test_the_last_whole_checkpoint_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert last_checkpoint(tmp_path / "none") is None
    checkpoint(tmp_path, 9)
    whole = checkpoint(tmp_path, 10)
    # What a full disk or a kill leaves: no state yet, an empty one, half of one.
    for step, state in ((11, None), (12, ""), (100, '{"global_step": 1')):
        checkpoint(tmp_path, step, state)
    (tmp_path / "checkpoint-x").mkdir()
    assert last_checkpoint(tmp_path) == str(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9", "checkpoint-x"]
    assert "checkpoint-100 was not written to its end" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 7}, "was begun with seed 0, not 7; resume with the same, or choose another --out."),
        ({"languages": ["de", "fr"]}, "was begun with languages de, not de,fr;"),
        ({"model": {**DUAL_ENCODER, "projection_dim": 8}}, "num_slots 2, not 0"),
        ({"training": {"learning_rate": 0.5}}, "learning_rate 0.01, not 0.5"),
    ],
)
def test_another_run_is_not_resumed(
    changes: dict[str, Any], words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("leccr.training.train.train_recipe", stopped)
    run = {"data": str(folder), "languages": ["de"]}
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe(**run), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        run_training(recipe(**run), tmp_path / "out", resume=True)
    with pytest.raises(UserError, match=words):
        run_training(recipe(**{**run, **changes}), tmp_path / "out", resume=True)


def test_other_data_are_told(data: DatasetDict, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leccr.training.train.train_recipe", lambda *arguments: 1 / 0)
    tiny = recipe(data=str(folder), languages=["de"])
    with pytest.raises(ZeroDivisionError):
        run_training(tiny, tmp_path / "out")
    folder.rename(tmp_path / "moved")
    with pytest.raises(ZeroDivisionError):
        run_training(dataclasses.replace(tiny, data=str(tmp_path / "moved")), tmp_path / "out", resume=True)
    write_rows(tmp_path / "moved", "train", data["train"].select(range(11)))
    with pytest.raises(UserError, match="was begun with other train rows than .*moved has; resume with the same"):
        run_training(dataclasses.replace(tiny, data=str(tmp_path / "moved")), tmp_path / "out", resume=True)


@pytest.mark.parametrize("fields", [{}, {"model": DUAL_ENCODER}, {"network": "cross-lingual", "vision": None,
                                    "image_processor": None, "model": {"projection_dim": 8}}],
                         ids=["leccr", "dual-encoder", "cross-lingual"])  # fmt: skip
def test_rows_that_cannot_be_drawn_are_left_out_and_counted(
    fields: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.tiny_data import target

    good = [row(name) for name in "abcdef"]
    bad = [
        row("no translation", languages=[]),
        row("another language", languages=["fr"]),
        row("no source", source_captions=[], target_captions=[target("de", "ein Hund")]),
        row("empty", source_captions=["a dog", " "]),
        row("points nowhere", captions=1, target_captions=[target("de", "ein Hund", 7), target("zh", "狗", 0)]),
    ]
    write_rows(tmp_path / "data", "train", [*good, *bad])
    write_rows(tmp_path / "data", "validation", good)
    tiny = recipe(data=str(tmp_path / "data"), languages=["de", "zh"], training={"num_train_epochs": 1}, **fields)
    run_training(tiny, tmp_path / "out")
    said = capsys.readouterr().out
    assert "2 of 11 training rows are left out: each has no caption in de or zh." in said
    assert "1 of 11 training rows are left out: each has no source caption." in said
    assert "1 of 11 training rows are left out: each has an empty caption." in said
    assert "1 of 11 training rows are left out: each has a translation of a source caption that does not exist" in said
    assert json.loads((tmp_path / "out" / "training.json").read_text())["data"]["rows"]["train"] == 6


def test_no_row_that_can_be_drawn(tmp_path: Path) -> None:
    write_rows(tmp_path / "data", "train", [row("a", source_captions=["", ""]), row("b", source_captions=[" "])])
    write_rows(tmp_path / "data", "validation", [row("c")])
    with pytest.raises(UserError, match="No training row can be used: row a has an empty caption; complete the"):
        run_training(recipe(data=str(tmp_path / "data"), languages=[]), tmp_path / "out")
