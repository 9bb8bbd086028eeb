"""A time within which a whole request has to be over, which another thread can also end early."""

import contextlib
import http.client
import socket
import threading
import urllib.request
from types import TracebackType
from typing import Any, Self

_current = threading.local()


class Deadline:
    """Ends the connections that are made in its thread within the context.

    Timeouts of sockets count from one byte to the next, and so never end a server that sends a byte now and then.

    Args:
        seconds: From the beginning of the context.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._over = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        _current.deadline = self
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _current.deadline = None
        self._timer.cancel()
        self.end()

    def watch(self, connection: socket.socket) -> None:
        """End this connection, too."""
        # A second handle: TLS takes the first one over.
        with self._lock:
            self._sockets.append(connection.dup())
        if self._over:
            self.end()

    def end(self) -> None:
        """End all connections now: whoever waits for them gets an error."""
        with self._lock:
            self._over = True
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            self._sockets.clear()

    def _pass(self) -> None:
        self.passed = True
        self.end()


def _connect(address: tuple[str, int], timeout: Any = None, source: Any = None, **options: Any) -> socket.socket:
    """Do as `socket.create_connection`, under the deadline of the thread already while it connects."""
    deadline: Deadline | None = getattr(_current, "deadline", None)
    problem: OSError | None = None
    for family, kind, protocol, _, target in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            if isinstance(timeout, int | float):
                connection.settimeout(timeout)
            if deadline is not None:
                deadline.watch(connection)
            if source:
                connection.bind(source)
            connection.connect(target)
            return connection
        except OSError as error:
            problem = error
            connection.close()
    raise problem or OSError("the name has no address")


class _Connection(http.client.HTTPConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = _connect


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = _connect


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, request)


DeadlineHandlers = (_Handler, _SecureHandler)
"""For `urllib.request.build_opener`."""
