"""Mistakes are reported before torch and transformers are imported, which takes seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from leccr.cli import app
try:
    app(sys.argv[1:])
except SystemExit as stop:
    heavy = {"torch", "transformers", "datasets", "faiss", "gradio"} & set(sys.modules)
    assert not heavy, heavy
    raise
"""


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("prepare multi3k --out NEW", 'The data set multi3k is not known: did you mean "multi30k"?'),
        ("prepare folder --root nosuch --out NEW", "There is no folder nosuch"),
        ("prepare scenes --out FULL", "is not empty"),
        ("describe nosuch --model org/m", "There is no data folder nosuch"),
        ("describe DATA --model ./nosuch", "./nosuch is not a model"),
        ("describe DATA --model m --endpoint http://h --prompts vews", "There is no prompt set vews"),
        ("describe DATA --model m --endpoint http://h --dtype fp61", "There is no precision 'fp61'"),
        ("translate nosuch --to de --model org/m", "There is no data folder nosuch"),
        ("translate DATA --to xx --model org/m", "There is no language xx"),
        ("features nosuch", "There is no data folder nosuch"),
        ("features DATA --towers scens", '--towers scens is not known: did you mean "scenes"?'),
        ("features DATA --store fp8", "--store fp8 is not known"),
        ("train lecr --out NEW", 'There is no recipe "lecr"'),
        ("train leccr --towers scens --out NEW", '--towers scens is not known: did you mean "scenes"?'),
        ("train leccr --data nosuch --out NEW", "There is no data folder nosuch"),
        ("train leccr --out FULL", "is not empty; add --resume"),
        ("embed-captions nosuch --model org/m", "There is no data folder nosuch"),
        ("embed-captions DATA --model ./nosuch", "./nosuch is not a model"),
        ("evaluate nosuch scenes", "nosuch is not a model: there is no folder of this name"),
        ("evaluate FULL scenes", "FULL is not a model: there is no folder of this name with a config.json"),
        ("evaluate MODEL nosuch", "There is no data folder nosuch"),
        ("evaluate MODEL scenes --device gpu", "There is no device 'gpu'"),
        ("export nosuch --out NEW", "nosuch is not a model"),
        ("export MODEL --out NEW --format onx", '--format onx is not known: did you mean "onnx"?'),
        ("export MODEL --out FULL", "is not empty"),
        ("index nosuch --model MODEL --out NEW", "There is no folder, file or data set nosuch"),
        ("index PHOTOS --model nosuch --out NEW", "nosuch is not a model"),
        ("index PHOTOS --model MODEL --out NEW --store fp8", "--store is 'fp8'"),
        ("search nosuch dogs", "There is no gallery nosuch"),
        ("gallery info nosuch", "There is no gallery nosuch"),
        ("gallery add nosuch FULL", "There is no gallery nosuch"),
        ("demo --gallery nosuch", "There is no folder, file or data set nosuch"),
        ("demo --model nosuch", "nosuch is not a model"),
        ("push nosuch org/name", "There is no folder nosuch"),
        ("push FULL org/name --kind modl", '--kind modl is not known: did you mean "model"?'),
        ("push FULL org/name --results nosuch.json", "nosuch.json does not exist"),
        ("card nosuch", "There is no folder nosuch"),
        ("convert-official nosuch.pth --out NEW", "nosuch.pth does not exist"),
    ],
)
def test_a_mistake_is_reported_before_anything_heavy_is_imported(tmp_path: Path, command: str, message: str) -> None:
    files = {"FULL": "a.txt", "DATA": "train-00000-of-00001.parquet", "MODEL": "config.json", "PHOTOS": "a.jpg"}
    for name, file in files.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command.split()], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") and message in line
    assert not (tmp_path / "NEW").exists()
