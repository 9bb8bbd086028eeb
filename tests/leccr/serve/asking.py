"""Asking the app, and looking at what it refuses."""

import base64
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient


def data_url(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def embed(client: TestClient, **fields: Any) -> Any:
    return client.post("/v1/embeddings", json={"model": "any", **fields})


def refused(answer: Any, status: int = 400) -> str:
    """Return the sentence of a refusal, which has the form of OpenAI's."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"][0].isalpha() and error["message"].endswith(".") and "\n" not in error["message"]
    return str(error["message"])
