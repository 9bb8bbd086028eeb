"""Whatever clients write as a path, a name or an address, the server opens nothing by it and connects nowhere."""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

MARK = "secret-place"
WATCHED = ("open", "os.", "socket.connect", "socket.getaddrinfo", "subprocess.", "urllib.", "sqlite3.connect", "glob.")
seen: list[str] = []
watching = False


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if watching and event.startswith(WATCHED):
        seen.append(f"{event} {arguments!r}")


@pytest.fixture
def events() -> Iterator[list[str]]:
    """Return what the system is asked for, as long as the test runs; a hook cannot be taken out again."""
    global watching
    if not getattr(watch, "added", False):
        sys.addaudithook(watch)
        watch.added = True  # type: ignore[attr-defined]
    seen.clear()
    watching = True
    yield seen
    watching = False


def test_what_is_watched_is_seen(events: list[str], tmp_path: Path) -> None:
    (tmp_path / MARK).touch()
    assert any(MARK in event for event in events)


def test_nothing_is_opened_by_the_names_of_clients(client: TestClient, events: list[str], tmp_path: Path) -> None:
    place = tmp_path / f"{MARK}.png"
    names = [
        str(place),
        f"file://{place}",
        f"http://{MARK}.invalid/a.png",
        f"../../{MARK}",
        f"\\\\{MARK}\\a",
        f"~/{MARK}",
    ]
    packed = base64.b64encode(str(place).encode()).decode()
    for name in names:
        answers = [
            client.post("/v1/embeddings", json={"input": [name, f"{name}\0.png"], "model": name}),
            client.post("/v1/embeddings", json={"input": f"data:image/png;base64,{name}", "model": "a"}),
            client.post("/v1/embeddings", json={"input": f"data:image/png;base64,{packed}", "model": "a"}),
            client.post("/search", json={"query": name, "where": f'path="{name}"'}),
            client.post("/search", json={"image": name}),
            client.post("/search", json={"image": f"data:{name}"}),
            client.get("/search", params={"query": name, "where": f'id~"{name}"'}),
            client.get(f"/items/{name}/thumbnail"),
            client.get(f"/{name}"),
            client.get("/search", params={"query": "red"}, headers={"Referer": name, "X-Original-URL": name}),
        ]
        assert all(answer.status_code in (200, 400, 404) for answer in answers)
    assert not [event for event in events if MARK in event]
