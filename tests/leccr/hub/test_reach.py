import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leccr.errors import UserError
from leccr.hub import reach
from leccr.hub.reach import need_from_hub, need_hub, reach_hub


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*reach.OFFLINE_VARIABLES, "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a port that refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", url)
    return url


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield url


def cache(tmp_path: Path, name: str) -> None:
    (tmp_path / "cache" / f"models--{name.replace('/', '--')}" / "snapshots" / "1a2b").mkdir(parents=True)


def test_what_refuses_or_never_answers_is_not_reached(
    closed: str, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "SECONDS", 0.2)
    for url in (closed, silent, "http://[", "http://nowhere.invalid"):
        monkeypatch.setenv("HF_ENDPOINT", url)
        assert not reach_hub(), url


def test_any_answer_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    # Python's own server answers HEAD of this path with an error.
    program = (
        "import http.server, sys; s = http.server.HTTPServer(('127.0.0.1', 0), http.server.BaseHTTPRequestHandler)"
    )
    program += "; print(s.server_port, flush=True); s.handle_request()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{int(server.stdout.readline())}")
        assert reach_hub()


def test_folders_need_no_hub(closed: str, tmp_path: Path) -> None:
    need_from_hub([str(tmp_path), None])


def test_what_is_missing_is_named_with_a_way_out(closed: str, tmp_path: Path) -> None:
    cache(tmp_path, "org/here")
    message = f"^org/a is neither a folder nor in the cache, and the Hub \\({closed}\\) cannot be reached: .* Do this.$"
    with pytest.raises(UserError, match=message):
        need_from_hub(["org/a", "org/here", "st:org/here", str(tmp_path), f"st:{tmp_path}"], alternative="Do this.")
    with pytest.raises(UserError, match=r"^sentence-transformers/clip-ViT-B-32 is neither"):
        need_from_hub(["st:clip-ViT-B-32"])
    with pytest.raises(UserError, match="Publishing needs the Hub, and the Hub .* cannot be reached"):
        need_hub("Publishing")


def test_what_is_in_the_cache_is_taken_from_there(
    closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    cache(tmp_path, "org/here")
    need_from_hub(["org/here"])
    assert "org/here is taken from the cache" in capsys.readouterr().out
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert constants.is_offline_mode()


def test_offline_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(reach, "reach_hub", lambda: pytest.fail("asked"))
    cache(tmp_path, "org/here")
    need_from_hub(["org/here"])
    with pytest.raises(UserError, match="org/a is neither .* HF_HUB_OFFLINE forbids a download"):
        need_from_hub(["org/a"])


COMMANDS = (
    "train leccr --out OUT",
    "evaluate org/model scenes",
    "export org/model --out OUT",
    "index IMAGES --model org/model --out OUT",
    "index org/data --model IMAGES --out OUT",
    "push IMAGES org/model",
    "demo --model org/model --quiet",
)
PROGRAM = """
import json, sys
from leccr.cli import app
from leccr.hub import reach
reach.SECONDS = 0.5
for command in json.loads(sys.argv[1]):
    try:
        app(command.split())
    except SystemExit as stop:
        assert stop.code == 2, (command, stop.code)
    heavy = {"torch", "transformers", "datasets"} & set(sys.modules)
    assert not heavy, (command, heavy)
"""


@pytest.mark.parametrize("kind", ["closed", "silent"])
def test_commands_say_so_before_anything_is_loaded(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    url = request.getfixturevalue(kind)
    images = tmp_path / "images"
    images.mkdir()
    (images / "config.json").write_text("{}")
    commands = [each.replace("OUT", str(tmp_path / "out")).replace("IMAGES", str(images)) for each in COMMANDS]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": url}
    arguments = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    result = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == len(COMMANDS)
    assert [line for line in lines if f"the Hub ({url}) cannot be reached" not in line] == []
    assert not (tmp_path / "out").exists()
