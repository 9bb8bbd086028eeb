"""A server that speaks OpenAI's chat completions on this machine, and fails as it is told to."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass
class Reply:
    """What the server answers; `body` stands for the whole answer if it is given."""

    text: str | None = "A dog runs."
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    finish_reason: str = "stop"
    body: bytes | None = None
    delay: float = 0.0
    cut_off: bool = False

    def encode(self) -> bytes:
        if self.body is not None:
            return self.body
        message = {"role": "assistant", "content": self.text}
        return json.dumps({"choices": [{"message": message, "finish_reason": self.finish_reason}]}).encode()


class ChatServer:
    """Answers each request by `reply(number, payload)`, and keeps the payloads, headers and times."""

    def __init__(self, reply: Callable[[int, dict[str, Any]], Reply]) -> None:
        self.payloads: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self._at_once = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(outer.payloads)
                    outer.payloads.append(payload)
                    outer.headers.append({"path": self.path, **dict(self.headers)})
                    outer.times.append(time.monotonic())
                    outer._at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer._at_once)
                answer = reply(number, payload)
                time.sleep(answer.delay)
                with lock:
                    outer._at_once -= 1
                body = answer.encode()
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body[: len(body) // 2] if answer.cut_off else body)
                except OSError:
                    pass  # The client has given up.

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def question_of(payload: dict[str, Any]) -> str:
    """Return the text of a request."""
    content = payload["messages"][0]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def in_turn(*replies: Reply) -> Callable[[int, dict[str, Any]], Reply]:
    """Return a `reply` that gives one after the other, and the last for ever."""
    return lambda number, payload: replies[min(number, len(replies) - 1)]
