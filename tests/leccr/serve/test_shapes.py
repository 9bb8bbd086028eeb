"""Requests that cannot be answered, and whatever else clients may send."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from .asking import refused

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input": [1, 2, 3]}, "list of tokens"),
        ({"input": [[1, 2], [3]]}, "check_embedding_ctx_length=False"),
        ({"input": ["red", 3]}, "input: "),
        ({"input": None}, "input: "),
        ({}, "input: "),
        ({"input": []}, "There is no input"),
        ({"input": ""}, "is empty"),
        ({"input": ["red", " "]}, "Query 2 is empty"),
        ({"input": "\ud800"}, "not valid text"),
        ({"input": "red", "encoding_format": "int8"}, "encoding_format: "),
        ({"input": ["red"] * 1001}, "There are 1001 inputs"),
        ({"input": ["data:image/png;base64,AA=="] * 33}, "33 of them pictures"),
        ({"input": "a" * 32_001}, "32,001 characters"),
        ({"input": "data:image/png;base64,iVBORw0KGgo="}, "The picture is broken"),
        ({"input": "data:image/png;base64,***"}, "not base64"),
        ({"input": "data:image/svg+xml,<svg/>"}, "data:image/jpeg;base64"),
        ({"input": "data:text/html;base64,AAAA"}, "data:image/jpeg;base64"),
        ({"input": "DATA:"}, "data:image/jpeg;base64"),
        ({"input": "data:,"}, "data:image/jpeg;base64"),
        ({"input": "data:image/png;base64"}, "not base64"),
    ],
)
def test_inputs_that_cannot_be_embedded(client: TestClient, fields: dict[str, Any], said: str) -> None:
    # As text, because the client's own JSON refuses half of a character.
    assert said in refused(client.post("/v1/embeddings", content=json.dumps(fields), headers=JSON))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "either a query"),
        ({"query": "red", "image": "data:image/png;base64,AA=="}, "either a query"),
        ({"query": "  "}, "is empty"),
        ({"query": "red", "k": 0}, "k: "),
        ({"query": "red", "k": 1001}, "k: "),
        ({"query": "red", "words": 2}, "words: "),
        ({"query": "red", "min_confidence": 2}, "min_confidence: "),
        ({"query": "red", "where": "nothing=1"}, "no column"),
        ({"query": "red", "where": "path"}, "is not understood"),
        ({"query": "red", "sort": "size"}, "cannot be sorted by 'size'"),
        ({"query": "red", "filter": "path~a"}, "filter: Extra inputs"),
        ({"query": "red", "rerank_with": "org/model"}, "rerank_with: Extra inputs"),
        ({"image": "https://example.org/a.png"}, "addresses are not fetched"),
        ({"image": "/etc/passwd"}, "addresses are not fetched"),
        ({"image": "file:///etc/passwd"}, "addresses are not fetched"),
        ({"query": 3}, "query: "),
    ],
)
def test_searches_that_cannot_be_answered(client: TestClient, fields: dict[str, Any], said: str) -> None:
    assert said in refused(client.post("/search", json=fields))


def test_a_misspelt_field_of_an_address_is_named(client: TestClient) -> None:
    assert "filter: Extra inputs" in refused(client.get("/search", params={"query": "red", "filter": "path~a"}))
    assert "query: Field required" in refused(client.get("/search"))


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b'{"query": NaN}'])
def test_a_body_that_is_no_request(client: TestClient, content: bytes) -> None:
    refused(client.post("/search", content=content, headers=JSON))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.just("data:image/png;base64,AA=="),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("query", "image", "k", "where", "sort", "min_confidence", "input", "encoding_format", "dimensions")


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4), st.sampled_from(["/search", "/v1/embeddings"]))
def test_whatever_is_sent_is_answered_or_refused(client: TestClient, fields: dict[str, Any], path: str) -> None:
    answer = client.post(path, content=json.dumps(fields), headers=JSON)
    if answer.status_code != 200:
        refused(answer, 400)
