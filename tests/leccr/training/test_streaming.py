import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import fsspec
import pytest

from leccr.data.streamed import open_streamed
from leccr.errors import UserError
from leccr.recipes import Recipe
from leccr.training.train import run_training
from processing import RetrievalCollator
from processing.storage import write_rows
from tests.tiny_data import DUAL_ENCODER, picture, recipe, row


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streaming") / "data"
    rows = [row(f"{number}", ["de"], captions=1, image=picture()) for number in range(22)]
    with patch("processing.storage.ROWS_PER_GROUP", 3):
        write_rows(folder, "train", [*rows, row("no translation", [])], rows_per_shard=12)
    write_rows(folder, "validation", rows[:5])
    return folder


def tiny(data: str | Path, training: dict[str, Any] | None = None, **fields: Any) -> Recipe:
    settings = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 4, "eval_strategy": "no"}
    training = {**settings, "logging_steps": 1, "lr_scheduler_type": "constant", **(training or {})}
    fields = {"model": DUAL_ENCODER, "shuffle_buffer": 6, **fields}
    return recipe(data=str(data), languages=["de"], streaming=True, training=training, **fields)


def drawn(recipe: Recipe, output: Path, **options: Any) -> list[list[str]]:
    """Return the rows of each training batch of a run."""
    batches = []
    draw = RetrievalCollator.__call__

    def watched(collator: RetrievalCollator, rows: Any) -> Any:
        if "captions" not in rows[0]:
            batches.append([row["id"] for row in rows])
        return draw(collator, rows)

    with patch.object(RetrievalCollator, "__call__", watched):
        run_training(recipe, output, **options)
    return batches


def test_a_run_that_was_stopped_resumes_with_the_next_row(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = drawn(tiny(folder), tmp_path / "whole")
    assert "1 of 23 training rows are left out: each has no caption in de" in capsys.readouterr().out
    epochs = [[name for batch in whole[start : start + 6] for name in batch] for start in (0, 6)]
    assert epochs[0] != epochs[1]
    for epoch in epochs:
        assert sorted(epoch, key=int) == [str(number) for number in range(22)]
    drawn(tiny(folder, {"max_steps": 4}), tmp_path / "stopped")
    read = []
    from processing.shards import ParquetShard

    read_group = ParquetShard.read

    def counted(shard: ParquetShard, group: int, columns: Any) -> Any:
        read.append((shard.name, group, "image" in columns))
        return read_group(shard, group, columns)

    with patch.object(ParquetShard, "read", counted):
        rest = drawn(tiny(folder), tmp_path / "stopped", resume=True)
    assert rest == whole[4:]
    # Rows that were passed over were not read for it: the last third of an epoch and a whole one, in 8 groups.
    assert sum(with_pictures for *_, with_pictures in read) <= 8 + 4 + 2
    with pytest.raises(UserError, match="begun with 1 processes and workers that read, not 2; resume with the same"):
        run_training(tiny(folder, {"dataloader_num_workers": 2}), tmp_path / "stopped", resume=True)


@pytest.fixture
def remote(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    files = fsspec.filesystem("memory")
    for path in folder.glob("*.parquet"):
        # As the Hub has them.
        files.pipe_file(f"/set/data/{path.name}", path.read_bytes())
    yield "memory://set"
    files.rm("/set", recursive=True)


def test_rows_of_elsewhere_are_streamed_and_the_validation_downloaded(remote: str, tmp_path: Path) -> None:
    run_training(tiny(remote, {"max_steps": 1, "eval_strategy": "steps", "save_steps": 1}), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "training.json").read_text())
    assert report["data"]["rows"] == {"train": 22, "validation": 5}
    assert report["validation"]["eval_sum_of_hit_rates"] > 0
    [shard] = (tmp_path / "cache").rglob("*.parquet")
    assert shard.name == "validation-00000-of-00001.parquet"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "scenes"}, "Scenes are drawn, so that there is nothing to stream"),
        ({"data": "nowhere"}, "There is no data folder nowhere"),
        ({"data": "memory://nothing"}, "^memory://nothing has no validation"),
        ({"data": "nothing://set"}, "nothing://set cannot be read: Protocol not known: nothing"),
        ({"skip_broken": True}, "--skip-broken looks at all pictures first"),
        ({"shuffle_buffer": 0}, "shuffle_buffer is 0, but has to be at least 1"),
        ({"training": {"dataloader_persistent_workers": True}}, "--dataloader_persistent_workers does not go with"),
        ({"training": {"train_sampling_strategy": "group_by_length"}}, "--train_sampling_strategy cannot be chosen"),
        ({"model": {**DUAL_ENCODER, "transfer_weight": 1.0}}, "learns from a teacher's embeddings"),
    ],
)
def test_what_cannot_be_streamed(changes: dict[str, Any], words: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        run_training(tiny(**{"data": folder, **changes}), tmp_path / "out")


def test_a_missing_file_is_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "data")
    (tmp_path / "data" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(UserError, match=re.escape("it lacks train-00001-of-00002.parquet")):
        open_streamed(tiny(tmp_path / "data"))
    for path in (tmp_path / "data").glob("train-*"):
        path.unlink()
    with pytest.raises(UserError, match="has no training files to stream"):
        open_streamed(tiny(tmp_path / "data"))
