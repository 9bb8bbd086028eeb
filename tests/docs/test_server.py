"""The code of the page asks a real server, and the Dockerfile is what the page says."""

import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import typer

from leccr.cli.app import app
from leccr.gallery import Gallery
from leccr.serve.settings import Settings
from tests.leccr.gallery.tiny_gallery import photos, save_model
from tests.leccr.serve.conftest import served

# It reports every use to its makers otherwise.
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "server.md").read_text(encoding="utf-8")
HERE = "http://localhost:8000"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
STEPS = [
    step.split(maxsplit=1) for step in DOCKERFILE.replace("\\\n", " ").splitlines() if step and not step.startswith("#")
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    save_model(folder / "model")
    Gallery.build(photos(folder / "photos", 6), str(folder / "model"), folder / "gallery").close()
    with Gallery.open(folder / "gallery") as gallery, served(gallery) as address:
        yield address


@pytest.mark.parametrize(
    ("library", "printed"),
    [
        ("from openai", r"2 8\n"),
        ("InMemoryVectorStore", r"A (dog|red house) .*\.\n"),
        ("BaseRetriever", r"\[('[\w/]+\.png'(, )?){4}\]\n"),
        ("InMemoryDocumentStore", r"A (dog|red house) .*\.\n"),
        ("@component", r"\[('[\w/]+\.png'(, )?){4}\]\n"),
    ],
)
def test_its_code_runs(address: str, library: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = [block for block in BLOCKS if library in block]
    assert code.count(HERE) == 1
    exec(compile(code.replace(HERE, address), "server.md", "exec"), {"__name__": "page"})
    assert re.fullmatch(printed, capsys.readouterr().out)


def test_all_its_code_is_tested() -> None:
    assert len(BLOCKS) == 5


def test_its_numbers_are_the_limits() -> None:
    settings = Settings()
    text = " ".join(PAGE.split())
    assert f"at most {settings.most_bytes >> 20} MB" in text and f"up to {settings.batch_size} at a time" in text
    assert f"{settings.most_texts:,} texts of up to {settings.most_characters:,} characters" in text
    assert f"{settings.most_pictures} pictures" in text and f"Above {settings.most_waiting} requests" in text
    assert f"after {settings.seconds:g} seconds" in text and settings.grace_seconds == 10


def test_its_paths_exist(address: str) -> None:
    with urlopen(f"{address}/openapi.json") as answer:
        paths = json.load(answer)["paths"]
    named = re.findall(r"`(?:GET|POST) (/[^`]*)`", PAGE)
    assert len(named) >= 8 and set(named) - {"/docs", "/openapi.json"} == set(paths) - {"/v1/models"}


def test_the_server_of_the_container_runs_as_an_ordinary_user() -> None:
    users = [argument for name, argument in STEPS if name == "USER"]
    [made] = re.findall(r"useradd .*--uid (\d+) (\w+)", DOCKERFILE)
    assert users == [made[1]] and int(made[0]) > 0
    # Nothing that is started comes before it.
    names = [name for name, _ in STEPS]
    assert names.index("USER") < min(names.index(name) for name in ("HEALTHCHECK", "ENTRYPOINT", "CMD"))


def test_the_container_gets_what_it_installs() -> None:
    copied = [word for name, arguments in STEPS if name == "COPY" for word in arguments.split()[:-1]]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    folders = {files.split("/")[0] for each in project["tool"]["setuptools"]["data-files"].values() for files in each}
    assert packages | folders | {"pyproject.toml", "constraints.txt", "README.md", "LICENSE"} == set(copied)
    assert all((REPOSITORY / name).exists() for name in copied)
    kept = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in kept if line.startswith("!")} == set(copied)
    [extras] = re.findall(r"'\.\[([\w,-]+)\]'", DOCKERFILE)
    assert {"gallery", "serve"} <= set(extras.split(",")) <= set(project["project"]["optional-dependencies"])


def test_the_container_starts_a_command_that_exists() -> None:
    steps = dict(STEPS)
    words = [*json.loads(steps["ENTRYPOINT"]), *json.loads(steps["CMD"])]
    shown = re.findall(r"docker run (?:.*\\\n)*.* leccr (serve .*)", PAGE)
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for each in (words[1:], *map(shlex.split, shown)):
        context = commands[each[0]].make_context(each[0], each[1:])
        assert str(context.params["folder"]) == "/gallery" and context.params["host"] == "0.0.0.0"
        assert context.params["port"] == int(steps["EXPOSE"])
    assert words[0] == "leccr" and len(shown) == 1


def test_the_containers_health_check_asks_the_server(address: str) -> None:
    [line] = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    program, option, code = json.loads(line)
    assert (program, option) == ("python", "-c") and "http://127.0.0.1:8000" in code
    code = code.replace("http://127.0.0.1:8000", address)
    exec(code)
    with pytest.raises(HTTPError):
        exec(code.replace("healthz", "nothing"))
