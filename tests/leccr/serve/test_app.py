"""What the routes answer, in this process."""

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from starlette.testclient import TestClient

from leccr.gallery import Gallery
from leccr.serve import app as app_module
from leccr.serve.app import make_app
from leccr.serve.desk import Desk
from leccr.serve.settings import Settings
from leccr.serve.shapes import SearchFields
from tests.leccr.gallery.tiny_gallery import NAMES, description

from .asking import data_url, embed, refused

QUERY = description("green")


def vectors(answer: Any) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert [each["index"] for each in answer.json()["data"]] == list(range(len(answer.json()["data"])))
    return np.array([each["embedding"] for each in answer.json()["data"]], dtype=np.float32)


def test_a_search_answers_as_the_gallery_does(client: TestClient, gallery: Gallery) -> None:
    expected = gallery.search(QUERY, 3)
    for answer in (
        client.post("/search", json={"query": QUERY, "k": 3}),
        client.get("/search", params={"query": QUERY, "k": 3}),
    ):
        found = answer.json()
        assert [result["id"] for result in found["results"]] == [result.id for result in expected]
        assert [result["score"] for result in found["results"]] == pytest.approx([r.score for r in expected], abs=1e-6)
        assert found["query"] == QUERY and found["unknown"] == 0.0 and "nearest" not in found


def test_no_folder_of_the_machine_is_told(client: TestClient, folder: Path) -> None:
    for path in ("/healthz", "/v1/models", "/openapi.json", "/metrics", f"/search?query={QUERY}&min_confidence=1"):
        answer = client.get(path)
        assert answer.status_code == 200 and str(folder) not in answer.text
    answers = client.get("/search", params={"query": QUERY}).text
    assert str(folder) not in answers and '"path"' in answers and '"file"' not in answers


def test_a_filter_and_a_least_confidence(client: TestClient) -> None:
    found = client.post("/search", json={"query": QUERY, "where": "path~holiday", "k": 12}).json()["results"]
    assert len(found) == 4 and all(result["path"].startswith("holiday/") for result in found)
    best = client.post("/search", json={"query": QUERY, "k": 1}).json()["results"][0]
    assert best["confidence"] < 1
    found = client.post("/search", json={"query": QUERY, "min_confidence": 1}).json()
    assert found["results"] == [] and found["nearest"]["id"] == best["id"]


def test_words_in_quotes_must_occur_and_words_have_a_weight(client: TestClient, gallery: Gallery) -> None:
    def found(**fields: Any) -> list[str]:
        answer = client.post("/search", json={"k": 12, **fields})
        return [result["id"] for result in answer.json()["results"]]

    assert found(query='"is green" pink') == ["green1.png"]
    for weight in (0, 1):
        assert found(query="navy", words=weight) == [r.id for r in gallery.search("navy", 12, words=weight)]


@pytest.mark.parametrize("query", ['""', '"', '" "', '"a" "', "'", '"' * 99, '"red', "NEAR(", "a AND", "*", "-", "%_"])
def test_odd_quotes_and_signs_are_answered_or_refused(client: TestClient, query: str) -> None:
    answer = client.post("/search", json={"query": query})
    assert answer.status_code == 200 or refused(answer)


def test_answers_in_the_order_of_time(client: TestClient, gallery: Gallery) -> None:
    for order in ("time", "-time"):
        expected = [result.id for result in gallery.search(QUERY, 5, sort=order)]
        assert expected != [result.id for result in gallery.search(QUERY, 5)]
        for answer in (
            client.get("/search", params={"query": QUERY, "k": 5, "sort": order, "all_moments": True}),
            client.post("/search", json={"query": QUERY, "k": 5, "sort": order}),
        ):
            assert [result["id"] for result in answer.json()["results"]] == expected


def test_answers_may_be_varied_or_folded(client: TestClient, gallery: Gallery) -> None:
    expected = [result.id for result in gallery.search(QUERY, 6, diverse=True)]
    assert expected != [result.id for result in gallery.search(QUERY, 6)]
    answer = client.post("/search", json={"query": QUERY, "k": 6, "diverse": True})
    assert [result["id"] for result in answer.json()["results"]] == expected
    assert SearchFields.model_validate({"folded": True}).options().folded


def test_a_picture_finds_what_looks_like_it(client: TestClient, gallery: Gallery, folder: Path) -> None:
    path = folder / "photos" / "green1.png"
    found = client.post("/search", json={"image": data_url(path), "k": 5}).json()
    expected = gallery.search_by_image(path, 5)
    assert [result["id"] for result in found["results"]] == [result.id for result in expected]
    assert found["query"] is None and "unknown" not in found


def test_texts_and_pictures_are_embedded_in_their_order(client: TestClient, gallery: Gallery, folder: Path) -> None:
    pictures = [folder / "photos" / "green1.png", folder / "photos" / "blue2.png"]
    answer = embed(client, input=[QUERY, data_url(pictures[0]), "blue", data_url(pictures[1])])
    encoder = gallery.encoder
    rows = [{"id": "", "image": {"path": str(path), "bytes": None}, "description": None} for path in pictures]
    texts, images = encoder.texts([QUERY, "blue"]), [encoder.image(row) for row in rows]
    expected = [texts[0], images[0], texts[1], images[1]]
    np.testing.assert_allclose(vectors(answer), expected, rtol=0, atol=1e-5)
    body = answer.json()
    assert (body["object"], body["model"]) == ("list", "model")
    assert body["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


def test_one_text_is_a_list_of_one_and_base64_is_the_same(client: TestClient) -> None:
    as_floats = vectors(embed(client, input=QUERY))
    [packed] = embed(client, input=[QUERY], encoding_format="base64").json()["data"]
    assert as_floats.shape[0] == 1
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(packed["embedding"]), "<f4"), as_floats[0])


def test_a_text_may_begin_as_a_picture_does(client: TestClient, gallery: Gallery) -> None:
    texts = ["data: red", "Data:red blue, green", "data:base64"]
    np.testing.assert_allclose(vectors(embed(client, input=texts)), gallery.encoder.texts(texts), rtol=0, atol=1e-5)


def test_more_texts_than_a_batch(client: TestClient, gallery: Gallery) -> None:
    texts = [f"{name} {number}" for number in range(12) for name in NAMES]
    np.testing.assert_allclose(vectors(embed(client, input=texts)), gallery.encoder.texts(texts), rtol=0, atol=1e-5)


def test_only_the_models_own_number_of_dimensions(client: TestClient, gallery: Gallery) -> None:
    width = gallery.encoder.width
    assert vectors(embed(client, input="red", dimensions=width)).shape == (1, width)
    assert f"has {width} dimensions" in refused(embed(client, input="red", dimensions=width - 1))


def test_a_confidence_that_nobody_knows_is_the_clients_mistake(
    client: TestClient, gallery: Gallery, folder: Path
) -> None:
    fields = {"image": data_url(folder / "photos" / "green1.png"), "min_confidence": 0.5}
    assert "not known how sure" in refused(client.post("/search", json=fields))


def test_thumbnails_are_the_stored_ones(client: TestClient, gallery: Gallery) -> None:
    found = client.get("/search", params={"query": QUERY}).json()["results"]
    for result in found:
        answer = client.get(result["thumbnail"])
        assert answer.headers["content-type"] == "image/jpeg" and answer.headers["x-content-type-options"] == "nosniff"
        with PillowImage.open(io.BytesIO(answer.content)) as picture:
            assert picture.format == "JPEG" and picture.size == (32, 32)


@pytest.mark.parametrize("number", ["999", "-1", "a", "1e3", "9" * 30, "٣", "..", "%2e%2e", "1%2f..%2f2", "0x1"])
def test_there_is_no_such_item(client: TestClient, number: str) -> None:
    refused(client.get(f"/items/{number}/thumbnail"), 404)


def test_other_paths_and_methods(client: TestClient) -> None:
    for path in ("/", "/items/../../etc/passwd", "/items/1", "/static/app.py", "//etc/passwd"):
        refused(client.get(path), 404)
    refused(client.delete("/search"), 405)


def test_health_and_models(client: TestClient, gallery: Gallery) -> None:
    expected = {"status": "ok", "model": "model", "dimensions": gallery.encoder.width, "items": 12}
    assert client.get("/healthz").json() == expected
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["model"]


def test_metrics_count_requests_by_route_and_batches(gallery: Gallery) -> None:
    with TestClient(make_app(gallery)) as client:
        for _ in range(3):
            client.post("/search", json={"query": QUERY})
        client.get("/items/1/thumbnail")
        client.get("/items/../a/b/c")
        embed(client, input=[QUERY] * 100)
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert lines['leccr_requests_total{route="/search",status="200"}'] == "3.0"
    assert lines['leccr_requests_total{route="/items/{number}/thumbnail",status="200"}'] == "1.0"
    assert lines['leccr_requests_total{route="other",status="404"}'] == "1.0"
    assert lines['leccr_batch_size_count{of="queries"}'] == "3.0"
    assert lines['leccr_batch_size_sum{of="texts"}'] == "100.0"
    assert lines["leccr_items"] == "12.0"
    assert float(lines["process_resident_memory_bytes"]) > 1e6


def test_the_openapi_page(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert {"/v1/embeddings", "/search", "/items/{number}/thumbnail", "/healthz", "/metrics"} <= set(described["paths"])
    assert client.get("/docs").status_code == 200


def test_pages_from_elsewhere_may_ask_only_if_they_are_named(gallery: Gallery, client: TestClient) -> None:
    headers = {"Origin": "https://photos.example.org", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.options("/search", headers=headers).headers
    assert "access-control-allow-origin" not in client.get("/healthz", headers=headers).headers
    allowed = Settings(origins=("https://photos.example.org",), key="secret")
    with TestClient(make_app(gallery, allowed)) as asked:
        for answer in (asked.options("/search", headers=headers), asked.get("/search", headers=headers)):
            assert answer.headers["access-control-allow-origin"] == "https://photos.example.org"
        headers["Origin"] = "https://evil.example.org"
        assert "access-control-allow-origin" not in asked.options("/search", headers=headers).headers


def test_a_name_that_leads_here_from_elsewhere_is_refused(gallery: Gallery) -> None:
    with TestClient(make_app(gallery, Settings(hosts=("localhost", "127.0.0.1", "[::1]")))) as client:
        for host, status in {"localhost:8000": 200, "127.0.0.1": 200, "[::1]:80": 200, "evil.example.org": 400}.items():
            assert client.get("/healthz", headers={"Host": host}).status_code == status, host


def test_a_gallery_that_cannot_be_read_is_said_and_does_not_stop_the_server(
    folder: Path, tmp_path: Path, gallery: Gallery, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Path(shutil.copytree(folder / "gallery", tmp_path / "gallery"))
    with TestClient(make_app(Gallery.open(copy, gallery.encoder))) as client:
        assert client.get("/healthz").status_code == 200
        content = (copy / "gallery.sqlite").read_bytes()
        (copy / "gallery.sqlite").write_bytes(b"\xff" * len(content))
        for answer in (client.get("/healthz"), client.get("/search", params={"query": "red"})):
            assert str(tmp_path) not in refused(answer, 503) and answer.headers["retry-after"] == "1"
        assert str(tmp_path) in caplog.text
        (copy / "gallery.sqlite").write_bytes(content)
        assert client.get("/healthz").status_code == 200


def test_a_bug_is_an_answer_too(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Desk, "_count", lambda desk: 1 / 0)
    assert "its log says" in refused(client.get("/healthz"), 500)


def test_json_of_many_vectors_is_what_the_float32_numbers_are() -> None:
    embeds = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    body = json.loads(app_module._embeddings_json(embeds, "float", "m"))
    np.testing.assert_array_equal(np.array([each["embedding"] for each in body["data"]], np.float32), embeds)
