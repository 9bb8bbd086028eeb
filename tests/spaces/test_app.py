"""The page's API, as programs use it."""

from typing import Any

import numpy as np
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from space_confidence import Calibration
from transformers import AutoModel, AutoProcessor


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def test_search_and_explain_answer_as_the_python_api(
    client: Client, scenes: Any, setup: Any, captions: list[dict[str, str]]
) -> None:
    query = captions[3]["de"]
    model = AutoModel.from_pretrained(scenes / "model", trust_remote_code=True).eval()
    processor = AutoProcessor.from_pretrained(scenes / "model", trust_remote_code=True)
    store = setup.ready.searcher
    pictures = [store.picture(str(number)) for number in range(len(store))]
    with torch.inference_mode():
        described = [each.description for each in pictures]
        images = processor(images=[each.open() for each in pictures], descriptions=described)
        text = model.get_text_features(**processor(text=[query]))[0]
        output = model.encode_images(**images)
        scores, slots = (output.image_views @ text).max(dim=1)
        similarities = output.slot_embeds @ text
    answer = client.predict(query=query, k=5, api_name="/search")
    best = scores.argsort(descending=True)[:5].tolist()
    assert (answer["query"], answer["language"]) == (query, "de")
    assert [result["id"] for result in answer["results"]] == [str(place) for place in best]
    np.testing.assert_allclose([result["score"] for result in answer["results"]], scores[best], atol=1e-5)
    assert [result["answered_by"] for result in answer["results"]] == [int(slots[place]) + 1 for place in best]
    assert [result["description"] for result in answer["results"]] == [pictures[place].description for place in best]
    why = client.predict(id="3", query=query, api_name="/explain")
    assert why["score"] == pytest.approx(float(scores[3]), abs=1e-5)
    np.testing.assert_allclose([slot["similarity"] for slot in why["slots"]], similarities[3], atol=1e-5)
    assert why["share"] == pytest.approx(0.2 * float(similarities[3].max()) / float(scores[3]), abs=1e-4)
    assert "".join(text for text, _ in why["slots"][0]["words"]) == pictures[3].description


def test_what_the_model_cannot_read_is_told(client: Client, captions: list[dict[str, str]]) -> None:
    shares = {"🐶": 1.0, "שלום עולם": 1.0, captions[3]["de"]: 0.0}
    answers = {query: client.predict(query=query, k=1, api_name="/search") for query in shares}
    assert {query: answer["unknown"] for query, answer in answers.items()} == shares
    assert [answer["language"] for answer in answers.values()] == [None, None, "de"]


def test_only_the_two_documented_calls_are_offered(client: Client) -> None:
    offered = client.view_api(return_format="dict", print_info=False)
    assert set(offered["named_endpoints"]) == {"/search", "/explain"} and not offered["unnamed_endpoints"]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ({"query": ""}, "Type what you are looking for"),
        ({"query": "x" * 20_000}, "20,000 characters; the most is 500"),
        ({"query": {"a": 1}}, "has to be a text"),
        ({"query": "dog", "k": 10**9}, "from 1 to 50"),
        ({"query": "dog", "k": "many"}, "from 1 to 50"),
        ({"id": "999", "query": "dog"}, "no picture with this id"),
        ({"id": "../../etc/passwd", "query": "dog"}, "no picture with this id"),
    ],
)
def test_mistakes_are_answered_in_words(client: Client, call: dict[str, Any], problem: str) -> None:
    with pytest.raises(AppError, match=problem):
        client.predict(**call, api_name="/explain" if "id" in call else "/search")
    assert client.predict(query="dog", k=1, api_name="/search")["results"]


def test_what_is_not_sure_is_left_out_on_request(client: Client, setup: Any, captions: list[dict[str, str]]) -> None:
    query = captions[3]["de"]
    assert client.predict(query=query, k=2, api_name="/search")["results"][0]["confidence"] is None
    with pytest.raises(AppError, match="does not say how sure its answers are"):
        client.predict(query=query, min_confidence=0.5, api_name="/search")
    with pytest.raises(AppError, match="from 0 to 1"):
        client.predict(query=query, min_confidence=2.0, api_name="/search")
    retriever = setup.ready.retriever
    retriever.calibration = Calibration((10.0, -5.0), {})
    try:
        best = client.predict(query=query, k=1, api_name="/search")
        least = best["results"][0]["confidence"]
        assert 0 < least < 1 and best["nearest"] is None
        kept = client.predict(query=query, k=2, min_confidence=least, api_name="/search")
        assert [result["rank"] for result in kept["results"]] == [1]
        nothing = client.predict(query=query, min_confidence=1.0, api_name="/search")
        assert nothing["results"] == [] and nothing["nearest"] == best["results"][0]
    finally:
        del retriever.calibration
