"""The whole network against the authors' public code, with its weights: every output that should be the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from modeling_leccr import LeccrModel

from .official import official_model

IMAGE_OUTPUTS = (
    "vision_tokens",
    "slots",
    "interacted_vision_tokens",
    "interacted_slots",
    "image_embeds",
    "slot_embeds",
)
OUTPUTS = (
    "image_embeds",
    "slot_embeds",
    "source_embeds",
    "target_embeds",
    "loss_vision_source",
    "loss_vision_target",
    "loss_source_target",
    "loss_slot_diversity",
)
# The authors ignore in these two that captions can belong to one image.
OUTPUTS_WITHOUT_IMAGE_IDS = ("loss_slot_source", "loss_slot_target")


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(params=["image", "video"], scope="module")
def folder(shared_dir: Path, request: pytest.FixtureRequest) -> Path:
    return shared_dir / "golden" / f"official-leccr-{request.param}"


@pytest.fixture(scope="module")
def model(folder: Path) -> LeccrModel:
    return official_model(folder)


@pytest.fixture(scope="module")
def inputs(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "inputs.safetensors")


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "outputs.safetensors")


def assert_same(name: str, actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4, msg=lambda text: f"{name}: {text}")


def test_image_side(model: LeccrModel, inputs: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    images = model.encode_images(**{k: v for k, v in inputs.items() if k.startswith(("pixel", "visual", "desc"))})
    for name in IMAGE_OUTPUTS:
        assert_same(name, images[name], expected[name])


def test_embeddings_and_losses(model: LeccrModel, inputs: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    output = model(**inputs)
    for name in OUTPUTS:
        assert_same(name, output[name], expected[name])


def test_slot_losses_with_every_row_another_image(
    model: LeccrModel, inputs: dict[str, Tensor], expected: dict[str, Tensor]
) -> None:
    output = model(**{name: tensor for name, tensor in inputs.items() if name != "image_ids"})
    for name in OUTPUTS_WITHOUT_IMAGE_IDS:
        assert_same(name, output[name], expected[name])


def test_a_wrong_weight_would_show(folder: Path, inputs: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    model = official_model(folder)
    model.image.interaction.slots_from_vision.layers[-1].attention.k_proj.weight.zero_()
    difference = model(**inputs).slot_embeds - expected["slot_embeds"]
    assert difference.abs().max() > 1e-2
