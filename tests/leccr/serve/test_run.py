"""The command, from its options to its end."""

import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.serve import run_serve
from leccr.serve.app import make_app
from leccr.serve.desk import Desk
from leccr.serve.run import address_of, listening
from tests import crashes
from tests.leccr.gallery.tiny_gallery import paint, run

from .conftest import SECONDS, wait_until


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["no/such"], "There is no gallery no/such; make one with `leccr index`."),
        (["{gallery}", "--port", "65536"], '--port takes a whole number from 0 to 65535, not "65536".'),
        (["{gallery}", "--max-waiting", "0"], '--max-waiting takes a whole number from 1 to 65536, not "0".'),
        (["{gallery}", "--model", "no/such/model"], "There is no model no/such/model"),
        (["{gallery}", "--host", "256.0.0.1"], "The server cannot listen on port 8000 of 256.0.0.1"),
        (["{gallery}", "--host", "a\tb" * 90], "The server cannot listen on port 8000 of a"),
        (
            ["{gallery}", "--port", "{taken}"],
            "The server cannot listen on port {taken} of 127.0.0.1 (Address already in use); ",
        ),
    ],
)
def test_what_cannot_be_served_is_one_sentence(folder: Path, words: list[str], problem: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        names = {"gallery": folder / "gallery", "taken": other.getsockname()[1]}
        result = run("serve", *(word.format(**names) for word in words))
        lines = [line for line in result.stderr.splitlines() if line != "Starting the server …"]
        assert result.exit_code == 2 and len(lines) == 1, result.output
        assert lines[0].startswith(f"Error: {problem.format(**names)}")


def test_a_missing_library_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UserError, match=r"^The server needs .* pip install .*(fastapi|leccr\[serve\])"):
        run_serve(folder / "gallery", port=0)


def test_addresses_have_brackets_where_they_need_them() -> None:
    with listening("127.0.0.1", 0) as listener:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address_of(listener))
    if socket.has_ipv6:
        with contextlib.suppress(UserError), listening("::1", 0) as listener:
            assert re.fullmatch(r"http://\[::1\]:\d+", address_of(listener))


def serve_slowly(gallery: Path, folder: Path) -> str:
    """Serve until a signal comes, in a process whose first answer waits for the file `go`."""
    count = Desk._count

    def slow(desk: Desk) -> int:
        (folder / "asked").touch()
        while not (folder / "go").exists():
            time.sleep(0.005)
        return count(desk)

    Desk._count = slow  # type: ignore[method-assign]
    with (folder / "said").open("w", buffering=1) as said, contextlib.redirect_stdout(said):
        try:
            run_serve(gallery, port=0)
        except KeyboardInterrupt:
            return "interrupted"
    return "ended"


@crashes.needs_forks
@pytest.mark.parametrize(("number", "end"), [(signal.SIGTERM, "ended"), (signal.SIGINT, "interrupted")])
def test_a_signal_stops_it_once_what_was_asked_is_answered(
    folder: Path, tmp_path: Path, number: signal.Signals, end: str
) -> None:
    child = crashes.start(serve_slowly, gallery=folder / "gallery", folder=tmp_path)
    said = tmp_path / "said"
    wait_until(lambda: said.exists() and said.read_text().endswith("\n"))
    [address] = re.findall(r"^The server is at (http://127\.0\.0\.1:\d+), its pages at /docs\.", said.read_text())
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(httpx.get(f"{address}/healthz", timeout=None)))
    asking.start()
    wait_until((tmp_path / "asked").exists)
    assert child.process.pid is not None
    os.kill(child.process.pid, number)
    wait_until(lambda: _refuses(address))
    (tmp_path / "go").touch()
    asking.join(SECONDS)
    assert answers[0].json()["items"] == 12
    assert child.result() == end


def _refuses(address: str) -> bool:
    try:
        httpx.get(f"{address}/docs", timeout=None)
    except httpx.TransportError:
        return True
    return False


def test_a_gallery_that_grows_is_found_without_a_restart(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder / "gallery", tmp_path / "gallery"))
    with Gallery.open(copy) as gallery, TestClient(make_app(gallery)) as client:
        assert client.get("/search?query=red&k=99").json()["results"][-1]["rank"] == 12
        paint(tmp_path / "more" / "new.png", 77)
        with Gallery.open(copy, gallery.encoder) as writing:
            writing.add(tmp_path / "more")
        assert len(client.get("/search?query=red&k=99").json()["results"]) == 13
        assert client.get("/healthz").json()["items"] == 13
