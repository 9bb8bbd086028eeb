"""Every mistake in a model's inputs gives one sentence that says what to change."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from modeling_leccr import LeccrModel

from .tiny import FEATURE_WIDTH, PICTURE_SIZE, batch, descriptions, random, texts, tiny_model, visual_inputs


@pytest.fixture(scope="module")
def pictures_model() -> LeccrModel:
    return tiny_model("clip")


@pytest.fixture(scope="module")
def features_model() -> LeccrModel:
    return tiny_model(None)


def refused(call: Callable[..., Any], message: str, **inputs: Any) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call(**inputs)
    assert "\n" not in str(caught.value)


class TestVisualInputs:
    def test_neither(self, pictures_model: LeccrModel) -> None:
        refused(pictures_model.get_image_features, "either pixel_values or visual_features; neither was given")

    def test_both(self, pictures_model: LeccrModel) -> None:
        inputs = visual_inputs("clip") | {"visual_features": random(4, 17, 32)}
        refused(pictures_model.get_image_features, "both were given", **inputs)

    def test_pixels_for_a_model_without_vision_tower(self, features_model: LeccrModel) -> None:
        refused(features_model.get_image_features, "no vision tower; give it visual_features", **visual_inputs("clip"))

    def test_features_of_another_width(self, features_model: LeccrModel) -> None:
        message = f"visual_features are 9 wide, but this model was built for {FEATURE_WIDTH}"
        refused(features_model.get_image_features, message, visual_features=random(4, 7, 9))

    def test_features_without_a_token_axis(self, features_model: LeccrModel) -> None:
        message = r"visual_features have shape \(4, 20\)"
        refused(features_model.get_image_features, message, visual_features=random(4, FEATURE_WIDTH))

    def test_one_picture_without_a_batch(self, pictures_model: LeccrModel) -> None:
        message = r"pixel_values have shape \(3, 32, 32\)"
        refused(pictures_model.get_image_features, message, pixel_values=random(3, PICTURE_SIZE, PICTURE_SIZE))

    def test_frames_for_an_image_model(self, pictures_model: LeccrModel) -> None:
        frames = random(2, 3, 3, PICTURE_SIZE, PICTURE_SIZE)
        refused(pictures_model.get_image_features, 'build it with vision_summary="mean"', pixel_values=frames)

    def test_an_item_of_padding_alone(self, features_model: LeccrModel) -> None:
        inputs = visual_inputs(None)
        inputs["visual_attention_mask"][2] = 0
        refused(features_model.get_image_features, "Row 2 of visual_attention_mask is all zero", **inputs)

    @pytest.mark.parametrize("shape", [(4, 6), (3, 7), (4, 7, 1)])
    def test_mask_that_does_not_fit(self, features_model: LeccrModel, shape: tuple[int, ...]) -> None:
        inputs = visual_inputs(None) | {"visual_attention_mask": torch.ones(shape)}
        refused(features_model.get_image_features, "visual_attention_mask has shape", **inputs)


class TestTexts:
    def test_an_empty_text(self, features_model: LeccrModel) -> None:
        inputs = texts([4, 5, 6])
        inputs["attention_mask"][1] = 0
        refused(features_model.get_text_features, "Row 1 of attention_mask is all zero: it is an empty text", **inputs)

    def test_mask_of_another_shape(self, features_model: LeccrModel) -> None:
        inputs = texts([4, 5, 6])
        inputs["attention_mask"] = inputs["attention_mask"][:, :4]
        message = r"input_ids have shape \(3, 6\) but attention_mask \(3, 4\)"
        refused(features_model.get_text_features, message, **inputs)

    def test_one_that_is_longer_than_the_tower(self, features_model: LeccrModel) -> None:
        message = "41 tokens a text, but this model reads 40: give shorter texts, or cut them with truncation=True"
        refused(features_model.get_text_features, message, **texts([41]))


class TestDescriptions:
    def test_another_number_than_images(self, features_model: LeccrModel) -> None:
        inputs = visual_inputs(None, rows=4) | descriptions(rows=3)
        refused(features_model.get_image_features, "3 descriptions for 4 images", **inputs)

    def test_mask_of_another_shape(self, features_model: LeccrModel) -> None:
        inputs = visual_inputs(None) | descriptions()
        inputs["description_attention_mask"] = inputs["description_attention_mask"][:, :5]
        refused(features_model.get_image_features, "description_input_ids have shape", **inputs)


class TestBatch:
    @pytest.mark.parametrize("language", ["source", "target"])
    def test_another_number_of_captions_than_images(self, features_model: LeccrModel, language: str) -> None:
        inputs = batch(None) | texts([4, 5, 6], prefix=f"{language}_")
        refused(features_model, f"{language}_input_ids have 3 rows, but there are 4 images", **inputs)

    @pytest.mark.parametrize("name", ["image_ids", "target_weights"])
    def test_another_number_of_ids_or_weights(self, features_model: LeccrModel, name: str) -> None:
        inputs: dict[str, Tensor] = batch(None) | {name: torch.ones(5)}
        refused(features_model, f"{name} have 5 rows, but there are 4 images", **inputs)

    def test_evaluation_captions(self, features_model: LeccrModel) -> None:
        inputs = visual_inputs(None) | {name: value[None] for name, value in texts([4, 5], prefix="caption_").items()}
        refused(features_model, "caption_input_ids have 1 rows, but there are 4 images", **inputs)


class TestTeacher:
    message = "transfer_weight is 0.5, but the batch has no {}: .* leccr embed-captions DATA --model TEACHER"

    @pytest.mark.parametrize("missing", ["source_teacher_embeds", "target_teacher_embeds"])
    def test_missing_embeddings(self, missing: str) -> None:
        inputs = batch(None) | {"source_teacher_embeds": random(4, 6), "target_teacher_embeds": random(4, 6)}
        del inputs[missing]
        refused(tiny_model(None, transfer_weight=0.5), self.message.format(missing), **inputs)

    def test_none_at_all(self) -> None:
        message = self.message.format("source_teacher_embeds")
        refused(tiny_model(None, transfer_weight=0.5), message, **batch(None))

    def test_two_widths(self) -> None:
        inputs = batch(None) | {"source_teacher_embeds": random(4, 6), "target_teacher_embeds": random(4, 5)}
        message = r"source_teacher_embeds have shape \(4, 6\) but target_teacher_embeds \(4, 5\); take both from one"
        refused(tiny_model(None, transfer_weight=0.5), message, **inputs)

    def test_another_number_of_rows(self, features_model: LeccrModel) -> None:
        inputs = batch(None) | {"source_teacher_embeds": random(3, 6)}
        refused(features_model, "source_teacher_embeds have 3 rows, but there are 4 images", **inputs)
