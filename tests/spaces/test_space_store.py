import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from space_errors import SpaceError
from space_filters import Filters
from space_model import Retriever
from space_search import Picture
from space_store import PictureStore
from transformers import AutoModel, AutoProcessor

from tests.leccr.gallery.tiny_gallery import description, paint, save_model
from tests.tiny_data import DUAL_ENCODER

COLOURS = ("red", "green", "blue", "white", "black")
QUERY = "This is green de"
FORMS: dict[str, dict[str, Any]] = {
    "leccr": {},
    "dual-encoder": DUAL_ENCODER,
    "late-fusion": {**DUAL_ENCODER, "description_fusion": True},
    "raw slots": {"num_slots": 3, "interaction_heads": 2, "normalize_slots": False, "softened_weight": 0.0},
    "sentences": {"slot_source": "sentences", "softened_weight": 0.0},
    "both": {"slot_source": "both", "num_slots": 2, "interaction_heads": 2, "softened_weight": 0.0},
}


def said(colour: str) -> str:
    """What is said about a picture: of one of them in two lines."""
    return description(colour) + ("\nThis is green" if colour == "white" else "")


@pytest.fixture(scope="module", params=FORMS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PictureStore:
    folder = tmp_path_factory.mktemp("tiny")
    store = PictureStore(Retriever.load(str(save_model(folder / "model", **FORMS[request.param]))))
    pictures = [
        Picture(f"id {colour}", f"{colour}.png", paint(folder / f"{colour}.png", seed), said(colour))
        for seed, colour in enumerate(COLOURS)
    ]
    assert store.add([*pictures[:3], Picture("bad", "bad.png", b"no picture"), *pictures[3:]]) == [
        "bad.png: it is not a picture that can be read; JPEG, PNG, WebP and many others can be"
    ]
    return store


def api_scores(store: PictureStore, text: str) -> torch.Tensor:
    """Return (pictures, views) inner products by the documented calls alone."""
    name = store.retriever.name
    model = AutoModel.from_pretrained(name, trust_remote_code=True).eval()
    processor = AutoProcessor.from_pretrained(name, trust_remote_code=True)
    pictures = [store.picture(f"id {colour}").open() for colour in COLOURS]
    with torch.inference_mode():
        views = model.get_image_views(**processor(images=pictures, descriptions=list(map(said, COLOURS))))
        return views @ model.get_text_features(**processor(text=[text]))[0]


def test_search_gives_the_scores_of_the_python_api(store: PictureStore) -> None:
    expected = api_scores(store, QUERY)
    best, slots = expected.max(dim=1)
    found = store.search(QUERY, 10)
    order = best.argsort(descending=True).tolist()
    assert [result.id for result in found] == [f"id {COLOURS[place]}" for place in order]
    np.testing.assert_allclose([result.score for result in found], best[order], atol=1e-5)
    has_slots = store.retriever.has_slots
    assert [result.answered_by for result in found] == [slots[at] + 1 if has_slots else None for at in order]
    assert [result.rank for result in found] == [1, 2, 3, 4, 5]
    assert len(store.search(QUERY, 2)) == 2


def test_explanations_add_up_to_the_score(store: PictureStore) -> None:
    for result in store.search(QUERY, 5):
        found = store.explain(result.id, QUERY)
        assert found.score == pytest.approx(result.score, abs=1e-5)
        assert (found.answered_by, found.description) == (result.answered_by, result.description)
        if not store.retriever.has_slots:
            assert (found.slots, found.share, found.whole_picture) == ([], None, found.score)
            continue
        best = max(found.slots, key=lambda slot: slot.similarity)
        assert best.number == found.answered_by
        assert found.whole_picture + best.points == pytest.approx(found.score, abs=1e-6)
        assert best.points == pytest.approx((1 - store.retriever.alpha) * best.similarity)
        positive = found.score > 0 and best.points >= 0 and found.whole_picture >= 0
        assert found.share == (pytest.approx(best.points / found.score) if positive else None)


def test_slots_show_where_they_look_and_what_they_read(store: PictureStore) -> None:
    found = store.explain("id red", QUERY)
    if store.retriever.has_sentences:
        own = store.explain("id white", QUERY).slots[store.retriever.num_slots :]
        assert [slot.words for slot in own] == [[(line, 1.0)] for line in said("white").splitlines()]
        assert all(slot.overlay is None for slot in own)
        return
    for slot in found.slots:
        assert "".join(text for text, _ in slot.words) == description("red")
        assert 0 < sum(weight for _, weight in slot.words) <= 1 + 1e-5
        assert [text for text, weight in slot.words if weight] == description("red").split()
        assert slot.overlay is not None and slot.summary_share is not None and 0 <= slot.summary_share <= 1
        with PillowImage.open(io.BytesIO(slot.overlay)) as overlay:
            assert overlay.size == (288, 288)


def test_more_like_finds_others_by_the_whole_picture(store: PictureStore) -> None:
    found = store.more_like("id red", 3)
    assert "id red" not in [result.id for result in found] and len(found) == 3
    assert [result.rank for result in found] == [1, 2, 3]
    inputs = store.retriever.inputs([store.picture("id red").open()], [description("red")])
    query = store.retriever.encode(inputs).image_embeds[0].numpy()
    expected = sorted((float((view @ query).max()) for view in np.delete(store._views, 0, axis=0)), reverse=True)
    np.testing.assert_allclose([result.score for result in found], expected[:3], atol=1e-5)


def test_removing_and_describing_change_what_is_found(tmp_path: Path, store: PictureStore) -> None:
    own = PictureStore(store.retriever)
    own.add([Picture(colour, colour, paint(tmp_path / f"{colour}.png", at)) for at, colour in enumerate(COLOURS[:3])])
    before = {result.id: result.score for result in own.search(QUERY, 3)}
    own.describe("green", description("green"))
    after = {result.id: result.score for result in own.search(QUERY, 3)}
    uses = store.retriever.has_slots or store.retriever.model.config.description_fusion
    assert (abs(before["green"] - after["green"]) > 1e-4) == bool(uses)
    assert before["red"] == after["red"]
    own.remove("green")
    assert {result.id for result in own.search(QUERY, 3)} == {"red", "blue"}
    with pytest.raises(SpaceError, match="no picture with this id"):
        own.explain("green", QUERY)


def test_an_empty_store_finds_nothing(store: PictureStore) -> None:
    assert PictureStore(store.retriever).search(QUERY, 5) == []


def test_pictures_are_shown_in_their_order_and_filtered(tmp_path: Path, store: PictureStore) -> None:
    own = PictureStore(store.retriever, shared=True)
    names = ["trips/red.png", "trips/sea/green.png", "home/blue.png"]
    own.add([Picture(str(at), name, paint(tmp_path / name, at)) for at, name in enumerate(names)])
    assert [hit.name for hit in own.browse(2)] == names[:2] and own.facets().folders == ("home", "trips", "trips/sea")
    trips = Filters(folder="trips")
    assert [hit.id for hit in own.browse(9, trips)] == ["0", "1"]
    assert {hit.id for hit in own.search(QUERY, 9, trips)} == {"0", "1"}
    assert own.search(QUERY, 9, Filters(kind="video")) == []
    assert [hit.name for hit in own.choose(["2", "0", "9"])] == [names[0], names[2]]
    assert own.browse(1)[0].picture.startswith("pictures/0/small")


def test_uploaded_pictures_travel_within_the_page(tmp_path: Path, store: PictureStore) -> None:
    own = PictureStore(store.retriever)
    own.add([Picture("a", "a.png", paint(tmp_path / "a.png", 0, (30, 20)))])
    [hit] = own.browse(1)
    assert hit.picture.startswith("data:image/jpeg;base64,") and not hit.shared and hit.ratio == 1.5
