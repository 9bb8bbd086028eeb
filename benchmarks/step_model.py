"""The models and batches of the benchmarks of a training step: `leccr` with anchored slots over small towers."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, CLIPVisionConfig, PreTrainedConfig, XLNetConfig

from leccr.models.build import parameter_groups
from modeling_leccr import LeccrConfig, LeccrModel

VOCABULARY = 12_000
TEXT, DESCRIPTION = 32, 64
PICTURE, PATCH = 96, 16
FEATURE_TOKENS, FEATURE_WIDTH = 5, 1280
# As recipe leccr has it with towers that are trained from scratch.
METHOD = {
    "num_slots": 4,
    "slot_layers": 1,
    "interaction_layers": 1,
    "interaction_heads": 8,
    "slot_anchor": "text",
    "description_gradient": True,
    "description_dropout": 0.1,
    "text_pooling": "mean",
}
TRANSFORMER = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
TOWERS = ("table", "transformers")
"""Features of a frozen tower and a table of word-piece embeddings, as in the study; or a small ViT and a small BERT."""


def build(towers: str, **fields: Any) -> LeccrModel:
    """Return a model with random weights in training mode."""
    torch.manual_seed(0)
    vision: PreTrainedConfig | None = None
    if towers == "table":
        text: PreTrainedConfig = XLNetConfig(
            vocab_size=VOCABULARY, d_model=256, n_layer=0, n_head=4, d_inner=512, dropout=0.0
        )
        own = {"visual_feature_dim": FEATURE_WIDTH, "visual_dropout": 0.5, "token_dropout": 0.25, "text_head": "mlp"}
    else:
        vision = CLIPVisionConfig(
            **TRANSFORMER, num_hidden_layers=6, image_size=PICTURE, patch_size=PATCH, projection_dim=256
        )
        text = BertConfig(**TRANSFORMER, num_hidden_layers=4, vocab_size=VOCABULARY)
        own = {}
    return LeccrModel(LeccrConfig(vision_config=vision, text_config=text, **{**METHOD, **own, **fields})).train()


def make_batch(towers: str, rows: int) -> dict[str, Tensor]:
    """Return random pictures or features, captions and descriptions."""
    generator = torch.Generator().manual_seed(0)
    if towers == "table":
        shape: tuple[int, ...] = (rows, FEATURE_TOKENS, FEATURE_WIDTH)
        batch = {"visual_features": torch.randn(shape, generator=generator)}
    else:
        batch = {"pixel_values": torch.randn(rows, 3, PICTURE, PICTURE, generator=generator)}
    for name, length in (("source", TEXT), ("target", TEXT), ("description", DESCRIPTION)):
        batch[f"{name}_input_ids"] = torch.randint(5, VOCABULARY, (rows, length), generator=generator)
        # Texts of all lengths, as captions are.
        ends = torch.randint(length // 3, length + 1, (rows, 1), generator=generator)
        ends[0] = length
        batch[f"{name}_attention_mask"] = (torch.arange(length) < ends).long()
    return batch


@dataclass
class Step:
    """A training step as Trainer makes it.

    Args:
        model: The network.
        batch: What it is trained on, again and again.
        bf16: Whether it runs under autocast.
        fused: Whether AdamW is fused.
        compiled: Whether the network is compiled.
    """

    model: LeccrModel
    batch: dict[str, Tensor]
    bf16: bool = False
    fused: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        groups = parameter_groups(self.model, 1e-5, 0.01, None)
        self.optimizer = torch.optim.AdamW(groups, lr=1e-5, fused=self.fused)
        self.forward: Any = torch.compile(self.model) if self.compiled else self.model

    def __call__(self) -> None:
        """Make the step."""
        with torch.profiler.record_function("forward"), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.forward(**self.batch).loss
        with torch.profiler.record_function("backward"):
            loss.backward()
        with torch.profiler.record_function("clipping"):
            torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        with torch.profiler.record_function("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()
