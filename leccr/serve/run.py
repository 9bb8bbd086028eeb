"""What `leccr serve` does: take the port, load the model, and answer until it is stopped."""

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processing.notes import note

from ..errors import UserError, missing_extra
from ..gallery.gallery import Gallery
from .settings import Settings

LOCAL = ("localhost", "127.0.0.1", "::1")
LOCAL_HOSTS = (*LOCAL, "[::1]")
"""How clients write these in the header `Host`."""
CONNECTIONS_IN_LINE = 1024


def run_serve(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    settings: Settings | None = None,
    model: str | None = None,
    exact: bool = False,
    **loading: Any,
) -> None:
    """Serve a gallery until Ctrl-C or SIGTERM; requests that are being answered then are answered.

    Args:
        folder: The gallery.
        host: Address to serve on; `0.0.0.0` is all of this machine's.
        port: Port; 0 takes a free one.
        settings: Its limits, and who may ask.
        model: Checkpoint, if it is no longer where the gallery says.
        exact: Compare all views, even if the gallery has an approximate index.
        **loading: How the model is loaded: `device`, `dtype` and `trust_remote_code`.

    Raises:
        UserError: If there is no such gallery or model, a library is missing, or the port cannot be had.
        KeyboardInterrupt: After Ctrl-C.
    """
    settings = settings or Settings(hosts=LOCAL_HOSTS if host in LOCAL else ())
    with listening(host, port) as listener, Gallery(folder, model, not exact, **loading) as gallery:
        server = make_server(gallery, settings)
        if settings.key is None and host not in LOCAL:
            note("Everybody who reaches this port may search: set LECCR_SERVER_KEY to a key.", sys.stderr)
        # Seen at once, also where the output goes to a file.
        print(f"The server is at {address_of(listener)}, its pages at /docs. Ctrl-C ends it.", flush=True)
        with _terminable():
            server.run([listener])


def make_server(gallery: Gallery, settings: Settings) -> Any:
    """Return uvicorn's server of a gallery, whose model is loaded here.

    Raises:
        UserError: If a library is missing, or the model cannot be loaded.
    """
    try:
        import uvicorn

        from .app import make_app
    except ModuleNotFoundError as error:
        raise missing_extra("serve", "The server") from error
    app = make_app(gallery, settings)
    if len(gallery):
        # The first search opens the index, and what tells languages apart.
        gallery.search("warm up", 1)
    config = uvicorn.Config(
        app,
        ws="none",
        # Queries are nobody's business, not even the log's.
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=CONNECTIONS_IN_LINE,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    return uvicorn.Server(config)


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take a port before anything is loaded; clients that come meanwhile wait.

    Raises:
        UserError: If it is in use, not allowed, or there is no such address.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=CONNECTIONS_IN_LINE)
    except (OSError, UnicodeError) as error:
        # Newer versions of Python add the address in brackets.
        reason = (getattr(error, "strerror", None) or "is no address").partition(" (")[0]
        raise UserError(
            f"The server cannot listen on port {port} of {host} ({reason}); choose another one with --port or --host."
        ) from error
    with listener:
        yield listener


def address_of(listener: socket.socket) -> str:
    """Return where a server that listens is found, such as `http://127.0.0.1:8000`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the server and then the command, with exit code 0.

    uvicorn raises a signal that stopped it once more, for whoever else waits for it; of Ctrl-C the command line does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
