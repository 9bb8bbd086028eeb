"""What every request passes: the key, the limits of size, number and time, and clients that leave."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import refusal
from .metrics import Metrics
from .settings import Settings

WITHOUT_KEY = ("/healthz", "/docs", "/openapi.json")
"""Monitors have no key, and what can be asked is no secret."""
WITHOUT_LIMIT = ("/healthz", "/metrics")
"""Answered however busy the server is."""
CLIENT_LEFT = 499
"""How access logs write that nobody waits for the answer any more."""


class Guard:
    """Middleware around the app; the body of a request that passes is in memory as a whole.

    Args:
        app: The app.
        settings: Its limits.
        metrics: Count each request.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics
        self._busy = self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the app do so."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Sending(send)
        began = time.perf_counter()
        try:
            await self._limited(scope, receive, answer)
        except _ClientLeftError:
            answer.status = CLIENT_LEFT
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.request(route, answer.status or 500, time.perf_counter() - began)

    async def _limited(self, scope: Scope, receive: Receive, answer: "_Sending") -> None:
        settings = self.settings
        if not self._has_key(scope):
            message = "This server needs its key; send it as Authorization: Bearer KEY."
            await answer.refuse(scope, receive, 401, message, {"WWW-Authenticate": "Bearer"})
            return
        if scope["path"] in WITHOUT_LIMIT:
            await self.app(scope, receive, answer)
            return
        if self._busy >= settings.most_waiting:
            await answer.refuse(scope, receive, 503, "Too many requests are waiting; try again in a moment.")
            return
        self._busy += 1
        self.metrics.in_progress.set(self._busy)
        try:
            async with asyncio.timeout(settings.seconds):
                await self._read_and_answer(scope, receive, answer)
        except TimeoutError:
            if not answer.status:
                message = f"There was no answer within {settings.seconds:g} seconds; try again in a moment."
                await answer.refuse(scope, receive, 503, message)
        finally:
            self._busy -= 1
            self.metrics.in_progress.set(self._busy)

    def _has_key(self, scope: Scope) -> bool:
        key = self.settings.key
        if key is None or scope["path"] in WITHOUT_KEY:
            return True
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # Takes as long for a key that is nearly right as for any other. Headers are bytes, read as Latin-1.
        expected = key.encode("utf-8", "surrogateescape")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), expected)

    async def _read_and_answer(self, scope: Scope, receive: Receive, answer: "_Sending") -> None:
        body = bytearray()
        try:
            refused = await self._read(receive, body)
            if refused:
                await answer.refuse(scope, receive, *refused)
            else:
                await self._unless_client_leaves(scope, bytes(body), receive, answer)
        finally:
            self._bytes -= len(body)

    async def _read(self, receive: Receive, body: bytearray) -> tuple[int, str] | None:
        """Read a body, and return why it is refused. A client is heard to the end, or it would not see the answer."""
        most, refused = self.settings.most_bytes, None
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientLeftError
            chunk = b"" if refused else message.get("body", b"")
            body += chunk
            self._bytes += len(chunk)
            if len(body) > most:
                refused = 413, f"The request has more than {most:,} bytes; send smaller pictures, or fewer at a time."
            elif self._bytes > self.settings.most_bytes_together:
                refused = 503, "Too many large requests are waiting; try again in a moment."
            if not message.get("more_body", False):
                return refused

    async def _unless_client_leaves(self, scope: Scope, body: bytes, receive: Receive, answer: "_Sending") -> None:
        """Let the app answer, and stop it once nobody waits for the answer any more."""
        answering = asyncio.ensure_future(self.app(scope, _replay(body), answer))
        leaving = asyncio.ensure_future(_wait_for_leaving(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            # The end of an answer looks like a client that leaves.
            if not answering.done() and not answer.status:
                raise _ClientLeftError
            await answering
        finally:
            leaving.cancel()
            if not answering.done():
                answering.cancel()
                with suppress(asyncio.CancelledError):
                    await answering


class _ClientLeftError(Exception):
    """Nobody waits for the answer."""


class _Sending:
    """Sends an answer, and keeps its status; 0 before its first byte."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def refuse(
        self, scope: Scope, receive: Receive, status: int, message: str, headers: dict[str, str] | None = None
    ) -> None:
        await refusal(status, message, headers)(scope, receive, self)


def _replay(body: bytes) -> Callable[[], Awaitable[Message]]:
    """Return what gives the app a body that was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _wait_for_leaving(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
