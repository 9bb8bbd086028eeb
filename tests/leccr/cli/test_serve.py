"""The options of `leccr serve`; what they do is in `tests/leccr/serve`."""

from pathlib import Path
from typing import Any

import pytest

from leccr import serve as serve_module
from leccr.cli import serve as command
from leccr.serve.settings import Settings
from tests.leccr.gallery.tiny_gallery import run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command asks for, in place of serving it."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(serve_module, "run_serve", lambda *values, **options: asked.update(options, values=values))
    monkeypatch.setattr(command, "need_model", lambda folder, model: None)
    return asked


def test_the_command_passes_its_options_on(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LECCR_SERVER_KEY", "secret")
    options = "--host 0.0.0.0 --port 9000 --cors https://a.org,https://b.org --batch-size 8 --max-waiting 9 --max-mb 2"
    more = "--timeout 7 --exact --device cpu --dtype bf16 --trust-remote-code --model org/m"
    result = run("serve", "gallery", *options.split(), *more.split())
    assert (result.exit_code, result.stderr) == (0, "Starting the server …\n"), result.output
    settings = Settings(
        key="secret",
        origins=("https://a.org", "https://b.org"),
        batch_size=8,
        most_waiting=9,
        most_bytes=2 * 2**20,
        seconds=7,
    )
    assert asked.pop("values") == (Path("gallery"), "0.0.0.0", 9000, settings, "org/m", True)
    assert asked == {"device": "cpu", "dtype": "bf16", "trust_remote_code": True}


def test_by_default_only_this_machine_reaches_it(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LECCR_SERVER_KEY", raising=False)
    assert run("serve", "gallery").exit_code == 0
    hosts = ("localhost", "127.0.0.1", "::1", "[::1]")
    assert list(asked["values"][1:4]) == ["127.0.0.1", 8000, Settings(hosts=hosts)]


@pytest.mark.parametrize("key", ["", "  "])
def test_a_key_that_is_empty_is_none(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("LECCR_SERVER_KEY", key)
    assert run("serve", "gallery").exit_code == 0
    assert asked["values"][3].key is None


@pytest.mark.parametrize("page", ["https://a.org/", "a.org", "https://a.org/path", "ftp://a.org", "https://"])
def test_pages_that_no_browser_names_so_are_refused(page: str) -> None:
    result = run("serve", "gallery", "--cors", f"https://b.org,{page}")
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: --cors: write pages as https://example.org, without a path, or * for all; not {page}.\n"
    )
