"""Mistakes are reported before torch and transformers are imported, which takes seconds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Each command, with what it imported that commands before it had not.
PROGRAM = """
import contextlib, io, json, sys
from leccr.cli import app
for command in json.load(sys.stdin):
    before, errors = set(sys.modules), io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            app(command.split(), prog_name="leccr")
        except SystemExit as stop:
            code = stop.code
    heavy = {"torch", "transformers", "datasets", "faiss", "gradio"} & (set(sys.modules) - before)
    print(json.dumps([code, errors.getvalue(), sorted(heavy)]))
"""
MISTAKES = [
    ("prepare multi3k --out NEW", 'The data set multi3k is not known: did you mean "multi30k"?'),
    ("prepare benchmark --root FULL --out NEW", "The data set benchmark is not known; choose flickr8k-cn, multi30k,"),
    ("prepare folder --root nosuch --out NEW", "There is no folder nosuch"),
    ("prepare scenes --out FULL", "is not empty"),
    ("describe nosuch --model org/m", "There is no data folder nosuch"),
    ("describe DATA --model ./nosuch", "There is no model ./nosuch"),
    ("describe DATA --model m --endpoint http://h --prompts vews", "There is no prompt set vews"),
    ("describe DATA --model m --endpoint http://h --dtype fp61", "There is no precision 'fp61'"),
    ("translate nosuch --to de --model org/m", "There is no data folder nosuch"),
    ("translate DATA --to xx --model org/m", "There is no language xx"),
    ("features nosuch", "There is no data folder nosuch"),
    ("features DATA --towers scens", '--towers scens is not known: did you mean "scenes"?'),
    ("features DATA --store fp8", "--store fp8 is not known"),
    ("features DATA --texts --copies 2", "--copies 2 is for pictures; leave it out, or --texts."),
    ("features DATA --texts --towers scens", '--towers scens is not known: did you mean "scenes"?'),
    ("train lecr --out NEW", 'There is no recipe "lecr"'),
    ("train leccr --towers scens --out NEW", '--towers scens is not known: did you mean "scenes"?'),
    ("train leccr --data nosuch --out NEW", "There is no data folder nosuch"),
    ("train leccr --learning_rat 1 --out NEW", 'Unknown key "learning_rat" on the command line: did you mean'),
    ("train leccr --max_steps few --out NEW", "The value of max_steps on the command line has to be a whole number"),
    ("train mine.yaml --out NEW", 'Unknown key "num_slot" in recipe mine under model: did you mean "num_slots"?'),
    ("train leccr --towers other.yaml --out NEW", 'Unknown key "flips" in towers other under augmentation'),
    ("train leccr --out FULL", "is not empty; add --resume"),
    ("embed-captions nosuch --model org/m", "There is no data folder nosuch"),
    ("embed-captions DATA --model ./nosuch", "There is no model ./nosuch"),
    ("evaluate nosuch scenes", "There is no model nosuch"),
    ("evaluate FULL scenes", "There is no model FULL"),
    ("evaluate MODEL nosuch", "There is no data folder nosuch"),
    ("evaluate MODEL scenes --device gpu", "There is no device 'gpu'"),
    ("export nosuch --out NEW", "There is no model nosuch"),
    ("export MODEL --out NEW --format onx", '--format onx is not known: did you mean "onnx"?'),
    ("export MODEL --out FULL", "is not empty"),
    ("index nosuch --model MODEL --out NEW", "There is no folder, file or data set nosuch"),
    ("index PHOTOS --model nosuch --out NEW", "There is no model nosuch"),
    ("index PHOTOS --model MODEL --out NEW --store fp8", "--store is 'fp8'"),
    ("search nosuch dogs", "There is no gallery nosuch; make one with `leccr index`."),
    ("gallery info nosuch", "There is no gallery nosuch; make one with `leccr index`."),
    ("gallery add nosuch FULL", "There is no gallery nosuch"),
    ("demo --gallery nosuch", "There is no gallery nosuch; make one with `leccr index`, or name a folder of pictures"),
    ("demo --model nosuch", "There is no model nosuch"),
    ("recipes show lecr", 'There is no recipe "lecr"'),
    ("recipes show leccr --towers scens", 'There is no choice of towers "scens"'),
    ("recipes show leccr --max_step 1", 'Unknown key "max_step" on the command line: did you mean "max_steps"?'),
    ("push nosuch org/name", "There is no folder nosuch"),
    ("push FULL org/name --kind modl", '--kind modl is not known: did you mean "model"?'),
    ("push FULL org/name --results nosuch.json", "nosuch.json does not exist"),
    ("card nosuch", "There is no folder nosuch"),
    ("convert-official nosuch.pth --out NEW", "nosuch.pth does not exist"),
]
ANSWERED = [
    "recipes",
    "recipes show leccr",
    "recipes show leccr --towers scenes --learning_rate 2e-3 --lora 8",
    "recipes show cl2cm --dual-encoder org/clip --warm-start teacher",
    "translate --list",
    "train --help",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arguments")
    files = {"FULL": "a.txt", "DATA": "train-00000-of-00001.parquet", "MODEL": "config.json", "PHOTOS": "a.jpg"}
    for name, file in files.items():
        (folder / name).mkdir()
        (folder / name / file).write_text("{}")
    (folder / "mine.yaml").write_text("model: {num_slot: 2}\n")
    (folder / "other.yaml").write_text("augmentation: {flips: true}\n")
    return folder


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, tuple[int, str, list[str]]]:
    """What became of each command: its exit code, its errors, and what is heavy and was imported."""
    commands = [*(command for command, _ in MISTAKES), *ANSWERED]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(commands), capture_output=True, text=True, cwd=folder
    )
    assert result.returncode == 0, result.stderr
    return dict(zip(commands, map(json.loads, result.stdout.splitlines()), strict=True))


@pytest.mark.parametrize(("command", "message"), MISTAKES)
def test_a_mistake_is_reported_before_anything_heavy_is_imported(
    outcomes: dict[str, Any], folder: Path, command: str, message: str
) -> None:
    code, errors, heavy = outcomes[command]
    assert (code, heavy) == (2, []), errors
    (line,) = errors.splitlines()
    assert line.startswith("Error: ") and message in line
    assert not (folder / "NEW").exists()


@pytest.mark.parametrize("command", ANSWERED)
def test_what_runs_no_model_imports_nothing_heavy(outcomes: dict[str, Any], command: str) -> None:
    assert outcomes[command] == [0, "", []]
