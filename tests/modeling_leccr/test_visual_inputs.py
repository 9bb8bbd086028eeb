"""Ready-made features, video frames and padding, through the whole model."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional

from .tiny import (
    FORMS,
    PICTURE_SIZE,
    SPACE,
    VISION_TOWERS,
    assert_equal,
    descriptions,
    differ,
    form,
    random,
    texts,
    tiny_model,
    visual_inputs,
)


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


class TestVisualFeatures:
    @pytest.mark.parametrize("name", FORMS)
    @pytest.mark.parametrize("fields", [{}, {"visual_layers": 1}], ids=["plain", "temporal"])
    def test_padding_changes_nothing(self, name: str, fields: dict[str, Any]) -> None:
        model, inputs = form(name, None, **fields), visual_inputs(None) | descriptions()
        expected = model.get_image_views(**inputs)
        padding = inputs["visual_attention_mask"] == 0
        assert padding.any()
        spoilt = inputs["visual_features"].masked_fill(padding[..., None], 50.0)
        longer = inputs | {
            "visual_features": functional.pad(spoilt, (0, 0, 0, 3), value=-50.0),
            "visual_attention_mask": functional.pad(inputs["visual_attention_mask"], (0, 3)),
        }
        assert_equal(model.get_image_views(**longer), expected)
        rows = {**texts([4] * 4, prefix="source_"), **texts([5] * 4, prefix="target_")}
        losses = [model(**images, **rows) for images in (inputs, longer)]
        for term in (key for key in losses[0] if key.startswith("loss")):
            torch.testing.assert_close(losses[1][term], losses[0][term], rtol=0, atol=1e-5)
        unmasked = inputs | {"visual_features": spoilt, "visual_attention_mask": None}
        assert not torch.allclose(model.get_image_views(**unmasked), expected, atol=1e-3)

    @pytest.mark.parametrize("vision", VISION_TOWERS)
    def test_tokens_computed_ahead_are_as_good_as_pixels(self, vision: str) -> None:
        model, inputs = form("anchored", vision), visual_inputs(vision)
        tokens = model.get_visual_tokens(inputs["pixel_values"])
        assert tokens.shape == (4, *VISION_TOWERS[vision])
        expected = model.get_image_views(**inputs, **descriptions())
        assert_equal(model.get_image_views(visual_features=tokens, **descriptions()), expected)

    def test_kind_of_mask_makes_no_difference(self) -> None:
        model, inputs = form("published", None), visual_inputs(None)
        expected = model.get_image_views(**inputs)
        for dtype in (torch.bool, torch.float32):
            inputs["visual_attention_mask"] = inputs["visual_attention_mask"].to(dtype)
            assert torch.equal(model.get_image_views(**inputs), expected)


class TestVideoFrames:
    frames = random(2, 4, 3, PICTURE_SIZE, PICTURE_SIZE)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])

    @pytest.mark.parametrize("vision", VISION_TOWERS)
    def test_padded_frames_change_nothing(self, vision: str) -> None:
        model = form("published", vision, vision_summary="mean", visual_layers=1)
        views = model.get_image_views(self.frames, visual_attention_mask=self.mask)
        assert views.shape == (2, 3, SPACE)
        assert_equal(views[1:], model.get_image_views(self.frames[1:, :2]))

    def test_temporal_layers_mix_the_frames(self) -> None:
        model = form("dual-encoder", vision_summary="mean", visual_layers=1)
        tokens = model.encode_images(self.frames).vision_tokens
        changed = self.frames.clone()
        changed[:, 3] = random(3, PICTURE_SIZE, PICTURE_SIZE, seed=5)
        assert differ(model.encode_images(changed).vision_tokens[:, 0], tokens[:, 0])


class TestStandardization:
    def test_statistics_are_applied(self) -> None:
        plain = tiny_model(None)
        model = tiny_model(None, vision_standardize=True)
        features = 3 * visual_inputs(None)["visual_features"] + 5
        mean, deviation = features.mean((0, 1)), features.std((0, 1))
        assert_equal(
            model.get_image_features(visual_features=features), plain.get_image_features(visual_features=features)
        )
        model.image.set_feature_statistics(mean, deviation)
        expected = plain.get_image_features(visual_features=(features - mean) / deviation)
        torch.testing.assert_close(model.get_image_features(visual_features=features), expected)

    def test_a_constant_channel_gives_no_infinity(self) -> None:
        model = tiny_model(None, vision_standardize=True)
        features = torch.ones_like(visual_inputs(None)["visual_features"])
        model.image.set_feature_statistics(features[0, 0], torch.zeros(features.shape[-1]))
        assert model.get_image_features(visual_features=features).isfinite().all()

    def test_only_where_the_model_standardises(self) -> None:
        with pytest.raises(ValueError, match="set vision_standardize=True"):
            tiny_model(None).image.set_feature_statistics(torch.zeros(20), torch.ones(20))
