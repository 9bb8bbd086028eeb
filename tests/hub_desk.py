"""Processes that publish on a Hub, or that load from it; each has the Hub's address when it imports the libraries."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from . import hub_over_http_child
from .hub_server import TOKEN, HubServer
from .test_hub_round_trip import LOWEST

ROOT = Path(__file__).parents[1]
PUSHES = """
import contextlib, io, json, os, sys
from leccr.cli import app
outcomes = []
for token, *words in json.loads(sys.argv[1]):
    os.environ["HF_TOKEN"], output, errors = token, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            app(["push", *words])
        except SystemExit as stop:
            outcomes.append([stop.code or 0, output.getvalue(), errors.getvalue()])
print(json.dumps(outcomes))
"""


class Desk:
    """A Hub, a folder with what is published on it, and processes that do so, or that load it."""

    def __init__(self, hub: HubServer, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        self.home = folder / "home"
        self.home.mkdir()
        self.output = ""

    def run(
        self, *command: str, ours: bool = False, lowest: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with a cache of its own; `ours` lets it find our packages, `lowest` the lowest transformers."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
        overlay = [str(LOWEST)] if lowest else []
        clean |= {"HF_HOME": str(self.home), "HF_ENDPOINT": self.hub.url, "HF_HUB_DISABLE_XET": "1"}
        clean |= {"PYTHONPATH": os.pathsep.join([*overlay, str(ROOT)] if ours else overlay), **variables}
        done = subprocess.run(
            [sys.executable, "-P", *command], cwd=self.folder, env=clean, capture_output=True, text=True, timeout=300
        )
        self.output += done.stdout + done.stderr
        return done

    def push(self, *commands: list[str]) -> list[tuple[int, str, str]]:
        """Run `leccr push` with every log switched on, once for each list of a token and words.

        Returns:
            The exit code, the output and the errors of each.
        """
        logs = {"HF_HUB_VERBOSITY": "debug", "TRANSFORMERS_VERBOSITY": "debug", "HF_DEBUG": "1"}
        done = self.run("-c", PUSHES, json.dumps(commands), ours=True, **logs)
        assert done.returncode == 0, done.stderr[-3000:]
        return [tuple(outcome) for outcome in json.loads(done.stdout)]

    def load(self, *names: str, lowest: bool, **variables: str) -> list[dict[str, Any]]:
        """Load models, written as `name@revision`, without a token; return their reports and embeddings."""
        done = self.run(hub_over_http_child.__file__, str(self.folder), *names, lowest=lowest, **variables)
        assert done.returncode == 0, done.stderr[-3000:]
        reports = json.loads((self.folder / "reports.json").read_text(encoding="utf-8"))
        indices = range(len(names))
        return [
            {**report, "embeddings": load_file(self.folder / f"{index}.safetensors")}
            for index, report in zip(indices, reports, strict=True)
        ]

    def check(self) -> None:
        """Make sure that nothing was asked that no Hub answers, and that the token shows nowhere."""
        assert self.hub.problems == []
        assert TOKEN not in self.output + "".join(self.hub.requests)
        for kind, name in self.hub.repositories:
            for content in self.hub.files(name, kind).values():
                assert TOKEN.encode() not in content
