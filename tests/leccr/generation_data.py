"""A small prepared data set, and a run in a process that is killed in the middle."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image as PillowImage

from processing.storage import write_rows
from tests.processing.generation.tiny_models import WORDS

PROGRAM = """
import importlib, json, sys
module, function, settings, data, options = json.loads(sys.argv[1])
settings = getattr(importlib.import_module("leccr.data.options"), settings)
getattr(importlib.import_module(module), function)(data, settings(**options))
"""


def build_data(folder: Path, rows: int = 40, pictures: bool = True) -> Path:
    """Write `rows` rows, the last six of them to the split test."""

    def row(number: int) -> dict[str, Any]:
        captions = [
            f"{WORDS[number % 14]} {WORDS[(number * place + 3) % 14]} {' '.join(WORDS[:place])}" for place in (1, 2)
        ]
        return {
            "id": f"p{number:02}",
            "image": PillowImage.new("RGB", (16 + number, 16), (number * 6, 255 - number * 5, 90))
            if pictures
            else None,
            "source_language": "en",
            "source_captions": captions,
            "target_captions": [
                {"language": "de", "text": f"Bild {number}", "source_number": None, "origin": "human", "weight": None}
            ],
            "description": None,
        }

    write_rows(folder, "train", map(row, range(rows - 6)), rows_per_shard=20)
    write_rows(folder, "test", map(row, range(rows - 6, rows)))
    return folder


def run_and_kill(function: Any, settings: type, data: Path, options: dict[str, Any], journal: Path, lines: int) -> int:
    """Start `function` in a process, kill it once the journal has some lines, and return how many records it has."""
    arguments = json.dumps([function.__module__, function.__name__, settings.__name__, str(data), options])
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, arguments],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "TQDM_DISABLE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 120
    while not journal.is_file() or journal.read_bytes().count(b"\n{") < lines:
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -9
    return journal.read_bytes().count(b"\n{")
