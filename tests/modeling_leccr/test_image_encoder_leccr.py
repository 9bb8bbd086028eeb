"""Every kind of vision tower gives tokens with the summary in front."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AutoModel

from modeling_leccr import LeccrModel, VisionTower

from .tiny import PICTURE_SIZE, VISION_TOWERS, enliven, random, text_config, vision_config


def tower(kind: str, grid: int | None = None, interpolate: bool = False) -> VisionTower:
    torch.manual_seed(0)
    return enliven(VisionTower(vision_config(kind), grid, interpolate=interpolate)).eval()


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
        full, pooled = tower("resnet")(pictures(size=64)), tower("resnet", grid=2)(pictures(size=64))
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
        assert tower(kind, interpolate=True)(larger).shape[1] == patches
        with pytest.raises((ValueError, RuntimeError), match="size"):
            tower(kind)(larger)


class TestTowerByItself:
    @pytest.mark.parametrize("kind", ["clip", "vit", "resnet"])
    def test_it_is_the_pretrained_one_in_eval_mode(self, kind: str, tmp_path: Path) -> None:
        source = AutoModel.from_config(vision_config(kind)).eval()
        source.save_pretrained(tmp_path)
        loaded = VisionTower.from_pretrained(tmp_path)
        assert not any(module.training for module in loaded.modules())
        model = LeccrModel.from_pretrained_towers(tmp_path, text_config(), interaction_dim=16, interaction_heads=2)
        with torch.no_grad():
            torch.testing.assert_close(loaded(pictures()), model.eval().get_visual_tokens(pictures()))

    def test_grid_and_interpolation_are_passed_on(self, tmp_path: Path) -> None:
        AutoModel.from_config(vision_config("resnet")).save_pretrained(tmp_path)
        with torch.no_grad():
            assert VisionTower.from_pretrained(tmp_path, grid=2)(pictures(size=96)).shape[1] == 5
        assert VisionTower.from_pretrained(tmp_path, interpolate=True).interpolate
