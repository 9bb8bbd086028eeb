import base64
import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import gradio as gr
import pytest
from PIL import Image as PillowImage
from space_describer import Describer
from space_errors import SpaceError
from space_model import Retriever
from space_own_tab import OwnTab
from space_setup import Setup
from space_uploads import add_uploads

from tests.spaces.hostile import jpeg, write

PICTURE = PillowImage.new("RGB", (1280, 640), "red")
NAMES = ("LECCR_DESCRIBER", "LECCR_DESCRIBER_MODEL", "LECCR_API_KEY")


class Server(BaseHTTPRequestHandler):
    """Describes every picture alike, and keeps what it was asked."""

    asked: list[tuple[str | None, dict[str, Any]]] = []
    answer: Any = {"choices": [{"message": {"content": "A red\n wall. "}}]}

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.asked.append((self.headers["Authorization"], json.loads(self.rfile.read(length))))
        found = self.path == "/v1/chat/completions"
        body = json.dumps(self.answer).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def server() -> Iterator[str]:
    Server.asked.clear()
    httpd = HTTPServer(("127.0.0.1", 0), Server)
    Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}/v1"
    httpd.shutdown()
    httpd.server_close()


def test_it_is_set_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert Describer.from_environment() is None
    for name, value in zip(NAMES, ("http://host/v1", "qwen", "secret")):
        monkeypatch.setenv(name, value)
    found = Describer.from_environment()
    assert found is not None and (found.name, found.model, found.key) == ("http://host/v1", "qwen", "secret")
    assert "secret" not in repr(found)


def test_a_server_is_sent_a_small_picture_and_the_key(server: str) -> None:
    assert Describer(server + "/", "qwen", "secret").describe(PICTURE) == "A red wall."
    [(key, asked)] = Server.asked
    assert (key, asked["model"]) == ("Bearer secret", "qwen")
    address = asked["messages"][0]["content"][0]["image_url"]["url"]
    with PillowImage.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as sent:
        assert sent.size == (640, 320)


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": [{"message": {"content": " "}}]}, None])
def test_a_server_that_fails_is_one_sentence(
    server: str, answer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Server, "answer", answer)
    name = server if answer is not None else server.replace("/v1", "/nosuch")
    with pytest.raises(SpaceError, match="could not be described now"):
        Describer(name, key="secret").describe(PICTURE)
    assert "secret" not in capsys.readouterr().out


def test_a_model_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(SpaceError, match="could not be described now"):
        Describer("no/such-model").describe(PICTURE)


def test_a_model_of_transformers_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def pipeline(task: str, model: str) -> Any:
        def answer(text: Any, **options: Any) -> Any:
            asked.append((task, model, text[0]["content"][0]["image"].size, options["do_sample"]))
            return [{"generated_text": "A wall."}]

        return answer

    monkeypatch.setattr("transformers.pipeline", pipeline)
    assert Describer("org/model").describe(PICTURE) == "A wall."
    assert asked == [("image-text-to-text", "org/model", (640, 320), False)]


def test_a_visitor_reads_the_words_before_they_are_saved(
    server: str, setup: Setup, retriever: Retriever, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LECCR_DESCRIBER", server)
    with gr.Blocks() as page:
        tab = OwnTab(setup, page)
    assert tab.generate_button.visible
    store, _ = add_uploads(None, [write(tmp_path, "a.jpg", jpeg())], retriever)
    id = store.pictures[0].id
    said, words = tab.generate(store, id)
    assert words == "A red wall." and "correct it if need be" in said and store.picture(id).description is None
    assert "no picture with this id" in tab.generate(store, "other")[0]
    assert "Add some pictures first" in tab.generate(None, id)[0]
    monkeypatch.delenv("LECCR_DESCRIBER")
    with gr.Blocks() as page:
        assert not OwnTab(setup, page).generate_button.visible
