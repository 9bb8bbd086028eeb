import asyncio

import httpx
import pytest

from benchmarks.space_opening import filling_event, scripts_of, visit

FILES = {
    "/": '<script type="module" src="./assets/index.js"></script><link href="./assets/a.css" rel="stylesheet">',
    "/assets/index.js": 'import{a}from"./b.js";import"./c.js"',
    "/assets/b.js": 'import{c}from"./c.js"',
    "/assets/c.js": "",
    "/assets/a.css": "",
}


def answering(asked: list[str], photos: str) -> httpx.MockTransport:
    """Return a page of a few files that is filled with these photos."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        asked.append(path)
        if path == "/gradio_api/queue/data":
            return httpx.Response(200, text=f'data: {{"msg": "process_completed", "output": "{photos}"}}\n\n')
        return httpx.Response(200, text=FILES.get(path, ""))

    return httpx.MockTransport(answer)


def test_scripts_are_those_that_the_page_imports() -> None:
    async def found() -> list[str]:
        async with httpx.AsyncClient(base_url="http://nowhere", transport=answering([], "")) as client:
            return await scripts_of(client)

    assert sorted(asyncio.run(found())) == ["assets/a.css", "assets/b.js", "assets/c.js", "assets/index.js"]


def test_the_page_is_filled_by_what_happens_when_it_loads() -> None:
    events = [{"id": 3, "targets": [[1, "click"]]}, {"id": 7, "targets": [[2, "tick"], [0, "load"]]}]
    assert filling_event({"dependencies": events}) == 7


@pytest.mark.parametrize("photos", ["pictures/1/small?v=a pictures/2/small?v=a", ""])
def test_a_visitor_waits_for_the_first_photos(photos: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    client = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **options: client(**options, transport=answering(asked, photos)))
    if not photos:
        with pytest.raises(RuntimeError, match="without photos"):
            asyncio.run(visit("http://nowhere", [], 7, 1))
        return
    waited = asyncio.run(visit("http://nowhere", ["assets/b.js"], 7, 1))
    assert waited["scripts"] <= waited["content"] <= waited["photos"]
    assert asked[0] == "/" and {"/assets/b.js", "/pictures/1/small", "/pictures/2/small"} <= set(asked)
