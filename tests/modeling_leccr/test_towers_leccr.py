"""Every kind of tower gives tokens with the summary in front, and texts are pooled as asked."""

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from modeling_leccr.towers_leccr import TextTower, VisionTower, masked_mean

from .tiny import PICTURE_SIZE, TEXT_TOWERS, VISION_TOWERS, enliven, random, text_config, texts, tiny_config


def tower(kind: str, **fields: object) -> VisionTower:
    torch.manual_seed(0)
    return enliven(VisionTower(tiny_config(kind, **fields))).eval()


def pictures(rows: int = 3, size: int = PICTURE_SIZE) -> torch.Tensor:
    return random(rows, 3, size, size)


class TestVisionTower:
    @pytest.fixture(autouse=True)
    def no_gradient(self) -> Iterator[None]:
        with torch.no_grad():
            yield

    @pytest.mark.parametrize("kind", VISION_TOWERS)
    def test_tokens(self, kind: str) -> None:
        tokens = tower(kind)(pictures())
        assert tokens.shape == (3, *VISION_TOWERS[kind])
        assert not torch.allclose(tokens[0], tokens[1], atol=1e-3), "different pictures have different tokens"

    @pytest.mark.parametrize("kind", ["clip", "siglip"])
    def test_first_token_is_what_the_tower_calls_the_whole_picture(self, kind: str) -> None:
        vision = tower(kind)
        expected = vision.model(pixel_values=pictures()).pooler_output
        torch.testing.assert_close(vision(pictures())[:, 0], expected)

    def test_clip_tokens_are_all_normalised(self) -> None:
        vision = tower("clip")
        states = vision.model(pixel_values=pictures()).last_hidden_state
        torch.testing.assert_close(vision(pictures()), functional.layer_norm(states, (32,), eps=1e-5))

    @pytest.mark.parametrize("kind", ["resnet", "mobilenet_v2"])
    def test_map_is_flattened_row_by_row_after_its_mean(self, kind: str) -> None:
        vision = tower(kind)
        feature_map = vision.model(pixel_values=pictures(size=96)).last_hidden_state
        tokens, rows = vision(pictures(size=96)), feature_map.shape[2]
        assert rows >= 3
        torch.testing.assert_close(tokens[:, 0], feature_map.mean((2, 3)))
        torch.testing.assert_close(tokens[:, 1 + rows * 1 + 2], feature_map[:, :, 1, 2])

    def test_grid_pools_the_map_but_not_the_summary(self) -> None:
        full, pooled = tower("resnet")(pictures(size=64)), tower("resnet", vision_grid=2)(pictures(size=64))
        assert (full.shape[1], pooled.shape[1]) == (17, 5)
        torch.testing.assert_close(pooled[:, 0], full[:, 0])
        corner = full[:, 1:].unflatten(1, (4, 4))[:, :2, 2:].mean((1, 2))
        torch.testing.assert_close(pooled[:, 2], corner)

    @pytest.mark.parametrize("kind", VISION_TOWERS)
    def test_frames_are_encoded_one_by_one_to_their_summary(self, kind: str) -> None:
        vision, frames = tower(kind), random(2, 3, 3, PICTURE_SIZE, PICTURE_SIZE)
        tokens = vision(frames)
        assert tokens.shape == (2, 3, VISION_TOWERS[kind][1])
        torch.testing.assert_close(tokens[1, 2], vision(frames[1, 2:])[0, 0])

    @pytest.mark.parametrize("kind", ["clip", "vit", "siglip"])
    def test_position_embeddings_are_interpolated_on_request(self, kind: str) -> None:
        larger = pictures(size=48)
        patches = 36 + VISION_TOWERS[kind][0] - 16
        assert tower(kind, interpolate_pos_encoding=True)(larger).shape[1] == patches
        with pytest.raises((ValueError, RuntimeError), match="size"):
            tower(kind)(larger)


class TestTextTower:
    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    def test_states_and_pooling(self, kind: str) -> None:
        torch.manual_seed(0)
        first, mean = (TextTower(text_config(kind), pooling).eval() for pooling in ("cls", "mean"))
        inputs = texts([3, 6])
        states = first(inputs["input_ids"], inputs["attention_mask"])
        assert states.shape == (2, 6, 32)
        assert torch.equal(first.pool(states, inputs["attention_mask"]), states[:, 0])
        torch.testing.assert_close(mean.pool(states, inputs["attention_mask"])[0], states[0, :3].mean(0))

    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    def test_padding_has_no_influence_on_the_real_tokens(self, kind: str) -> None:
        torch.manual_seed(0)
        text = TextTower(text_config(kind), "cls").eval()
        inputs = texts([3, 6])
        short = text(inputs["input_ids"][:1, :3], inputs["attention_mask"][:1, :3])
        padded = text(inputs["input_ids"], inputs["attention_mask"])
        torch.testing.assert_close(padded[:1, :3], short, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("kind", TEXT_TOWERS)
    def test_no_pooling_layer_is_left_that_nothing_would_train(self, kind: str) -> None:
        text, inputs = TextTower(text_config(kind), "cls"), texts([3, 6])
        text(inputs["input_ids"], inputs["attention_mask"]).sum().backward()
        assert [name for name, weight in text.named_parameters() if weight.grad is None] == []


class TestMaskedMean:
    def test_without_mask(self) -> None:
        states = random(2, 4, 3)
        torch.testing.assert_close(masked_mean(states, None), states.mean(1))

    def test_only_real_positions_count(self) -> None:
        states, mask = random(2, 4, 3), torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1]]).bool()
        expected = torch.stack([(states[0, 0] + states[0, 2]) / 2, states[1].mean(0)])
        torch.testing.assert_close(masked_mean(states, mask), expected)
