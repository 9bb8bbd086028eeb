from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from benchmarks.offline_towers.efficientnet_lite import IMAGE_SIDE, REPEATS, write_vision_tower

STRIDES = (1, 2, 2, 2, 1, 2, 1)


def padded_convolution(states: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """Return a convolution, over each channel alone if the weights are such, padded as TensorFlow pads `SAME`."""
    side, kernel = states.shape[-1], weight.shape[-1]
    padding = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    before, after = padding // 2, padding - padding // 2
    groups = states.shape[1] // weight.shape[1]
    return functional.conv2d(functional.pad(states, (before, after) * 2), weight, stride=stride, groups=groups)


def feature_map(state: dict[str, Tensor], pixel_values: Tensor) -> Tensor:
    """Return what EfficientNet-Lite sees, by the weights of the file and nothing of transformers."""

    def norm(states: Tensor, name: str) -> Tensor:
        values = [state[f"{name}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(states, *values, eps=1e-3)

    states = functional.relu6(norm(padded_convolution(pixel_values, state["_conv_stem.weight"], 2), "_bn0"))
    numbers = iter(range(sum(REPEATS)))
    for first_stride, repeats in zip(STRIDES, REPEATS):
        for repeat in range(repeats):
            block, inner = f"_blocks.{next(numbers)}", states
            if f"{block}._expand_conv.weight" in state:
                inner = padded_convolution(inner, state[f"{block}._expand_conv.weight"])
                inner = functional.relu6(norm(inner, f"{block}._bn0"))
            stride = 1 if repeat else first_stride
            inner = padded_convolution(inner, state[f"{block}._depthwise_conv.weight"], stride)
            inner = functional.relu6(norm(inner, f"{block}._bn1"))
            inner = norm(padded_convolution(inner, state[f"{block}._project_conv.weight"]), f"{block}._bn2")
            states = states + inner if repeat else inner
    return functional.relu6(norm(padded_convolution(states, state["_conv_head.weight"]), "_bn1"))


@torch.inference_mode()
def test_the_tower_equals_the_network_of_the_file(
    lite_wheel: Path, lite_state: dict[str, Tensor], tmp_path: Path
) -> None:
    write_vision_tower(lite_wheel, tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (IMAGE_SIDE, IMAGE_SIDE, 3), dtype=np.uint8)
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    pixel_values = processor(Image.fromarray(noise), return_tensors="pt")["pixel_values"]
    assert torch.allclose(pixel_values[0], torch.from_numpy(noise).permute(2, 0, 1) / 127.5 - 1, atol=1e-6)
    assert processor(Image.new("RGB", (300, 200)), return_tensors="pt")["pixel_values"].shape == pixel_values.shape
    part = pixel_values[..., :64, :64]
    found = AutoModel.from_pretrained(tmp_path).eval()(part).last_hidden_state
    expected = feature_map(lite_state, part)
    assert expected.std() > 0.1
    assert torch.allclose(found, expected, atol=1e-4)
