from pathlib import Path

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.models.dual_encoders import dual_encoder_processor
from leccr.models.encoder import Encoder, padded
from leccr.models.model_encoder import ModelEncoder
from leccr.models.sentence_views import SentenceViews, with_sentences
from modeling_leccr import LeccrModel
from tests.leccr.gallery.tiny_gallery import encoder as tiny_encoder
from tests.leccr.models.test_dual_encoders import save
from tests.tiny_data import ROWS, dataset, picture, row

SENTENCES = ["This is red 1.", "This is green blue.", "Olive navy 1."]


@pytest.fixture(scope="module")
def dual_encoder() -> Encoder:
    return tiny_encoder(num_slots=0)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.mark.parametrize(("weight", "gate"), [(0.2, 1.0), (0.5, 0.3), (1.0, 0.0)])
def test_each_sentence_makes_a_view(dual_encoder: Encoder, weight: float, gate: float) -> None:
    encoder = SentenceViews(dual_encoder, weight, gate)
    prepared = [encoder.prepare({"id": name, "image": picture(name)}) for name in ("red", "blue", "green")]
    descriptions = [" ".join(SENTENCES), None, f"{SENTENCES[1]}\n{SENTENCES[0]}"]
    views = encoder.views(prepared, descriptions)
    images = dual_encoder.whole_images(prepared, [None] * 3)
    for own, image, sentences in zip(views, images, [SENTENCES, [], SENTENCES[1::-1]]):
        if not sentences:
            assert np.array_equal(own, image[None]), "the dual encoder's own view"
            continue
        slots = unit(gate * image + dual_encoder.texts(sentences))
        assert np.allclose(own, (1 - weight) * image + weight * slots, rtol=0, atol=1e-6)
    assert np.array_equal(encoder.whole_images(prepared, descriptions), images)
    assert np.array_equal(encoder.texts(SENTENCES), dual_encoder.texts(SENTENCES))


def test_with_a_weight_of_zero_the_views_are_those_of_the_dual_encoder(dual_encoder: Encoder) -> None:
    rows = dataset(ROWS)
    assert with_sentences(dual_encoder, 0.0) is dual_encoder
    assert with_sentences(dual_encoder, None) is dual_encoder
    views = SentenceViews(dual_encoder, 0.0).row_views(rows)
    assert np.array_equal(views, np.broadcast_to(dual_encoder.row_views(rows), views.shape))


def test_rows_with_fewer_sentences_are_padded_without_another_best_score(dual_encoder: Encoder) -> None:
    encoder = SentenceViews(dual_encoder, 0.4)
    texts = ["This is white. This is blue. This is green.", None, "This is white."]
    rows = dataset([row(str(number), description=text) for number, text in enumerate(texts)])
    padded_views = encoder.row_views(rows)
    assert padded_views.shape == (3, 3, dual_encoder.width)
    queries = dual_encoder.texts(["en 1", "de green 1"])
    best = (padded_views @ queries.T).max(axis=1)
    prepared = [encoder.prepare(each) for each in rows]
    expected = [(own @ queries.T).max(axis=0) for own in encoder.views(prepared, texts)]
    assert np.allclose(best, expected, rtol=0, atol=1e-6)
    plain = encoder.row_views(rows, descriptions=False)
    assert plain.shape == (3, 1, dual_encoder.width)


def test_padding_repeats_the_first_view() -> None:
    views = padded([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]])])
    assert views.tolist() == [[[1.0, 2.0], [1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]]


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_a_network_that_starts_from_the_dual_encoder_has_the_same_views(family: str, tmp_path: Path) -> None:
    save(family, tmp_path)
    network = LeccrModel.from_dual_encoder(tmp_path, slot_source="sentences", alpha=0.8, sentence_gate=0.7)
    trained = ModelEncoder(network, dual_encoder_processor(tmp_path, sentence_slots=True))
    composed = SentenceViews(Encoder.load(tmp_path, device="cpu"), 0.2, 0.7)
    said = ["a dog. a brown dog runs over a meadow.", None, "a meadow runs."]
    images = [{"id": name, "image": picture(name)} for name in ("red", "blue", "green")]
    for own, expected in zip(
        trained.views([trained.prepare(image) for image in images], said),
        composed.views([composed.prepare(image) for image in images], said),
        strict=True,
    ):
        assert own.shape == expected.shape
        np.testing.assert_allclose(own, expected, rtol=0, atol=1e-5)


def test_a_model_that_uses_descriptions_itself_is_refused() -> None:
    with pytest.raises(UserError, match="^tiny uses descriptions by itself, as it was trained; leave --description-we"):
        with_sentences(tiny_encoder(), 0.0)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_weights_that_are_no_share_are_refused(dual_encoder: Encoder, weight: float) -> None:
    with pytest.raises(UserError, match=f"--description-weight is {weight}, but has to be between 0 and 1"):
        SentenceViews(dual_encoder, weight)
