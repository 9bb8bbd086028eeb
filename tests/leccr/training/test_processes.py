import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainingArguments

from leccr.errors import UserError
from leccr.models.checkpoints import load_retriever
from leccr.recipes import Recipe
from leccr.training.processes import JoinedBatchNorm2d, check_processes, join_batch_norms
from leccr.training.resuming import CHECKPOINTS
from leccr.training.train import run_training
from processing.schema import ROW_FEATURES
from processing.storage import write_rows
from tests.tiny_data import picture, recipe, row

ROOT = Path(__file__).parents[3]
COLOURS = [f"rgb({red},{green},{blue})" for red in (0, 120, 250) for green in (0, 130, 240) for blue in (20, 140, 230)]

PROGRAM = """
import os
import sys

from leccr.__main__ import main
from leccr.cli import main as command

file, even, uneven, out = sys.argv[1:]

def fail_in_the_second_epoch(collator, rows):
    calls.extend([] if "captions" in rows[0] else [rows])
    if len(calls) == 4 and os.environ["RANK"] == "1":
        raise UserError("The fourth batch is broken.")
    return draw(collator, rows)


for options in (["--num_train_epochs", "1"], ["--resume", "--plots"]):
    sys.argv = ["leccr", "train", file, "--data", even, "--out", out, *options]
    try:
        command()
    except SystemExit as stop:
        assert not stop.code, stop.code
# Not before, as the command sets how much PyTorch says when it is imported.
from processing import RetrievalCollator
from processing.errors import UserError

draw, calls = RetrievalCollator.__call__, []
RetrievalCollator.__call__ = fail_in_the_second_epoch
sys.argv = ["leccr", "train", file, "--data", uneven, "--out", f"{out}-failed"]
main()
"""


def without_chance(**training: Any) -> Recipe:
    # Rates of dropout and a schedule that does not depend on the length of the run.
    tiny = recipe(training={"lr_scheduler_type": "constant", "logging_steps": 1, **training})
    text = {**tiny.text, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # type: ignore[dict-item]
    return recipe(text=text, model={**tiny.model, "dropout": 0.0}, training=tiny.training)


def history(folder: Path) -> list[dict[str, float]]:
    [last] = (folder / CHECKPOINTS).glob("checkpoint-*")
    log: list[dict[str, float]] = json.loads((last / "trainer_state.json").read_text())["log_history"]
    return [{name: entry[name] for name in entry if "_second" not in name and "_runtime" not in name} for entry in log]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    rows = [row(f"{number}", ["de"], captions=1, image=picture(colour)) for number, colour in enumerate(COLOURS)]
    for name, count in (("even", 24), ("uneven", 22)):
        write_rows(folder / name, "train", rows[:count], ROW_FEATURES)
        write_rows(folder / name, "validation", rows[:13], ROW_FEATURES)
    (folder / "tiny.yaml").write_text(without_chance().to_yaml())
    (folder / "program.py").write_text(PROGRAM)
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(folder / name) for name in ("program.py", "tiny.yaml", "even", "uneven", "out")]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=400)


def test_two_processes_learn_what_one_learns_from_the_joined_batch(
    folder: Path, done: subprocess.CompletedProcess[str]
) -> None:
    """They stopped after an epoch and resumed; towers have batch norms; the validation does not divide by two."""
    one = without_chance(per_device_train_batch_size=8)
    run_training(Recipe(**{**vars(one), "data": str(folder / "even")}), folder / "one")
    expected, found = history(folder / "one"), history(folder / "out")
    assert [entry.keys() for entry in found] == [entry.keys() for entry in expected]
    for before, after in zip(expected, found):
        # Batches of one process are larger in evaluation.
        names = before.keys() - {"eval_loss"}
        assert {name: after[name] for name in names} == pytest.approx({name: before[name] for name in names}, rel=1e-3)


def test_of_two_processes_one_writes_and_prints(folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.stdout.count("The trained model is in") == 2
    assert "ould not locate the best model" not in done.stdout + done.stderr
    assert "unused parameters" not in done.stderr
    load_retriever(folder / "out")
    names = [path.name for path in (folder / "out").rglob("*")]
    assert not [name for name in names if ".part" in name]
    assert {"config.json", "recipe.yaml", "loss_terms.png"} <= {*names}
    assert json.loads((folder / "out" / "training.json").read_text())["rows_per_step"] == 8


def test_an_error_in_one_process_ends_both(folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode != 0
    assert "Process 1: Error: The fourth batch is broken." in done.stderr
    # In the launcher's summary.
    assert "exitcode  : 2" in done.stderr and "traceback : Error: The fourth batch is broken." in done.stderr
    assert "This is a bug" not in done.stderr
    # The first epoch, whose last batch is smaller, went well.
    assert (folder / "out-failed" / CHECKPOINTS / "checkpoint-3").is_dir()


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm_is_that_of_pytorch(momentum: float | None) -> None:
    torch.manual_seed(0)
    expected, joined = (nn.BatchNorm2d(3, momentum=momentum) for _ in range(2))
    join_batch_norms(joined)
    assert type(joined) is JoinedBatchNorm2d
    inputs = torch.randn(4, 3, 5, 6) * 3 + 7
    for scale in (1, 2):
        results = []
        for norm in (expected, joined):
            own = (inputs * scale).requires_grad_()
            output = norm(own)
            output.square().mul(torch.arange(6)).sum().backward()
            results.append([output, own.grad, norm.weight.grad, *norm.state_dict().values()])
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(joined.eval()(inputs), expected.eval()(inputs))


def test_processes_cannot_have_batches_of_different_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = TrainingArguments(str(tmp_path), use_cpu=True, accelerator_config={"even_batches": False})
    check_processes(arguments)
    monkeypatch.setattr(TrainingArguments, "world_size", 2)
    with pytest.raises(UserError, match="even_batches: false, but several processes need batches of one size"):
        check_processes(arguments)
