import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from leccr.errors import UserError
from leccr.gallery import Gallery, prompt
from leccr.gallery.options import SearchOptions
from leccr.gallery.prompt import WELCOME, Prompt, open_in_viewer
from leccr.gallery.search import run_search
from leccr.models.encoder import Encoder
from processing.storage import write_rows
from tests.leccr.gallery.tiny_gallery import NAMES
from tests.tiny_data import row

Type = Callable[[str], None]
ENTER, LEFT, DELETE, CONTROL_C, CONTROL_D = "\r", "\x1b[D", "\x1b[3~", "\x03", "\x04"


@pytest.fixture
def keyboard() -> Iterator[Type]:
    """Types text into the next prompt."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe.send_text


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bool]]:
    """Files that were opened, and whether they existed then."""
    files: list[tuple[Path, bool]] = []
    monkeypatch.setattr(prompt, "open_in_viewer", lambda path: files.append((path, path.is_file())))
    return files


def answers(output: str) -> list[str]:
    """Return the files of the best answers, in the order of the queries."""
    return [line.split()[3] for line in output.splitlines() if line.startswith("1 ")]


def test_queries_are_answered_until_an_empty_line(
    gallery: Gallery, keyboard: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = ["de red 1", "zh 狗 blue", "犬 ö 1"]
    keyboard(ENTER.join([*queries, "", "never asked"]))
    Prompt(gallery, 2).run()
    printed = capsys.readouterr()
    assert printed.out.startswith(WELCOME)
    assert answers(printed.out) == [gallery.search(query, 1)[0].path for query in queries]
    assert printed.err.count("score: similarity to the query") == 1
    assert (
        "answered by: the model divides what an item and its description show into a few parts (slots or sentences); "
        "this is the part that fits the query best." in printed.err
    )


@pytest.mark.parametrize("end", [CONTROL_D, f":quit{ENTER}", f"  {ENTER}"])
def test_the_prompt_ends(gallery: Gallery, keyboard: Type, end: str) -> None:
    keyboard(end)
    Prompt(gallery, 1).run()


def test_control_c_gives_up_the_line_only(gallery: Gallery, keyboard: Type, capsys: pytest.CaptureFixture[str]) -> None:
    keyboard(f"unfinished{CONTROL_C}de red 1{ENTER}{ENTER}")
    Prompt(gallery, 1).run()
    assert len(answers(capsys.readouterr().out)) == 1


def test_a_query_can_be_edited(gallery: Gallery, keyboard: Type, capsys: pytest.CaptureFixture[str]) -> None:
    keyboard(f"狗 re1{LEFT * 2}d{DELETE} {ENTER}{ENTER}")
    Prompt(gallery, 2, as_json=True).run()
    assert json.loads(capsys.readouterr().out.splitlines()[1])["query"] == "狗 rd 1"


def test_open_shows_the_picture_of_an_answer(
    gallery: Gallery, photos: Path, keyboard: Type, opened: list[tuple[Path, bool]]
) -> None:
    keyboard(f"de red 1{ENTER}:open 2{ENTER}:open  1 {ENTER}{ENTER}")
    Prompt(gallery, 3).run()
    first, second, _ = gallery.search("de red 1", 3)
    assert opened == [(photos / second.path, True), (photos / first.path, True)]


def test_open_shows_the_thumbnail_where_there_is_no_file(
    tmp_path: Path, encoder: Encoder, keyboard: Type, opened: list[tuple[Path, bool]]
) -> None:
    write_rows(tmp_path / "data", "test", [row(name) for name in NAMES])
    with Gallery.build(tmp_path / "data", encoder, tmp_path / "g") as gallery:
        keyboard(f"de red 1{ENTER}:open 1{ENTER}{ENTER}")
        Prompt(gallery, 1).run()
    [(path, existed)] = opened
    assert (path.suffix, existed, path.exists()) == (".png", True, False)


def test_open_opens_nothing_but_pictures_and_videos(
    gallery: Gallery, photos: Path, keyboard: Type, opened: list[tuple[Path, bool]]
) -> None:
    """An untrusted gallery could name a program."""
    with gallery.catalogue.writing() as connection:
        connection.execute("UPDATE items SET path = 'descriptions.jsonl'")
    assert (photos / "descriptions.jsonl").is_file()
    keyboard(f"de red 1{ENTER}:open 1{ENTER}{ENTER}")
    Prompt(gallery, 1).run()
    assert [path.suffix for path, _ in opened] == [".png"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (":open 1", "There are no answers to open yet; type a query first."),
        (f"de red 1{ENTER}:open", "Name one answer by its rank, from 1 to 2, such as :open 1."),
        (f"de red 1{ENTER}:open 3", "Name one answer by its rank, from 1 to 2"),
        (f"de red 1{ENTER}:open 0", "Name one answer by its rank, from 1 to 2"),
        (f"de red 1{ENTER}:open two", "Name one answer by its rank, from 1 to 2"),
        (":exit", "There is no command :exit; :help lists them."),
        (":help", ":open 3              opens the picture of the third answer."),
    ],
)
def test_commands_are_explained(
    gallery: Gallery,
    keyboard: Type,
    opened: list[tuple[Path, bool]],
    capsys: pytest.CaptureFixture[str],
    line: str,
    message: str,
) -> None:
    keyboard(f"{line}{ENTER}{ENTER}")
    Prompt(gallery, 2).run()
    assert message in capsys.readouterr().out
    assert opened == []


def test_a_filter_that_leaves_nothing_is_said(
    gallery: Gallery, keyboard: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    keyboard(f"a{ENTER}{ENTER}")
    Prompt(gallery, 1, SearchOptions("path~zzz")).run()
    assert "No item matches the filter path~zzz." in capsys.readouterr().out


def test_search_without_a_query_prompts_at_a_terminal(
    built: Path, keyboard: Type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    keyboard(f"de red 1{ENTER}{ENTER}")
    run_search(built / "gallery", None, k=1, as_json=True)
    welcome, answer = capsys.readouterr().out.splitlines()
    assert welcome == WELCOME
    assert answer.startswith('{"query": "de red 1"')


@pytest.mark.parametrize(
    ("platform", "program", "variables", "command"),
    [
        ("linux", "xdg-open", {"DISPLAY": ":0"}, ["/bin/xdg-open", "/p/a.png"]),
        ("linux", "xdg-open", {"WAYLAND_DISPLAY": "w"}, ["/bin/xdg-open", "/p/a.png"]),
        ("linux", "xdg-open", {}, "there is no screen"),
        ("linux", None, {"DISPLAY": ":0"}, "there is no program xdg-open"),
        ("darwin", "open", {}, ["/bin/open", "/p/a.png"]),
    ],
)
def test_the_viewer_is_the_systems(
    monkeypatch: pytest.MonkeyPatch, platform: str, program: str | None, variables: dict[str, str], command: Any
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name == program else None)
    monkeypatch.setattr(subprocess, "Popen", lambda arguments, **options: started.append(arguments))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if isinstance(command, str):
        with pytest.raises(UserError, match=f"/p/a.png cannot be shown here: {command}"):
            open_in_viewer(Path("/p/a.png"))
    else:
        open_in_viewer(Path("/p/a.png"))
    assert started == ([] if isinstance(command, str) else [command])
