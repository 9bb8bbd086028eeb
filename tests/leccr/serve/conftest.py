"""One gallery, and one server of it at a real port, for all tests."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from leccr.gallery import Gallery
from leccr.serve.app import make_app
from leccr.serve.run import address_of, listening, make_server
from leccr.serve.settings import Settings
from tests.leccr.gallery.tiny_gallery import photos, save_model

# No test waits that long unless something hangs.
SECONDS = 600


@contextmanager
def served(gallery: Gallery, settings: Settings | None = None) -> Iterator[str]:
    """Serve a gallery from a thread, and yield the address."""
    with listening("127.0.0.1", 0) as listener:
        server = make_server(gallery, settings or Settings())
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join(SECONDS)
            assert not thread.is_alive()


def wait_until(is_so: object) -> None:
    """Wait until a condition holds."""
    assert callable(is_so)
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `model`, `photos` and their `gallery`; not to be changed."""
    folder = tmp_path_factory.mktemp("served")
    save_model(folder / "model")
    Gallery.build(photos(folder / "photos", 12), str(folder / "model"), folder / "gallery").close()
    return folder


@pytest.fixture(scope="session")
def gallery(folder: Path) -> Iterator[Gallery]:
    with Gallery.open(folder / "gallery") as gallery:
        yield gallery


@pytest.fixture(scope="session")
def address(gallery: Gallery) -> Iterator[str]:
    """Where the gallery is served."""
    with served(gallery) as address:
        yield address


@pytest.fixture(scope="session")
def client(gallery: Gallery) -> Iterator[TestClient]:
    """A client of the app in this process, whose errors are answers."""
    with TestClient(make_app(gallery), raise_server_exceptions=False) as client:
        yield client
