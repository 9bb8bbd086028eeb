"""The names of weights in the authors' LECCR release, and those that they have here."""

from collections.abc import Mapping

from torch import Tensor

from ..errors import UserError

WHOLE_MODULES = {
    "text_encoder.": "text.tower.model.",
    "text_proj.": "text.head.output.",
    "vision_proj.": "image.head.",
    "caption_proj.": "image.interaction.description_projection.",
    "caption_proj1.": "image.slot_head.",
    "cproj.": "objective.slot_projection.",
    "vproj.": "objective.vision_projection.",
}
ATTENTION_STACKS = {
    "vid_encoder.": "image.visual_layers.",
    "crossattn_query.": "image.interaction.slots_from_description.",
    "crossattn.": "image.interaction.vision_from_slots.",
    "crossattn2.": "image.interaction.slots_from_vision.",
}
ATTENTION_PARTS = ("multihead_attn.", "linear1.", "linear2.", "norm1.", "norm2.")
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
# A second copy of the text encoder, a head and a pooling layer that the authors do not use, and CLIP's text tower.
UNUSED = ("caption_encoder.", "itm_head.", "text_encoder.pooler.", "text_encoder.embeddings.position_ids")
UNUSED_OF_CLIP = ("positional_embedding", "text_projection", "logit_scale", "token_embedding.", "ln_final.")


def convert(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and split the authors' weights.

    Raises:
        UserError: If there are names that the release does not have; they are named.
    """
    weights: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, tensor in official.items():
        converted = _converted(name, tensor)
        if converted is None:
            unknown.append(name)
        else:
            weights.update(converted)
    if unknown:
        raise UserError(f"The checkpoint has weights that the LECCR release does not have: {listed(unknown)}.")
    return weights


def _converted(name: str, tensor: Tensor) -> dict[str, Tensor] | None:
    """Return the weights that one of the authors' becomes, none where it is not used, None where it is not known."""
    if name == "temp":
        return {"logit_scale.weight": (1 / tensor).log()}
    if name == "queries":
        return {"image.interaction.queries.weight": tensor[:, 0]}
    if name.startswith("clip_encoder.visual."):
        return _clip(name.removeprefix("clip_encoder.visual."), tensor)
    rest = name.removeprefix("clip_encoder.")
    if name.startswith(UNUSED) or (rest != name and rest.startswith((*UNUSED_OF_CLIP, "transformer."))):
        return {}
    return _own(name, tensor)


def _own(name: str, tensor: Tensor) -> dict[str, Tensor] | None:
    for old, new in WHOLE_MODULES.items():
        if name.startswith(old):
            return {new + name.removeprefix(old): tensor}
    for old, new in ATTENTION_STACKS.items():
        if name.startswith(old) and any(part in name for part in ATTENTION_PARTS):
            # Made, but never used by the authors.
            if ".norm1." in name:
                return {}
            name = (new + name.removeprefix(old)).replace(".norm2.", ".norm.")
            return _split_attention(name.replace(".multihead_attn.", ".attention."), tensor)
    return None


def _clip(name: str, tensor: Tensor) -> dict[str, Tensor] | None:
    if name == "proj":
        return {"image.projection.weight": tensor.T}
    for old, new in CLIP_PARTS.items():
        if name.startswith(old):
            name = new + name.removeprefix(old)
            for old_part, new_part in CLIP_LAYER_PARTS.items():
                name = name.replace(old_part, new_part)
            return _split_attention(f"image.tower.model.{name}", tensor)
    return None


def _split_attention(name: str, tensor: Tensor) -> dict[str, Tensor]:
    stem, packed, kind = name.rpartition("in_proj_")
    if not packed:
        return {name: tensor}
    return {f"{stem}{part}_proj.{kind}": third for part, third in zip("qkv", tensor.chunk(3))}


def listed(names: list[str], shown: int = 5) -> str:
    """Return the first names as words, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
