"""The commands, as a newcomer types them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from leccr.cli import app
from leccr.gallery import Gallery
from leccr.gallery.commands import MOST_BROKEN_SHOWN, run_search
from leccr.gallery.store.catalogue import read_state, write_state
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.tiny_gallery import paint


def run(*arguments: Any, **options: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gallery.save_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="session")
def built(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos` and the `gallery` that the command makes of them."""
    folder = tmp_path_factory.mktemp("built")
    tiny_gallery.photos(folder / "photos")
    result = run("index", folder / "photos", "--model", model, "--out", folder / "gallery")
    assert result.exit_code == 0, result.output
    assert "12 added, 0 replaced, 0 unchanged." in result.stdout
    assert "has 12 items" in result.stdout
    return folder


@pytest.fixture
def own(built: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "own"))


class TestSearch:
    def test_a_table(self, built: Path) -> None:
        result = run("search", built / "gallery", "de red 1", "-k", 3)
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert lines[0].split() == ["rank", "score", "file", "answered", "by", "description"]
        assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3"]
        expected = Gallery.open(built / "gallery").search("de red 1", 3)
        for line, best in zip(lines[1:], expected):
            assert line.split()[1:3] == [f"{best.score:.4f}", best.path]
            assert best.answered_by in line
            assert (best.description or "") in line

    def test_a_query_needs_no_quotes(self, built: Path) -> None:
        assert (
            run("search", built / "gallery", "de", "red", "1").stdout
            == run("search", built / "gallery", "de red 1").stdout
        )

    def test_json(self, built: Path) -> None:
        result = run("search", built / "gallery", "de red 1", "--json", "-k", 2, "--filter", "path~holiday")
        record = json.loads(result.stdout)
        assert record["query"] == "de red 1"
        first, second = record["results"]
        assert first["score"] >= second["score"]
        assert first["file"] == str(built / "photos" / first["path"])
        assert first["time"].startswith("20") and first["time"].endswith("+00:00")
        assert {"rank", "id", "kind", "view", "answered_by", "description", "size", "hash"} <= set(first)

    def test_many_queries_from_a_file(self, built: Path, tmp_path: Path) -> None:
        (tmp_path / "queries.txt").write_text("\ufeffde red 1\n\n  zh blue 1 \r\n", encoding="utf-8")
        result = run("search", built / "gallery", "--queries", tmp_path / "queries.txt", "--json", "-k", 1)
        assert [json.loads(line)["query"] for line in result.stdout.splitlines()] == ["de red 1", "zh blue 1"]
        table = run("search", built / "gallery", "--queries", tmp_path / "queries.txt", "-k", 1).stdout
        assert "\nde red 1\nrank" in table and "\nzh blue 1\nrank" in table

    def test_a_picture_of_the_answers(self, built: Path, tmp_path: Path) -> None:
        result = run("search", built / "gallery", "犬 blue 1", "--sheet", tmp_path / "out.png", "-k", 4)
        assert result.exit_code == 0, result.output
        assert result.stderr == f"The answers as a picture: {tmp_path}/out.png.\n"
        with PillowImage.open(tmp_path / "out.png") as sheet:
            assert sheet.height > 200
            assert len(sheet.convert("RGB").getcolors(10**6) or []) > 20
        assert [path.name for path in tmp_path.iterdir()] == ["out.png"]

    def test_a_picture_as_the_query(self, built: Path) -> None:
        result = run("search", built / "gallery", "--image", built / "photos" / "green1.png", "-k", 1)
        assert result.exit_code == 0, result.output
        assert len(result.stdout.splitlines()) == 2

    def test_lines_of_the_input_are_answered(self, built: Path) -> None:
        result = run("search", built / "gallery", "-k", 1, input="de red 1\n\nzh blue 1\n")
        assert result.exit_code == 0, result.output
        assert result.stdout.count("rank") == 2
        assert "\nde red 1\nrank" in result.stdout

    def test_the_prompt(self, built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal(["de red 1\n", "\n", "never asked\n"]))
        run_search(built / "gallery", None, k=1)
        out = capsys.readouterr().out
        assert out.startswith("Type a query in any language; an empty line, or Ctrl-D, ends.\nquery> rank")
        assert out.count("query> ") == 2
        monkeypatch.setattr(sys, "stdin", Terminal(["a\n", "b\n", ""]))
        run_search(built / "gallery", None, where="path~zzz")
        assert capsys.readouterr().out.count("query> ") == 3


class Terminal:
    """Somebody who types."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.lines.pop(0)


class TestCare:
    def test_info(self, built: Path, model: Path) -> None:
        words = run("gallery", "info", built / "gallery").stdout
        for part in (
            "items    12",
            "2 of 8 numbers an item, fp32",
            str(model),
            "faiss",
            "exact",
            str(built / "photos"),
        ):
            assert part in words

    def test_add_remove_check_and_convert(self, own: Path, tmp_path: Path) -> None:
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
        assert "hnsw, which finds 100.0 % of the exact ten best (measured on 16 views of this gallery)" in result.stdout
        exact = run("search", gallery, "de red 1", "--exact")
        assert exact.stdout == run("search", gallery, "de red 1").stdout

    def test_check_says_what_is_wrong_and_exits_with_1(self, own: Path) -> None:
        (own / "gallery" / "views-1.fp32").write_bytes(b"")
        (own / "gallery" / "views-7.fp32").write_bytes(b"")
        result = run("gallery", "check", own / "gallery")
        assert result.exit_code == 1
        assert result.stdout.splitlines() == [
            "Removed views-7.fp32, which an earlier state left behind.",
            "Problem: The views of 12 items are damaged; `--repair` mends this.",
            "12 items checked, 1 problems left.",
        ]
        # The photos lie where the gallery says, and not beside this copy.
        result = run("gallery", "check", own / "gallery", "--repair")
        assert (result.exit_code, result.stdout.splitlines()) == (
            0,
            ["Mended: The views of 12 items are damaged.", "12 items checked, 0 problems left."],
        )
        assert run("search", own / "gallery", "de red 1").exit_code == 0

    def test_a_command_that_was_stopped_is_mentioned(self, own: Path) -> None:
        with Gallery.open(own / "gallery") as gallery, gallery.catalogue.writing() as connection:
            import dataclasses

            write_state(connection, dataclasses.replace(read_state(connection, "g"), unfinished="/photos"))
        note = "Indexing /photos was not finished"
        assert note in run("search", own / "gallery", "de red 1").stderr
        assert note in run("gallery", "info", own / "gallery").stdout

    def test_broken_files_are_listed_at_the_end(self, built: Path, model: Path, tmp_path: Path) -> None:
        own = shutil.copytree(built / "photos", tmp_path / "photos")
        for place in range(MOST_BROKEN_SHOWN + 5):
            (own / f"{place}.jpg").write_text("text")
        result = run("index", own, "--model", model, "--out", tmp_path / "g")
        assert result.exit_code == 0, result.output
        assert f"{MOST_BROKEN_SHOWN + 5} left out:\n  0.jpg: " in result.stdout
        assert "  ... and 5 more\n" in result.stdout
        assert result.stdout.splitlines()[-1].startswith("The gallery")


NEWCOMERS = {
    "a missing gallery": (
        ["search", "{tmp}/none", "dog"],
        "There is no gallery {tmp}/none; make one with `leccr index",
    ),
    "a folder that is no gallery": (["search", "{built}/photos", "dog"], "There is no gallery {built}/photos"),
    "a file as the gallery": (["search", "{built}/photos/green1.png", "dog"], "There is no gallery"),
    "a query of spaces": (["search", "{built}/gallery", "   "], "The query is empty; say in a word or a sentence"),
    "k of zero": (["search", "{built}/gallery", "dog", "-k", "0"], "k is 0, but has to be at least 1"),
    "an unknown column": (
        ["search", "{built}/gallery", "dog", "--filter", "colour=red"],
        "There is no column 'colour' to filter by; use id, path, kind, description, hash, size, time.",
    ),
    "a filter without an operator": (
        ["search", "{built}/gallery", "dog", "--filter", "red"],
        "The filter 'red' is not",
    ),
    "two kinds of queries": (
        ["search", "{built}/gallery", "dog", "--image", "{built}/photos/green1.png"],
        "Give one of a query, --image and --queries.",
    ),
    "a missing file of queries": (
        ["search", "{built}/gallery", "--queries", "{tmp}/none"],
        "{tmp}/none cannot be read",
    ),
    "an empty file of queries": (["search", "{built}/gallery", "--queries", "{tmp}/empty.txt"], "has no queries"),
    "a missing picture": (["search", "{built}/gallery", "--image", "{tmp}/no.png"], "{tmp}/no.png does not exist"),
    "a text as a picture": (["search", "{built}/gallery", "--image", "{tmp}/text.jpg"], "text.jpg cannot be decoded"),
    "a sheet that is no picture": (
        ["search", "{built}/gallery", "dog", "--sheet", "out.docx"],
        "out.docx has no ending of a picture; write for example --sheet answers.png.",
    ),
    "a sheet of nothing": (["search", "{built}/gallery", "--sheet", "out.png"], "--sheet draws the answers to a query"),
    "another model": (["search", "{built}/gallery", "dog", "--model", "{tmp}/none"], "{tmp}/none is no model"),
    "a missing source": (
        ["index", "{tmp}/none", *["--model", "m", "--out", "{tmp}/g"]],
        "There is no folder, file or data",
    ),
    "an empty folder": (["index", "{tmp}/empty", *["--model", "m", "--out", "{tmp}/g"]], "holds no photos or videos"),
    "a text as a photo": (
        ["index", "{tmp}/texts", *["--model", "{model}", "--out", "{tmp}/g"]],
        "None of 1 files could be used; the first is text.jpg: {tmp}/texts/text.jpg cannot be decoded as a picture",
    ),
    "a text file as the source": (
        ["index", "{tmp}/empty.txt", *["--model", "m", "--out", "{tmp}/g"]],
        "{tmp}/empty.txt is no photo or video; known endings are .jpg",
    ),
    "a missing model": (
        ["index", "{built}/photos", *["--model", "{tmp}/none", "--out", "{tmp}/g"]],
        "none is no model",
    ),
    "an output with other files": (
        ["index", "{built}/photos", *["--model", "m", "--out", "{tmp}/texts"]],
        "{tmp}/texts is no gallery, and not empty; choose another folder with --out.",
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
    "a server without its address": (
        ["gallery", "convert", "{built}/gallery", "--engine", "milvus"],
        "Say with --uri where the Milvus server is, for example http://localhost:19530.",
    ),
}


@pytest.mark.parametrize("name", NEWCOMERS)
def test_what_a_newcomer_types_wrong_is_one_clear_line(name: str, built: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").touch()
    (tmp_path / "texts").mkdir()
    for path in (tmp_path / "texts" / "text.jpg", tmp_path / "text.jpg"):
        path.write_text("a text")
    words, message = NEWCOMERS[name]
    places = {"tmp": tmp_path, "built": built, "model": model}
    result = run(*(word.format(**places) for word in words))
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith("Indexing")]
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    assert message.format(**places) in lines[0]
    assert not (tmp_path / "g").exists()


def test_more_than_the_gallery_has_is_one_line_and_everything(built: Path) -> None:
    result = run("search", built / "gallery", "dog", "-k", 99)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 13
    assert result.stderr == "99 items were asked for, but 12 are in the gallery; all of them are shown.\n"


def test_a_filter_that_leaves_nothing_is_one_line(built: Path) -> None:
    result = run("search", built / "gallery", "dog", "--filter", "kind=video")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "No item fits the filter kind=video.\n")


def test_an_empty_gallery_is_one_line(own: Path) -> None:
    run("gallery", "remove", own / "gallery", "--filter", "size>0")
    result = run("search", own / "gallery", "dog")
    assert (result.exit_code, result.stderr) == (
        2,
        f"Error: The gallery {own}/gallery is empty; add pictures with `leccr gallery add`.\n",
    )


def test_looking_after_a_gallery_loads_nothing_heavy(built: Path) -> None:
    program = (
        "import sys\nfrom leccr.cli import app\n"
        f"try:\n    app(['gallery', 'info', {str(built / 'gallery')!r}])\nexcept SystemExit as stop:\n"
        "    assert not stop.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'faiss'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
