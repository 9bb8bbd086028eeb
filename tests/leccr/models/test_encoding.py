from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from leccr.evaluation.evaluate import evaluate_retrieval
from leccr.models import encoding
from leccr.models.build import build_model, build_processor, training_texts
from leccr.models.encoding import encode_images, encode_texts, token_batches
from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.features import FEATURES_FILE, FeatureFile, save_features
from tests.tiny_data import DUAL_ENCODER, dataset, picture, recipe, row

COLOURS = ("red", "green", "blue", "white", "black")
ROWS = [row(name, captions=2, image=picture(colour)) for name, colour in zip("abcde", COLOURS)]


@pytest.fixture(scope="module")
def rows() -> Dataset:
    return dataset(ROWS)


@pytest.fixture(scope="module")
def retriever(rows: Dataset) -> tuple[LeccrModel, LeccrProcessor]:
    torch.manual_seed(0)
    made = build_processor(recipe(), training_texts(rows))
    return build_model(recipe(), made).eval(), made


def test_views_do_not_depend_on_the_batch(retriever: tuple[LeccrModel, LeccrProcessor], rows: Dataset) -> None:
    model, processor = retriever
    whole = encode_images(model, processor, rows)
    assert whole.shape == (5, 2, 8) and whole.dtype == torch.float32
    torch.testing.assert_close(encode_images(model, processor, rows, batch_size=2), whole)
    inputs = processor(images=picture("green"), descriptions=["This is b"])
    torch.testing.assert_close(whole[1:2], model.get_image_views(**inputs))


def test_descriptions_can_be_left_out(retriever: tuple[LeccrModel, LeccrProcessor], rows: Dataset) -> None:
    model, processor = retriever
    alone = encode_images(model, processor, rows, descriptions=False)
    torch.testing.assert_close(alone[1:2], model.get_image_views(**processor(images=picture("green"))))
    assert not torch.allclose(alone, encode_images(model, processor, rows), atol=1e-3)


def test_texts_do_not_depend_on_the_batch(retriever: tuple[LeccrModel, LeccrProcessor]) -> None:
    texts = ["en a 0", "zh b 1 zh b 1", "de"]
    whole = encode_texts(*retriever, texts)
    assert whole.shape == (3, 8)
    torch.testing.assert_close(encode_texts(*retriever, texts, batch_size=1), whole)


def test_texts_keep_their_order(retriever: tuple[LeccrModel, LeccrProcessor], monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = retriever
    monkeypatch.setattr(encoding, "TEXTS_AT_ONCE", 5)
    words = ["en a 0", "zh b 1", "de"]
    texts = [" ".join([words[number % 3]] * (1 + 5 * number % 7)) for number in range(12)]
    expected = torch.cat([model.get_text_features(**processor(text=text)) for text in texts])
    assert torch.pdist(expected).min() > 1e-4
    torch.testing.assert_close(encode_texts(model, processor, texts, batch_size=2), expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_texts_of_like_length_share_a_batch(
    retriever: tuple[LeccrModel, LeccrProcessor], side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = retriever[1]
    monkeypatch.setattr(processor.tokenizer, "padding_side", side)
    texts = ["de", "zh b 1 zh b 1", "a", "en a 0 zh b 1"]
    batches = list(token_batches(processor, texts, 2))
    assert torch.cat([places for places, _ in batches]).sort().values.tolist() == [0, 1, 2, 3]
    assert {frozenset(places.tolist()) for places, _ in batches} == {frozenset({1, 3}), frozenset({0, 2})}
    for places, inputs in batches:
        alone = processor(text=[texts[place] for place in places])
        assert all(torch.equal(inputs[name], value) for name, value in alone.items())


def test_padding_stays_where_models_read_it(
    retriever: tuple[LeccrModel, LeccrProcessor], monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = retriever[1]
    monkeypatch.setattr(processor, "pad_to_max_length", True)
    widths = {inputs["input_ids"].shape[1] for _, inputs in token_batches(processor, ["de", "zh b 1", "a"], 1)}
    assert widths == {processor.text_max_length}

    def without_mask(texts: list[str], **options: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.tensor([[1, 2, 0], [1, 0, 0]])}

    widths = {inputs["input_ids"].shape[1] for _, inputs in token_batches(without_mask, ["a b", "a"], 1)}
    assert widths == {3}


def test_features_stand_in_for_pictures(rows: Dataset, tmp_path: Path) -> None:
    save_features(tmp_path / FEATURES_FILE, list("edcba"), [torch.randn(1 + place, 6) for place in range(5)])
    features = FeatureFile(tmp_path)
    blind = recipe(vision=None, model=DUAL_ENCODER)
    made = build_processor(blind, training_texts(rows))
    model = build_model(blind, made, features).eval()
    views = encode_images(model, made, rows, features, batch_size=2)
    expected = model.get_image_views(visual_features=features["b"][None])
    torch.testing.assert_close(views[1:2], expected)
    results = evaluate_retrieval(model, made, rows, ["de"], features)
    assert results[0]["protocol"]["images"] == 5
