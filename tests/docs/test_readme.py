"""The README's commands and code, typed from top to bottom."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import leccr.demo
from leccr.cli.app import app
from leccr.quickstart import run_quickstart
from tests.leccr.gallery.tiny_gallery import photos
from tests.leccr.models.tiny_families import save_family

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SMALL = {"num_train": 32, "num_validation": 4, "num_test": 12}


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(section: str) -> list[list[str]]:
    """Return the arguments of each `leccr` of a section, in the README's order."""
    [text] = re.findall(rf"^## {section}\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line) for block in blocks("bash", text) for line in block.splitlines()]
    return [line[1:] for line in lines if line[0] == "leccr"]


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 180


def test_it_links_to_files_that_exist() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert len(links) > 10
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_it_installs_extras_that_exist() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [named] = re.findall(r"pip install -e '\.\[(.*)\]'", "".join(blocks("bash")))
    assert set(named.split(",")) <= set(extras["optional-dependencies"])


def test_every_extra_is_explained() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (REPOSITORY / "docs" / "getting-started.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert set(extras["optional-dependencies"]) - {"dev", "docs"} <= set(re.findall(r"`([\w-]+)`", " ".join(rows)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a small quickstart in place of the README's first command, and stay in its folder."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with (folder / "said.txt").open("w", encoding="utf-8") as said, redirect_stdout(said):
            run_quickstart(Path("quickstart"), recipes=["leccr"], **SMALL)
        yield folder


def test_the_quickstart_ends_with_the_next_commands(folder: Path) -> None:
    _, steps = (folder / "said.txt").read_text(encoding="utf-8").split("What to type next:\n")
    typed = [shlex.split(line)[1:] for line in steps.splitlines()]
    assert typed[:3] == commands("Try the training")[1:]


def test_its_commands_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr(leccr.demo, "run_demo", lambda *arguments, **options: served.append(arguments))
    first, *others = commands("Try the training")
    assert first == ["quickstart"]
    assert [arguments[0] for arguments in others] == ["index", "search", "demo"]
    outputs = []
    for arguments in others:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        outputs.append(result.output)
    assert "12 added" in outputs[0]
    assert len(re.findall(r"^[123] .*\.png +slot \d", outputs[1], re.MULTILINE)) == 3
    assert len(served) == 1 and (folder / "quickstart" / "gallery").is_dir()


def test_photos_are_searched_without_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "photos", 4)
    # A folder goes before a name on the Hub.
    model = tmp_path / "google" / "siglip2-base-patch16-224"
    model.parent.mkdir()
    save_family("siglip 2", model)
    served: list[Any] = []
    monkeypatch.setattr(leccr.demo, "run_demo", lambda *arguments, **options: served.append(arguments))
    index, search, demo = commands("Search your photos")
    for words in (index, search, demo):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        if words is search:
            assert "Ein brauner Hund am Strand" in words
            assert len(re.findall(r"^[123] .*\.png", result.output, re.MULTILINE)) == 3
    assert served == [("gallery", None)] and index[0] == "index"


def test_its_code_ranks_the_pictures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    lines = re.findall(r"^(\d+)\.png  (-?\d\.\d\d)$", capsys.readouterr().out, re.MULTILINE)
    assert sorted(int(number) for number, _ in lines) == list(range(12))
    scores = [float(score) for _, score in lines]
    assert scores == sorted(scores, reverse=True)


def test_the_code_of_getting_started_searches(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (REPOSITORY / "docs" / "getting-started.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "getting-started.md", "exec"), {})
    lines = re.findall(r"^([123]) -?\d\.\d+ \d+\.png slot \d$", capsys.readouterr().out, re.MULTILINE)
    assert lines == ["1", "2", "3"]
