"""Real clients ask a server at a real port, and some of them leave."""

import asyncio
import base64
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import openai
import pytest

from leccr.gallery import Gallery
from leccr.serve.settings import Settings
from tests.leccr.gallery.tiny_gallery import NAMES, description

from .conftest import SECONDS, served, wait_until

KEY = "secret"
# However busy the machine is.
HTTP = httpx.Client(timeout=None)
TEXTS = [description(name) for name in NAMES]


@pytest.fixture(scope="module")
def locked(gallery: Gallery) -> Iterator[str]:
    """Where the gallery is served to those who have the key."""
    with served(gallery, Settings(key=KEY, most_texts=20)) as address:
        yield address


def client_of(address: str, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)


def test_openai(locked: str, gallery: Gallery) -> None:
    client = client_of(locked)
    expected = gallery.encoder.texts(TEXTS)
    for options in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
        answer = client.embeddings.create(input=TEXTS, model="text-embedding-3-small", **options)  # type: ignore[arg-type]
        vectors = [
            np.frombuffer(base64.b64decode(each.embedding), "<f4")
            if isinstance(each.embedding, str)
            else each.embedding
            for each in answer.data
        ]
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-5)
        assert answer.model == "model" and answer.usage.total_tokens == 0
    [one] = client.embeddings.create(input=TEXTS[0], model="any", user="me").data
    np.testing.assert_allclose(one.embedding, expected[0], rtol=0, atol=1e-5)
    assert [model.id for model in client.models.list()] == ["model"]


def test_openai_embeds_a_picture(locked: str, gallery: Gallery, folder: Path) -> None:
    path = folder / "photos" / "green1.png"
    sent = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    [one] = client_of(locked).embeddings.create(input=[sent], model="any").data
    row = {"id": "", "image": {"path": str(path), "bytes": None}, "description": None}
    np.testing.assert_allclose(one.embedding, gallery.encoder.image(row), rtol=0, atol=1e-5)


def test_openai_is_told_what_is_wrong(locked: str) -> None:
    with pytest.raises(openai.BadRequestError, match="list of tokens"):
        client_of(locked).embeddings.create(input=[[1, 2], [3]], model="any")
    with pytest.raises(openai.BadRequestError, match="There are 21 inputs"):
        client_of(locked).embeddings.create(input=["a"] * 21, model="any")
    with pytest.raises(openai.AuthenticationError, match="needs its key"):
        client_of(locked, "wrong").embeddings.create(input="a", model="any")


def test_many_asynchronous_clients_get_their_own_answers(address: str, gallery: Gallery) -> None:
    expected = gallery.encoder.texts(TEXTS)

    async def ask_all() -> list[list[float]]:
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
            asked = [client.embeddings.create(input=text, model="any") for text in TEXTS * 5]
            return [answer.data[0].embedding for answer in await asyncio.gather(*asked)]

    np.testing.assert_allclose(asyncio.run(ask_all()), np.tile(expected, (5, 1)), rtol=0, atol=1e-5)


def test_a_client_that_leaves_does_not_stop_anything(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, free = threading.Event(), threading.Event()
    search = gallery.search

    def slow(*arguments: object, **options: object) -> object:
        asked.set()
        assert free.wait(SECONDS)
        return search(*arguments, **options)  # type: ignore[call-overload]

    with served(gallery) as address, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(gallery, "search", slow)
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port)) as leaving:
            leaving.sendall(b"GET /search?query=red HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert asked.wait(SECONDS)
            staying = pool.submit(HTTP.get, f"{address}/search", params={"query": "green"})
        left = 'leccr_requests_total{route="/search",status="499"} 1.0'
        wait_until(lambda: left in HTTP.get(f"{address}/metrics").text)
        free.set()
        assert staying.result(SECONDS).status_code == 200
        assert HTTP.get(f"{address}/healthz").status_code == 200


def test_a_large_request_sees_why_it_is_refused(gallery: Gallery) -> None:
    with served(gallery, Settings(most_bytes=100_000)) as address:
        answer = HTTP.post(f"{address}/v1/embeddings", content=b"a" * 5_000_000)
        assert answer.status_code == 413 and "100,000 bytes" in answer.json()["error"]["message"]
        in_parts = HTTP.post(f"{address}/search", content=(b"a" * 50_000 for _ in range(100)))
        assert in_parts.status_code == 413


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"POST /search HTTP/1.1\r\nA: " + b"a" * 200_000]
)
def test_what_is_no_request_does_not_stop_anything(address: str, sent: bytes) -> None:
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port)) as other:
        other.sendall(sent)
        assert b" 200 " not in other.recv(1000)
    assert HTTP.get(f"{address}/healthz").status_code == 200
