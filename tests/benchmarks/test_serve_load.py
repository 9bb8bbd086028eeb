import asyncio
from typing import Any

import httpx
import pytest

from benchmarks import serve_load
from benchmarks.serve_load import Load


def answer(request: httpx.Request) -> httpx.Response:
    """Answer as the server does; every embedding fails."""
    if request.url.path == "/v1/embeddings":
        return httpx.Response(503)
    return httpx.Response(200, json={"results": [{"thumbnail": "/items/1/thumbnail"}]})


def test_clients_count_answers_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_load, "PAUSE_SECONDS", (0.0, 0.001))
    asked: list[Any] = []

    def transport(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path))
        return answer(request)

    async def run() -> Load:
        async with httpx.AsyncClient(transport=httpx.MockTransport(transport), base_url="http://a") as client:
            load = Load(client, ["ein Hund", "a dog", "un chien", "pes"], seed=0)
            while len(load.errors) < 3 or not load.waited["thumbnail"]:
                await load.run(5, 0.05)
            return load

    load = asyncio.run(run())
    assert len(load.errors) == asked.count(("POST", "/v1/embeddings")) and "503" in load.errors[0]
    assert len(load.waited["search"]) == asked.count(("POST", "/search"))
    assert len(load.waited["thumbnail"]) == asked.count(("GET", "/items/1/thumbnail"))
    assert not load.waited["embeddings"]
