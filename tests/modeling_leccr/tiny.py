"""Models and batches small enough to be built and run in a test."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    CLIPVisionConfig,
    DistilBertConfig,
    MobileNetV2Config,
    PreTrainedConfig,
    ResNetConfig,
    SiglipVisionConfig,
    ViTConfig,
    XLMRobertaConfig,
)

from modeling_leccr import CrossLingualConfig, CrossLingualModel, LeccrConfig, LeccrModel

VOCABULARY = 60
FEATURE_WIDTH = 20
PICTURE_SIZE = 32
SPACE = 12

TEXT_TOWERS = ("bert", "xlm-roberta", "distilbert")

VISION_TOWERS = {"clip": (17, 32), "vit": (17, 32), "siglip": (17, 32), "resnet": (5, 32), "mobilenet_v2": (2, 64)}
"""Tiny vision towers, with the number of tokens of one picture (the summary in front) and their width."""

FORMS: dict[str, dict[str, Any]] = {
    "dual-encoder": {"num_slots": 0},
    "late-fusion": {"num_slots": 0, "description_fusion": True},
    "published": {},
    "raw slots": {"normalize_slots": False},
    "anchored": {"slot_anchor": "text"},
    "anchored in the image": {"slot_anchor": "image"},
    "sentences": {"slot_source": "sentences"},
    "sentences and slots": {"slot_source": "both", "slot_anchor": "text"},
}
"""Every form of the network that a recipe can ask for."""

# Larger than usual, so that a random tower tells its inputs apart.
SPREAD = 0.2
TRANSFORMER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": SPREAD,
}


def text_config(kind: str = "bert", vocabulary: int = VOCABULARY) -> PreTrainedConfig:
    """Return the configuration of a tiny text tower, 32 wide."""
    common: dict[str, Any] = {"vocab_size": vocabulary, "max_position_embeddings": 40}
    if kind == "distilbert":
        return DistilBertConfig(**common, dim=32, n_layers=2, n_heads=4, hidden_dim=48, initializer_range=SPREAD)
    family = {"bert": BertConfig, "xlm-roberta": XLMRobertaConfig}[kind]
    return family(**common, **TRANSFORMER)


def vision_config(kind: str = "clip") -> PreTrainedConfig:
    """Return the configuration of a tiny vision tower."""
    if kind == "resnet":
        return ResNetConfig(
            embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", downsample_in_first_stage=True
        )
    if kind == "mobilenet_v2":
        return MobileNetV2Config(depth_multiplier=0.05, min_depth=4, finegrained_output=False)
    sizes = TRANSFORMER | {"image_size": PICTURE_SIZE, "patch_size": 8}
    if kind == "clip":
        return CLIPVisionConfig(**sizes, projection_dim=16, initializer_factor=10.0)
    return {"vit": ViTConfig, "siglip": SiglipVisionConfig}[kind](**sizes)


def tiny_config(
    vision: str | None = "clip", text: str = "bert", vocabulary: int = VOCABULARY, **fields: Any
) -> LeccrConfig:
    """Return a configuration with three slots; `vision=None` is a model over ready-made features."""
    defaults: dict[str, Any] = {
        "projection_dim": SPACE,
        "interaction_dim": 16,
        "interaction_heads": 2,
        "num_slots": 3,
        "slot_layers": 2,
        "interaction_layers": 1,
        "visual_feature_dim": FEATURE_WIDTH if vision is None else VISION_TOWERS[vision][1],
    }
    return LeccrConfig(
        vision_config=None if vision is None else vision_config(vision),
        text_config=text_config(text, vocabulary),
        **(defaults | fields),
    )


def tiny_model(vision: str | None = "clip", text: str = "bert", seed: int = 0, **fields: Any) -> LeccrModel:
    """Return a model with random weights in eval mode."""
    torch.manual_seed(seed)
    return enliven(LeccrModel(tiny_config(vision, text, **fields))).eval()


def tiny_cross_lingual(
    text: str = "bert", seed: int = 0, vocabulary: int = VOCABULARY, **fields: Any
) -> CrossLingualModel:
    """Return a cross-lingual network with random weights in eval mode."""
    torch.manual_seed(seed)
    config = CrossLingualConfig(text_config=text_config(text, vocabulary), **({"projection_dim": SPACE} | fields))
    return CrossLingualModel(config).eval()


def enliven(model: nn.Module) -> Any:
    """Draw the convolutions again: in an untrained MobileNet, as the library makes it, the signal dies on its way."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight)
    return model


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return the same normal numbers for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def texts(lengths: list[int], seed: int = 0, prefix: str = "") -> dict[str, Tensor]:
    """Return random token ids of the given lengths, padded with zeros, and their mask."""
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(3, VOCABULARY, mask.shape, generator=generator) * mask
    return {f"{prefix}input_ids": ids, f"{prefix}attention_mask": mask}


def visual_inputs(vision: str | None = "clip", rows: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """Return pictures, or features of four to seven tokens with their mask when there is no vision tower."""
    if vision is not None:
        return {"pixel_values": random(rows, 3, PICTURE_SIZE, PICTURE_SIZE, seed=seed)}
    lengths = torch.tensor([7 - row % 4 for row in range(rows)])
    mask = (torch.arange(7) < lengths[:, None]).long()
    return {"visual_features": random(rows, 7, FEATURE_WIDTH, seed=seed), "visual_attention_mask": mask}


def descriptions(rows: int = 4, seed: int = 3) -> dict[str, Tensor]:
    """Return descriptions of different lengths."""
    return texts([9 + 3 * (row % 3) for row in range(rows)], seed, "description_")


def batch(vision: str | None = "clip", rows: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """Return a training batch in which the last two rows are captions of one image."""
    return {
        **visual_inputs(vision, rows, seed),
        **texts([4 + row % 3 for row in range(rows)], seed + 1, "source_"),
        **texts([7 - row % 3 for row in range(rows)], seed + 2, "target_"),
        **descriptions(rows, seed + 3),
        "image_ids": torch.arange(rows).clamp(max=rows - 2),
    }


def sentence_pairs(rows: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """Return a training batch without images."""
    return {
        name: value for name, value in batch(None, rows, seed).items() if name.startswith(("source", "target", "im"))
    }


def padded_left(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the same texts with their padding in front, as some tokenizers have it."""
    (mask,) = (value for name, value in inputs.items() if name.endswith("attention_mask"))
    positions = (torch.arange(mask.shape[1]) - (mask.shape[1] - mask.sum(1, keepdim=True))) % mask.shape[1]
    return {name: value.gather(1, positions) for name, value in inputs.items()}


def evaluation_captions() -> dict[str, Tensor]:
    """Return two captions in different languages for each of four rows."""
    captions = texts([5, 4, 6, 3, 7, 5, 4, 6], prefix="caption_")
    return {
        **{name: value.unflatten(0, (4, 2)) for name, value in captions.items()},
        "caption_languages": torch.tensor([[0, 1]] * 4),
    }


def form(name: str, vision: str | None = "clip", **fields: Any) -> LeccrModel:
    """Return a model of one form; its gates are open."""
    model = tiny_model(vision, **(FORMS[name] | fields))
    if name.startswith("anchored"):
        model.image.anchor.slot_gate.weight.data.fill_(0.6)
    if name == "anchored in the image":
        for gate in (model.image.anchor.part_gate, model.image.anchor.interaction_gate, model.image.anchor.image_gate):
            gate.weight.data.fill_(0.4)
    return model


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    """Compare to one part in a million."""
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-6)


def differ(first: Tensor, second: Tensor) -> bool:
    """Whether every vector differs clearly from its counterpart."""
    return bool(((first - second).abs().amax(-1) > 1e-4).all())


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Return the gradients that a module's weights have, by name."""
    return {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}


def step(model: LeccrModel, inputs: dict[str, Tensor]) -> Tensor:
    """Set training mode, compute the loss and its gradients, and return the loss."""
    model.train()
    loss: Tensor = model(**inputs).loss
    loss.backward()
    return loss
