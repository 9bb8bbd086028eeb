from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from leccr.errors import UserError
from leccr.models.build import training_texts
from leccr.models.standardize import standardize, standardize_texts
from modeling_leccr import LeccrModel
from processing import RetrievalCollator
from processing.features import FEATURES_FILE, FeatureFile, save_features
from tests.modeling_leccr.tiny import tiny_model
from tests.tiny_data import COLOURS, dataset, picture, processor, row


def features(folder: Path, **tensors: Tensor) -> FeatureFile:
    save_features(folder / FEATURES_FILE, list(tensors), list(tensors.values()))
    return FeatureFile(folder)


class TestStandardize:
    @staticmethod
    def model(**fields: Any) -> LeccrModel:
        return tiny_model(None, visual_feature_dim=3, **fields)

    def test_statistics_of_the_training_rows_are_stored(self, tmp_path: Path) -> None:
        model = self.model(vision_standardize=True)
        file = features(tmp_path, a=torch.tensor([[0.0, 1, 2], [2, 1, 4]]), b=torch.full((1, 3), 100.0))
        standardize(model, file, dataset([row("a")]))
        assert model.image.standardizer.mean.tolist() == [1, 1, 3]
        torch.testing.assert_close(model.image.standardizer.deviation, torch.tensor([1, 1e-6, 1]))

    def test_statistics_of_the_training_texts_are_stored(self) -> None:
        rows = dataset([row("a", captions=3), row("b", captions=2, description="This is b.")])
        tokenize = processor(list(rows))
        model = tiny_model(text_standardize=True, text_pooling="mean")
        standardize_texts(model, tokenize, rows, seed=0)
        pooled = []
        for text in training_texts(rows):
            inputs = tokenize(text=[text])
            states = model.text.tower(inputs["input_ids"], inputs["attention_mask"])
            pooled.append(model.text.head.standardizer(states.mean(dim=1)))
        means, deviations = torch.cat(pooled).mean(dim=0), torch.cat(pooled).std(dim=0, correction=0)
        torch.testing.assert_close(means, torch.zeros(32), atol=1e-5, rtol=0)
        torch.testing.assert_close(deviations, torch.full((32,), 32**-0.5), atol=1e-5, rtol=1e-4)

    def test_nothing_happens_where_it_is_not_wanted(self) -> None:
        standardize_texts(tiny_model(), None, dataset([row("a")]), seed=0)
        model = self.model()
        standardize(model, None, dataset([row("a")]))
        assert model.image.standardizer is None

    def test_without_features_the_tower_sees_some_pictures(self) -> None:
        rows = dataset([row(name, image=picture(colour)) for name, colour in zip("abc", COLOURS)])
        model, opened = tiny_model(vision_standardize=True), processor(list(rows))
        standardize(model, None, rows, opened)
        collator = RetrievalCollator(opened)
        tokens = model.get_visual_tokens(collator.image_inputs(list(rows))["pixel_values"]).flatten(0, 1)
        torch.testing.assert_close(model.image.standardizer.mean, tokens.mean(dim=0), atol=1e-5, rtol=1e-5)
        deviation = tokens.std(dim=0, correction=0).clamp(min=1e-6)
        torch.testing.assert_close(model.image.standardizer.deviation, deviation, atol=1e-5, rtol=1e-4)

    def test_streamed_rows_have_no_statistics(self) -> None:
        with pytest.raises(UserError, match="vision_standardize takes statistics of training rows, which cannot be"):
            standardize(self.model(vision_standardize=True), None, iter([row("a")]))
