"""The guard around an app that answers when it is told to, driven without a network."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from leccr.gallery import Gallery
from leccr.serve.app import make_app
from leccr.serve.guard import Guard
from leccr.serve.metrics import Metrics
from leccr.serve.settings import Settings

LEAVES: Message = {"type": "http.disconnect"}


def part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


class App:
    """Answers with the length of the body, once it is let."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.asked = self.stopped = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        if scope["path"] == "/healthz":
            await PlainTextResponse("ok")(scope, receive, send)
            return
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        body = (await receive())["body"]
        await PlainTextResponse(str(len(body)))(scope, receive, send)


class Asked:
    """One request: what the client sends, and what it gets."""

    def __init__(self, guard: Guard, *sent: Message, path: str = "/search") -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        for message in sent or (part(b""),):
            self.messages.put_nowait(message)
        self.got: list[Message] = []
        self.scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        self.task = asyncio.create_task(guard(self.scope, self.messages.get, self.send))

    async def send(self, message: Message) -> None:
        self.got.append(message)

    async def status(self) -> int | None:
        """Return the status once the request is over; None without an answer."""
        await self.task
        return self.got[0]["status"] if self.got else None

    def headers(self) -> dict[bytes, bytes]:
        return dict(self.got[0]["headers"])

    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.got)


def run(test: Callable[[App, Guard], Coroutine[Any, Any, None]], **settings: Any) -> str:
    """Run a test, and return what the metrics say afterwards."""
    metrics = Metrics()

    async def inside() -> None:
        app = App()
        async with asyncio.timeout(600):
            await test(app, Guard(app, Settings(**settings), metrics))

    asyncio.run(inside())
    return metrics.text().decode()


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_too_many_requests_are_asked_to_come_back() -> None:
    async def test(app: App, guard: Guard) -> None:
        first, second = Asked(guard), Asked(guard)
        await turns()
        third = Asked(guard)
        assert await third.status() == 503 and third.headers()[b"retry-after"] == b"1"
        assert await Asked(guard, path="/healthz").status() == 200
        app.free.set()
        assert (await first.status(), await second.status()) == (200, 200)
        assert await Asked(guard).status() == 200

    text = run(test, most_waiting=2)
    assert 'leccr_requests_total{route="other",status="503"} 1.0' in text
    assert "leccr_requests_in_progress 0.0" in text


def test_a_body_is_read_in_parts_up_to_its_limit() -> None:
    async def test(app: App, guard: Guard) -> None:
        app.free.set()
        small = Asked(guard, part(b"a" * 6, True), part(b"b" * 4))
        assert await small.status() == 200 and small.body() == b"10"
        large = Asked(guard, part(b"a" * 6, True), part(b"b" * 6, True), part(b"c" * 100))
        assert await large.status() == 413 and "more than 10 bytes" in json.loads(large.body())["error"]["message"]
        # Heard to its end, so that it sees the answer.
        assert large.messages.empty() and app.asked == 1

    run(test, most_bytes=10)


def test_all_bodies_together_have_a_limit() -> None:
    async def test(app: App, guard: Guard) -> None:
        waiting = [Asked(guard, part(b"a" * 10)) for _ in range(16)]
        await turns()
        assert await Asked(guard, part(b"a")).status() == 503
        app.free.set()
        assert [await each.status() for each in waiting] == [200] * 16
        assert await Asked(guard, part(b"a" * 10)).status() == 200

    run(test, most_bytes=10)


@pytest.mark.parametrize("sent", [[part(b"a")], [part(b"a", True)]], ids=["answered slowly", "sent slowly"])
def test_a_request_that_takes_too_long_is_given_up(sent: list[Message]) -> None:
    async def test(app: App, guard: Guard) -> None:
        asked = Asked(guard, *sent)
        assert await asked.status() == 503 and asked.headers()[b"retry-after"] == b"1"
        assert app.stopped == app.asked

    run(test, seconds=0.01)


@pytest.mark.parametrize("sent", [[part(b"a"), LEAVES], [part(b"a", True), LEAVES]], ids=["waiting", "sending"])
def test_a_client_that_leaves_is_worked_for_no_longer(sent: list[Message]) -> None:
    async def test(app: App, guard: Guard) -> None:
        asked = Asked(guard, *sent)
        assert await asked.status() is None
        assert app.stopped == app.asked
        app.free.set()
        assert await Asked(guard).status() == 200

    text = run(test, most_waiting=1)
    assert 'leccr_requests_total{route="other",status="499"} 1.0' in text


def test_the_key_is_needed_but_for_health_and_pages(gallery: Gallery) -> None:
    with TestClient(make_app(gallery, Settings(key="sëcret"))) as client:
        for path in ("/search?query=red", "/metrics", "/v1/models", "/items/1/thumbnail", "/nothing"):
            for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic sëcret".encode()}):
                answer = client.get(path, headers=given)
                assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
                assert "needs its key" in answer.json()["error"]["message"]
        for path in ("/healthz", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        answer = client.get("/search?query=red", headers={"Authorization": "Bearer sëcret".encode()})
        assert answer.status_code == 200
