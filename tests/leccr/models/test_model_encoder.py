from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image as PillowImage

from leccr.errors import UserError
from leccr.evaluation.evaluate import evaluate_retrieval
from leccr.models import model_encoder
from leccr.models.build import build_model, build_processor, training_texts
from leccr.models.encoder import Encoder
from leccr.models.model_encoder import ModelEncoder, token_batches
from leccr.training.train import save_retriever
from processing.features import FEATURES_FILE, FeatureFile, save_features
from tests.leccr.gallery.tiny_gallery import NAMES, description, encoder, save_model
from tests.tiny_data import DUAL_ENCODER, ROWS, dataset, picture, recipe, row


@pytest.fixture(scope="module")
def rows() -> Dataset:
    return dataset(ROWS)


@pytest.fixture(scope="module")
def trained(rows: Dataset) -> Encoder:
    torch.manual_seed(0)
    processor = build_processor(recipe(), training_texts(rows))
    return ModelEncoder(build_model(recipe(), processor), processor)


class Recorder:
    """A stand-in for a model on a device that this machine need not have: it remembers where its inputs are."""

    config = SimpleNamespace(num_slots=2, projection_dim=8)
    device = torch.device("meta")

    def __init__(self) -> None:
        self.devices: set[str] = set()

    def eval(self) -> "Recorder":
        return self

    def _embeds(self, inputs: dict[str, torch.Tensor], *shape: int) -> torch.Tensor:
        self.devices |= {value.device.type for value in inputs.values()}
        [count] = {len(value) for value in inputs.values()}
        return torch.zeros(count, *shape)

    def get_text_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        return self._embeds(inputs, 8)

    def get_image_features(self, **inputs: torch.Tensor) -> torch.Tensor:
        return self._embeds(inputs, 8)

    def get_image_views(self, **inputs: torch.Tensor) -> torch.Tensor:
        return self._embeds(inputs, 2, 8)


class TestDevice:
    @pytest.mark.parametrize("method", ["texts", "views", "whole_images", "image", "row_views"])
    def test_inputs_go_where_the_model_is(self, trained: Encoder, rows: Dataset, method: str) -> None:
        model = Recorder()
        elsewhere = ModelEncoder(model, trained.processor)
        prepared = [elsewhere.prepare(rows[0])]
        arguments: dict[str, tuple[Any, ...]] = {
            "texts": (["en a 0", "de"],),
            "views": (prepared, ["This is a"]),
            "whole_images": (prepared, [None]),
            "image": (rows[0],),
            "row_views": (rows,),
        }
        embeds = getattr(elsewhere, method)(*arguments[method])
        assert model.devices == {"meta"}
        # Items may have different numbers of views, so that these are one array per item.
        arrays = [embeds] if isinstance(embeds, np.ndarray) else embeds
        assert all(isinstance(array, np.ndarray) and array.dtype == np.float32 for array in arrays)
        assert len(arrays) > 0

    def test_a_device_that_is_not_there_is_refused_before_anything_is_loaded(self) -> None:
        with pytest.raises(UserError, match="This machine has no device cuda:99"):
            Encoder.load("none", device="cuda:99")
        with pytest.raises(UserError, match="There is no precision 'int3'"):
            Encoder.load("none", dtype="int3")

    @pytest.mark.parametrize(("dtype", "expected_dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
    def test_another_precision_is_another_arithmetic_but_the_same_model(
        self, tmp_path: Path, dtype: str, expected_dtype: torch.dtype
    ) -> None:
        saved = encoder()
        save_model(tmp_path / "model")
        exact = Encoder.load(tmp_path / "model", "cpu")
        rounded = Encoder.load(tmp_path / "model", "cpu", dtype)
        assert {weight.dtype for weight in exact.model.parameters()} == {torch.float32}
        assert {weight.dtype for weight in rounded.model.parameters()} == {expected_dtype}
        texts, shown = [f"de {name} 1" for name in NAMES], row("a", image=picture(), description=description("red"))
        for embed in (lambda model: model.texts(texts), lambda model: model.row_views([shown])):
            embeds, expected = embed(rounded), embed(exact)
            assert embeds.dtype == np.float32
            assert 0 < np.abs(embeds - expected).max() < 0.05
        assert rounded.fingerprint() == exact.fingerprint() == saved.fingerprint()


class TestLoad:
    def test_a_checkpoint_is_loaded_without_a_word(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        save_model(tmp_path / "model")
        capfd.readouterr()
        loaded = Encoder.load(str(tmp_path / "model"))
        assert capfd.readouterr() == ("", "")
        assert (loaded.name, loaded.view_count, loaded.width, loaded.slots) == (str(tmp_path / "model"), 2, 8, True)
        with pytest.raises(UserError, match="There is no model"):
            Encoder.load(str(tmp_path / "none"))

    def test_a_text_only_checkpoint_is_loaded_for_texts_only(self, rows: Dataset, tmp_path: Path) -> None:
        tiny = recipe(model={}, network="cross-lingual")
        tokenizer = build_processor(tiny, training_texts(rows))
        model = build_model(tiny, tokenizer)
        save_retriever(tmp_path / "out", model, tokenizer)
        loaded = Encoder.load(tmp_path / "out", text_only=True)
        assert not loaded.takes_images and not loaded.takes_videos
        np.testing.assert_allclose(
            loaded.texts(["en a 0"]), ModelEncoder(model, tokenizer).texts(["en a 0"]), atol=1e-6
        )
        with pytest.raises(UserError, match="first stage of CL2CM"):
            Encoder.load(tmp_path / "out")

    def test_a_model_without_slots_has_one_view(self) -> None:
        model = encoder(num_slots=0, softened_weight=0.0)
        assert (model.view_count, model.slots, model.takes_images, model.takes_videos) == (1, False, True, False)


class TestTexts:
    def test_they_do_not_depend_on_the_batch(self, trained: Encoder) -> None:
        texts = ["en a 0", "zh b 1 zh b 1", "de"]
        whole = trained.texts(texts)
        assert whole.shape == (3, 8)
        np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(trained.texts(texts, batch_size=1), whole, atol=1e-6)

    def test_they_keep_their_order(self, trained: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model_encoder, "TEXTS_PER_CHUNK", 5)
        words = ["en a 0", "zh b 1", "de"]
        texts = [" ".join([words[number % 3]] * (1 + 5 * number % 7)) for number in range(12)]
        with torch.inference_mode():
            expected = torch.cat([trained.model.get_text_features(**trained.processor(text=text)) for text in texts])
        assert torch.pdist(expected).min() > 1e-5
        np.testing.assert_allclose(trained.texts(texts, batch_size=2), expected, atol=1e-6)

    def test_no_texts_have_no_embeddings(self, trained: Encoder) -> None:
        assert trained.texts([]).shape == (0, 8)


class TestTokenBatches:
    @pytest.mark.parametrize("side", ["left", "right"])
    def test_texts_of_like_length_share_a_batch(
        self, trained: Encoder, side: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        processor = trained.processor
        monkeypatch.setattr(processor.tokenizer, "padding_side", side)
        texts = ["de", "zh b 1 zh b 1", "a", "en a 0 zh b 1"]
        batches = list(token_batches(processor, texts, 2))
        assert sorted(np.concatenate([positions for positions, _ in batches])) == [0, 1, 2, 3]
        assert {frozenset(positions.tolist()) for positions, _ in batches} == {frozenset({1, 3}), frozenset({0, 2})}
        for positions, inputs in batches:
            separate = processor(text=[texts[position] for position in positions])
            assert all(torch.equal(inputs[name], value) for name, value in separate.items())

    def test_padding_stays_where_models_read_it(self, trained: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
        processor = trained.processor
        monkeypatch.setattr(processor, "pad_to_max_length", True)
        widths = {inputs["input_ids"].shape[1] for _, inputs in token_batches(processor, ["de", "zh b 1", "a"], 1)}
        assert widths == {processor.text_max_length}

        def without_mask(texts: list[str], **options: Any) -> dict[str, torch.Tensor]:
            return {"input_ids": torch.tensor([[1, 2, 0], [1, 0, 0]])}

        widths = {inputs["input_ids"].shape[1] for _, inputs in token_batches(without_mask, ["a b", "a"], 1)}
        assert widths == {3}


class TestViews:
    def test_those_of_rows_do_not_depend_on_the_batch(self, trained: Encoder, rows: Dataset) -> None:
        whole = trained.row_views(rows)
        assert whole.shape == (5, 2, 8)
        np.testing.assert_allclose(trained.row_views(rows, batch_size=2), whole, atol=1e-6)
        prepared = [trained.prepare(each) for each in rows]
        np.testing.assert_allclose(trained.views(prepared, rows["description"]), whole, atol=1e-6)
        with torch.inference_mode():
            inputs = trained.processor(images=picture("green"), descriptions=["This is b"])
            np.testing.assert_allclose(whole[1:2], trained.model.get_image_views(**inputs), atol=1e-6)

    def test_descriptions_can_be_left_out(self, trained: Encoder, rows: Dataset) -> None:
        without = trained.row_views(rows, descriptions=False)
        with torch.inference_mode():
            expected = trained.model.get_image_views(**trained.processor(images=picture("green")))
        np.testing.assert_allclose(without[1:2], expected, atol=1e-6)
        assert not np.allclose(without, trained.row_views(rows), atol=1e-3)

    def test_pictures_of_several_sizes_are_encoded_apart(self) -> None:
        model = encoder()
        sizes = [(32, 32), (64, 32), (32, 32), (32, 64)]
        rows = [row(f"{index}", image=PillowImage.effect_noise(size, 80)) for index, size in enumerate(sizes)]
        prepared = [model.prepare(each) for each in rows]
        together = model.views(prepared, [None] * 4, batch_size=2)
        for index, inputs in enumerate(prepared):
            np.testing.assert_allclose(model.views([inputs], [None])[0], together[index], atol=1e-6)

    def test_videos_are_encoded_a_few_per_batch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = encoder(num_frames=4)
        frames = [[PillowImage.effect_noise((32, 32), 80) for _ in range(count)] for count in (4, 4, 4, 2)]
        prepared = [dict(model.processor(videos=[video])) for video in frames]
        sizes = []
        real = model.model.get_image_views

        def views(**inputs: torch.Tensor) -> torch.Tensor:
            sizes.append(tuple(inputs["pixel_values"].shape[:2]))
            return real(**inputs)

        monkeypatch.setattr(model.model, "get_image_views", views)
        model.views(prepared, [None] * 4, batch_size=8)
        assert sizes == [(2, 4), (1, 4), (1, 2)]

    def test_features_replace_pictures(self, rows: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        save_features(tmp_path / FEATURES_FILE, list("edcba"), [torch.randn(1 + index, 6) for index in range(5)])
        features = FeatureFile(tmp_path)
        blind = recipe(vision=None, model=DUAL_ENCODER)
        processor = build_processor(blind, training_texts(rows))
        model = ModelEncoder(build_model(blind, processor, features), processor)
        with torch.inference_mode():
            expected = model.model.get_image_views(visual_features=features["b"][None])
        sizes = []
        real = model.model.get_image_views

        def views(**inputs: torch.Tensor) -> torch.Tensor:
            sizes.append(len(inputs["visual_features"]))
            return real(**inputs)

        monkeypatch.setattr(model.model, "get_image_views", views)
        np.testing.assert_allclose(model.row_views(rows, features, batch_size=2)[1:2], expected, atol=1e-6)
        assert sizes == [2, 2, 1], "features of different lengths share a batch"
        assert evaluate_retrieval(model, rows, ["de"], features)[0]["protocol"]["images"] == 5

    def test_data_that_do_not_fit_the_model_are_the_users(self, rows: Dataset, tmp_path: Path) -> None:
        """Also where the checkpoint brings its own copy of the network's code."""
        for width in (6, 9):
            (tmp_path / str(width)).mkdir()
            save_features(tmp_path / str(width) / FEATURES_FILE, list("abcde"), [torch.randn(2, width)] * 5)
        blind = recipe(vision=None, model=DUAL_ENCODER)
        processor = build_processor(blind, training_texts(rows))
        save_retriever(tmp_path / "out", build_model(blind, processor, FeatureFile(tmp_path / "6")), processor)
        loaded = Encoder.load(tmp_path / "out")
        with pytest.raises(UserError, match="This model has no vision tower"):
            loaded.row_views(rows)
        with pytest.raises(UserError, match="visual_features are 9 wide, but this model was built for 6"):
            loaded.row_views(rows, FeatureFile(tmp_path / "9"))

    def test_a_whole_image_has_one_embedding(self, trained: Encoder, rows: Dataset) -> None:
        inputs = trained.processor(images=picture("red"), descriptions=["This is a"])
        with torch.inference_mode():
            expected = trained.model.get_image_features(**inputs)
        np.testing.assert_allclose(trained.image(rows[0])[None], expected, atol=1e-6)
