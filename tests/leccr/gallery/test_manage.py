import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leccr.gallery import Gallery
from leccr.gallery.manage import MOST_BROKEN_SHOWN
from leccr.gallery.store.catalogue import read_state, write_state
from tests.leccr.gallery.tiny_gallery import check_mistake, paint, run


def test_info(built: Path, model: Path) -> None:
    words = run("gallery", "info", built / "gallery").stdout
    for part in (
        "items    12",
        "2 of 8 numbers per item, fp32",
        str(model),
        "faiss",
        "exact",
        str(built / "photos"),
    ):
        assert part in words


def test_add_remove_check_and_convert(own: Path, tmp_path: Path) -> None:
    gallery = own / "gallery"
    new = paint(tmp_path / "new.png", 60)
    result = run("gallery", "add", gallery, new)
    assert (result.exit_code, result.stdout) == (
        0,
        f"1 added, 0 replaced, 0 unchanged.\nThe gallery {gallery} has 13 items.\n",
    )
    result = run("gallery", "remove", gallery, "new.png", "--filter", "path~holiday")
    assert result.stdout.startswith("5 removed; ")
    result = run("gallery", "check", gallery)
    assert (result.exit_code, result.stdout) == (0, "8 items checked, 0 problems left.\n")
    result = run("gallery", "convert", gallery, "--store", "int8", "--ann", "hnsw")
    assert "int8" in result.stdout
    assert "hnsw, which finds 100.0 % of the exact ten best (measured with 16 views of this gallery)" in result.stdout
    exact = run("search", gallery, "de red 1", "--exact")
    assert exact.stdout == run("search", gallery, "de red 1").stdout


def test_check_says_what_is_wrong_and_exits_with_1(own: Path) -> None:
    (own / "gallery" / "views-1.fp32").write_bytes(b"")
    (own / "gallery" / "views-7.fp32").write_bytes(b"")
    result = run("gallery", "check", own / "gallery")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "Removed views-7.fp32, left over from an earlier state.",
        "Problem: The views of 12 items are damaged; `--repair` repairs this.",
        "12 items checked, 1 problems left.",
    ]
    # The photos are where the gallery says, and not next to this copy.
    result = run("gallery", "check", own / "gallery", "--repair")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        ["Repaired: The views of 12 items are damaged.", "12 items checked, 0 problems left."],
    )
    assert run("search", own / "gallery", "de red 1").exit_code == 0


def test_a_command_that_was_stopped_is_mentioned(own: Path) -> None:
    with Gallery.open(own / "gallery") as gallery, gallery.catalogue.writing() as connection:
        import dataclasses

        write_state(connection, dataclasses.replace(read_state(connection, "g"), unfinished="/photos"))
    note = "Indexing /photos was not finished"
    assert note in run("search", own / "gallery", "de red 1").stderr
    assert note in run("gallery", "info", own / "gallery").stdout


def test_broken_files_are_listed_at_the_end(built: Path, model: Path, tmp_path: Path) -> None:
    own = shutil.copytree(built / "photos", tmp_path / "photos")
    for index in range(MOST_BROKEN_SHOWN + 5):
        (own / f"{index}.jpg").write_text("text")
    result = run("index", own, "--model", model, "--out", tmp_path / "g")
    assert result.exit_code == 0, result.output
    assert f"{MOST_BROKEN_SHOWN + 5} left out:\n  0.jpg: " in result.stdout
    assert "  ... and 5 more\n" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("The gallery")


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
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(name: str, built: Path, model: Path, tmp_path: Path) -> None:
    check_mistake(*MISTAKES[name], built=built, model=model, tmp_path=tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["gallery", "info", "{built}/gallery"],
        ["index", "{tmp}/none", "--model", "{model}", "--out", "{tmp}/g"],
        ["index", "{built}/photos", "--model", "{tmp}/none", "--out", "{tmp}/g"],
        ["gallery", "add", "{built}/gallery", "{tmp}/none"],
        ["search", "{tmp}/none", "a dog"],
        ["search", "{built}/gallery", "a dog", "--filter", "colour=red"],
    ],
    ids=" ".join,
)
def test_mistakes_are_reported_before_anything_heavy_is_imported(
    words: list[str], built: Path, model: Path, tmp_path: Path
) -> None:
    arguments = [word.format(built=built, model=model, tmp=tmp_path) for word in words]
    program = (
        f"import sys\nfrom leccr.cli import app\ntry:\n    app({arguments!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'faiss'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
