"""Weights of the authors' public code, under the names that they have here."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, CLIPVisionConfig

from modeling_leccr import LeccrConfig, LeccrModel

WHOLE_MODULES = {
    "text_encoder.": "text_tower.model.",
    "text_proj.": "text_projection.output.",
    "vision_proj.": "image_projection.",
    "caption_proj.": "interaction.description_projection.",
    "caption_proj1.": "slot_projection.",
    "cproj.": "slot_matching_projection.",
    "vproj.": "vision_matching_projection.",
}
ATTENTION_STACKS = {
    "vid_encoder.": "visual_layers.",
    "crossattn_query.": "interaction.slots_from_description.",
    "crossattn.": "interaction.vision_from_slots.",
    "crossattn2.": "interaction.slots_from_vision.",
}
CLIP_PARTS = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre.": "pre_layrnorm.",
    "ln_post.": "post_layernorm.",
    "transformer.resblocks.": "encoder.layers.",
}
CLIP_LAYER_PARTS = {
    ".ln_1.": ".layer_norm1.",
    ".ln_2.": ".layer_norm2.",
    ".mlp.c_fc.": ".mlp.fc1.",
    ".mlp.c_proj.": ".mlp.fc2.",
    ".attn.": ".self_attn.",
}
UNUSED = ("caption_encoder.", "itm_head.", "text_encoder.pooler.", "clip_encoder.")


def official_config(folder: Path) -> LeccrConfig:
    """Return the configuration under which a model equals the authors' one in ``folder``."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    official, vision = meta["official_config"], meta["vision"]
    fields: dict[str, Any] = {"visual_feature_dim": official["vision_width"], "vision_projection": False}
    if vision is not None:
        clip = CLIPVisionConfig(
            image_size=vision["image_resolution"],
            patch_size=vision["patch_size"],
            num_hidden_layers=vision["layers"],
            hidden_size=vision["width"],
            intermediate_size=4 * vision["width"],
            num_attention_heads=vision["heads"],
            projection_dim=vision["output_dim"],
            hidden_act="quick_gelu",
        )
        fields = {"vision_config": clip}
    return LeccrConfig(
        text_config=BertConfig(**meta["text_config"]),
        projection_dim=official["embed_dim"],
        interaction_dim=official["vision_width"],
        visual_layers=0 if vision else official["vision_layer"],
        num_slots=official["num_queries"],
        slot_layers=official["caption_ca_layer"],
        interaction_layers=official["caption_interaction_layer"],
        slot_anchor="none",
        normalize_slots=False,
        signed_diversity=True,
        **fields,
    )


def official_model(folder: Path) -> LeccrModel:
    """Return a model in eval mode with the weights of the authors' checkpoint in ``folder``."""
    model = LeccrModel(official_config(folder)).eval()
    checkpoint = torch.load(folder / "checkpoint_best.pth", weights_only=True)
    weights = convert(checkpoint["model"])
    # The authors have no token for images without a description.
    weights["interaction.no_description.weight"] = model.interaction.no_description.weight
    model.load_state_dict(weights, strict=True)
    return model


def convert(official: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename and split the authors' weights; raise KeyError at a name that is not known."""
    weights = {
        "logit_scale.weight": (1 / official["temp"]).log(),
        "interaction.queries.weight": official["queries"][:, 0],
    }
    for name, tensor in official.items():
        if name in ("temp", "queries"):
            continue
        if name.startswith("clip_encoder.visual."):
            weights.update(_clip(name.removeprefix("clip_encoder.visual."), tensor))
        elif not name.startswith(UNUSED):
            weights.update(_own(name, tensor))
    return weights


def _own(name: str, tensor: Tensor) -> dict[str, Tensor]:
    for old, new in WHOLE_MODULES.items():
        if name.startswith(old):
            return {new + name.removeprefix(old): tensor}
    for old, new in ATTENTION_STACKS.items():
        if name.startswith(old):
            if ".norm1." in name:
                return {}
            name = (new + name.removeprefix(old)).replace(".norm2.", ".norm.")
            return _split_attention(name.replace(".multihead_attn.", ".attention."), tensor)
    raise KeyError(name)


def _clip(name: str, tensor: Tensor) -> dict[str, Tensor]:
    if name == "proj":
        return {"vision_projection.weight": tensor.T}
    for old, new in CLIP_PARTS.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
            for old_part, new_part in CLIP_LAYER_PARTS.items():
                name = name.replace(old_part, new_part)
            return _split_attention(f"vision_tower.model.{name}", tensor)
    raise KeyError(name)


def _split_attention(name: str, tensor: Tensor) -> dict[str, Tensor]:
    stem, packed, kind = name.rpartition("in_proj_")
    if not packed:
        return {name: tensor}
    return {f"{stem}{part}_proj.{kind}": third for part, third in zip("qkv", tensor.chunk(3))}
