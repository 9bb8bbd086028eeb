"""What goes wrong with galleries is one clear line, and is said before anything heavy is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leccr.gallery.tiny_gallery import run

# Folders: `{built}` has photos and a gallery, `{model}` is a checkpoint, and `{tmp}` has what cannot be indexed.
MISTAKES = {
    "a missing source": (
        ["index", "{tmp}/none", *["--model", "m", "--out", "{tmp}/g"]],
        "There is no folder, file or data",
    ),
    "an empty folder": (["index", "{tmp}/empty", *["--model", "m", "--out", "{tmp}/g"]], "has no photos or videos"),
    "a text as a photo": (
        ["index", "{tmp}/texts", *["--model", "{model}", "--out", "{tmp}/g"]],
        "None of 1 files could be used; the first is text.jpg: {tmp}/texts/text.jpg cannot be decoded as a picture",
    ),
    "a text file as the source": (
        ["index", "{tmp}/empty.txt", *["--model", "m", "--out", "{tmp}/g"]],
        "{tmp}/empty.txt is not a photo or video, such as .jpg",
    ),
    "a missing model": (
        ["index", "{built}/photos", *["--model", "{tmp}/none", "--out", "{tmp}/g"]],
        "There is no model {tmp}/none",
    ),
    "an output with other files": (
        ["index", "{built}/photos", *["--model", "m", "--out", "{tmp}/texts"]],
        "{tmp}/texts is not a gallery, and not empty; choose another folder with --out.",
    ),
    "an unknown format": (
        ["index", "{built}/photos", *["--model", "m", "--out", "{tmp}/g", "--store", "fp8"]],
        "--store is 'fp8', but has to be one of fp32, fp16, int8.",
    ),
    "adding to nothing": (["gallery", "add", "{tmp}/none", "{built}/photos"], "There is no gallery {tmp}/none"),
    "adding nothing": (["gallery", "add", "{built}/gallery", "{tmp}/none"], "There is no folder, file or data set"),
    "removing nothing": (["gallery", "remove", "{built}/gallery"], "Say what to remove: ids, files or folders"),
    "removing what is not there": (
        ["gallery", "remove", "{built}/gallery", "no.png"],
        "has no item no.png; nothing was",
    ),
    "checking nothing": (["gallery", "check", "{tmp}/none"], "There is no gallery {tmp}/none"),
    "converting nothing": (
        ["gallery", "convert", "{built}/gallery"],
        "Say what to change: --store, --ann or --engine.",
    ),
    "a gallery that does not exist": (["gallery", "info", "{tmp}/none"], "There is no gallery {tmp}/none"),
    "converting a folder": (["gallery", "convert", "{tmp}/texts", "--ann", "hnsw"], "There is no gallery {tmp}/texts"),
    "an unknown index": (
        ["gallery", "convert", "{built}/gallery", "--ann", "annoy"],
        "--ann is 'annoy', but has to be one of hnsw, ivfpq, none.",
    ),
    "an unknown engine": (
        ["gallery", "convert", "{built}/gallery", "--engine", "lucene"],
        "--engine is 'lucene', but has to be one of faiss, milvus.",
    ),
    "an address without a server": (
        ["gallery", "convert", "{built}/gallery", "--uri", "http://localhost:19530"],
        "--uri is the address of a Milvus server; use it with --engine milvus.",
    ),
    "a server without its address": (
        ["gallery", "convert", "{built}/gallery", "--engine", "milvus"],
        "Say with --uri where the Milvus server is, for example http://localhost:19530.",
    ),
    "a missing gallery": (
        ["search", "{tmp}/none", "dog"],
        "There is no gallery {tmp}/none; make one with `leccr index",
    ),
    "a folder that is not a gallery": (["search", "{built}/photos", "dog"], "There is no gallery {built}/photos"),
    "a file as the gallery": (["search", "{built}/photos/green1.png", "dog"], "There is no gallery"),
    "a query of spaces": (["search", "{built}/gallery", "   "], "The query is empty; say in a word or a sentence"),
    "k of zero": (["search", "{built}/gallery", "dog", "-k", "0"], "-k takes a whole number from 1 to 1000000, not"),
    "an unknown column": (
        ["search", "{built}/gallery", "dog", "--filter", "colour=red"],
        "There is no column 'colour' to filter by; use id, path, kind, description, hash, size, time,",
    ),
    "a filter without an operator": (
        ["search", "{built}/gallery", "dog", "--filter", "red"],
        "The filter 'red' is not",
    ),
    "two kinds of queries": (
        ["search", "{built}/gallery", "dog", "--image", "{built}/photos/green1.png"],
        "Give only one of a query, --image and --queries.",
    ),
    "a missing file of queries": (
        ["search", "{built}/gallery", "--queries", "{tmp}/none"],
        "{tmp}/none cannot be read",
    ),
    "an empty file of queries": (["search", "{built}/gallery", "--queries", "{tmp}/empty.txt"], "has no queries"),
    "a missing picture": (["search", "{built}/gallery", "--image", "{tmp}/no.png"], "{tmp}/no.png does not exist"),
    "a text as a picture": (["search", "{built}/gallery", "--image", "{tmp}/text.jpg"], "text.jpg cannot be decoded"),
    "a sheet that is not a picture": (
        ["search", "{built}/gallery", "dog", "--sheet", "out.docx"],
        "out.docx does not have the ending of a picture; write for example --sheet answers.png.",
    ),
    "a sheet of nothing": (["search", "{built}/gallery", "--sheet", "out.png"], "--sheet draws the answers to a query"),
    "another model": (["search", "{built}/gallery", "dog", "--model", "{tmp}/none"], "There is no model {tmp}/none"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(name: str, built: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").touch()
    (tmp_path / "texts").mkdir()
    for path in (tmp_path / "texts" / "text.jpg", tmp_path / "text.jpg"):
        path.write_text("a text")
    words, message = MISTAKES[name]
    folders = {"tmp": tmp_path, "built": built, "model": model}
    result = run(*(word.format(**folders) for word in words))
    assert result.exit_code == 2, result.output
    [line] = [line for line in result.stderr.splitlines() if not line.startswith("Indexing")]
    assert line.startswith("Error: ") and message.format(**folders) in line
    assert not (tmp_path / "g").exists()


QUICK = (
    "gallery info {built}/gallery",
    "index {tmp}/none --model {model} --out {tmp}/g",
    "index {built}/photos --model {tmp}/none --out {tmp}/g",
    "gallery add {built}/gallery {tmp}/none",
    "search {tmp}/none dog",
    "search {built}/gallery dog --filter colour=red",
)
PROGRAM = """
import json, sys
from leccr.cli import app
for command in json.loads(sys.argv[1]):
    try:
        app(command.split())
    except SystemExit:
        pass
    heavy = {"torch", "transformers", "datasets", "pandas", "faiss"} & set(sys.modules)
    assert not heavy, (command, heavy)
"""


def test_what_needs_no_model_imports_nothing_heavy(built: Path, model: Path, tmp_path: Path) -> None:
    commands = [command.format(built=built, model=model, tmp=tmp_path) for command in QUICK]
    result = subprocess.run([sys.executable, "-c", PROGRAM, json.dumps(commands)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("Error: ") == len(QUICK) - 1
