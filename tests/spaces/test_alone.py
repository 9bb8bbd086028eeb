"""The folder as it stands on the Hub: copied alone, without our packages, with a model in the environment."""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.spaces import SPACES
from tests.spaces.alone import OURS

SECONDS = 600
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
PINNED = Path(__file__).parents[2] / "constraints.txt"


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[str]:
    """Run a copy of the Space in a folder, and give its address once the page answers."""
    shutil.copytree(SPACES, folder, ignore=shutil.ignore_patterns("__pycache__", "model"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LECCR"))}
    with (folder.parent / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("alone.py"))],
            cwd=folder,
            env={**kept, **environment, "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + SECONDS
            # The page takes the first port that is free.
            while (address := ADDRESS.search((folder.parent / "log").read_text())) is None:
                assert process.poll() is None and time.monotonic() < deadline, (folder.parent / "log").read_text()
                time.sleep(0.2)
            yield f"{address[0]}/"
        finally:
            process.kill()
            process.wait()


def ask(client: Client, query: str) -> dict:
    """Ask until the model is loaded."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return client.predict(query=query, k=3, api_name="/search")
        except AppError as error:
            assert "Not ready yet" in str(error) and time.monotonic() < deadline, error
            time.sleep(0.2)


def test_the_copied_folder_starts_and_answers(tmp_path: Path, scenes: Path) -> None:
    with running(tmp_path / "space", LECCR_MODEL=str(scenes / "model"), HF_HOME=str(tmp_path / "hub")) as address:
        client = Client(address, verbose=False)
        answer = ask(client, "Ein brauner Hund am Strand")
        assert (len(answer["results"]), answer["language"]) == (3, "de")
        why = client.predict(id=answer["results"][0]["id"], query=answer["query"], api_name="/explain")
        assert abs(why["score"] - answer["results"][0]["score"]) < 1e-5 and len(why["slots"]) == 2


def test_without_a_model_the_page_says_what_to_do(tmp_path: Path) -> None:
    with running(tmp_path / "space") as address:
        client = Client(address, verbose=False)
        deadline = time.monotonic() + SECONDS
        said = ""
        while "LECCR_MODEL" not in said and time.monotonic() < deadline:
            try:
                client.predict(query="dog", api_name="/search")
            except AppError as error:
                said = str(error)
        assert "Set the variable LECCR_MODEL" in said


def test_the_metadata_are_what_a_space_needs() -> None:
    _, front, _ = (SPACES / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert (metadata["sdk"], metadata["app_file"], metadata["license"]) == ("gradio", "app.py", "apache-2.0")
    assert f"gradio=={metadata['sdk_version']}" in PINNED.read_text(encoding="utf-8")
    assert len(metadata["short_description"]) <= 60
    assert not (SPACES / "__init__.py").exists()


def test_requirements_are_what_the_modules_import() -> None:
    imported = set()
    for path in SPACES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
                imported |= {str(name).partition(".")[0] for name in names}
    lines = (SPACES / "requirements.txt").read_text(encoding="utf-8").split()
    names = {re.split(r"[<>=]", line)[0] for line in lines}
    modules = {"PIL" if name == "pillow" else name for name in names}
    ours = {path.stem for path in SPACES.glob("*.py")} | set(OURS)
    assert imported - ours - set(sys.stdlib_module_names) == modules
