"""Checks of a model's inputs: each failure is one sentence that says what to change."""

from typing import Any

import torch
from torch import Tensor


class InputError(ValueError):
    """A batch that does not fit the model, in one sentence that says what to change.

    The application knows it by its name, because a checkpoint brings its own copy of the class.
    """


def check_visual_inputs(
    config: Any, pixel_values: Tensor | None, visual_features: Tensor | None, mask: Tensor | None
) -> None:
    """Raise InputError unless exactly one kind of visual input is given and fits the model."""
    if (pixel_values is None) == (visual_features is None):
        given = "neither was" if pixel_values is None else "both were"
        raise InputError(f"Give either pixel_values or visual_features; {given} given.")
    if visual_features is not None and visual_features.shape[-1] != config.visual_feature_dim:
        raise InputError(
            f"visual_features are {visual_features.shape[-1]} wide, but this model was built for "
            f"{config.visual_feature_dim}; use the features it was trained on."
        )
    if visual_features is not None and visual_features.dim() != 3:
        raise InputError(f"visual_features have shape {tuple(visual_features.shape)}; give (batch, tokens, width).")
    if pixel_values is not None and pixel_values.dim() not in (4, 5):
        raise InputError(
            f"pixel_values have shape {tuple(pixel_values.shape)}; give (batch, 3, height, width), or "
            "(batch, frames, 3, height, width) for videos."
        )
    if pixel_values is not None and pixel_values.dim() == 5 and config.vision_summary == "first":
        raise InputError('Video frames were given to an image model; build it with vision_summary="mean".')
    _check_mask("visual_attention_mask", mask, "has no real token or frame; leave the item out")


def check_visual_mask(features: Tensor, mask: Tensor | None) -> None:
    """Raise InputError unless the mask (B, N) belongs to the visual tokens (B, N, F)."""
    if mask is not None and mask.shape != features.shape[:2]:
        raise InputError(
            f"visual_attention_mask has shape {tuple(mask.shape)}, but there are {features.shape[1]} tokens or frames "
            f"for each of {features.shape[0]} images."
        )


def check_rows(batch_size: int, rows_of: str = "images", **tensors: Tensor | None) -> None:
    """Raise InputError unless everything that belongs to the rows of a batch has as many rows as there are images."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.shape[0] != batch_size:
            raise InputError(f"{name} have {tensor.shape[0]} rows, but there are {batch_size} {rows_of}; give as many.")


def check_teacher_embeds(
    config: Any, target_embeds: Tensor | None, source_teacher: Tensor | None, target_teacher: Tensor | None
) -> None:
    """Raise InputError where the relational transfer to target captions lacks the teacher's embeddings."""
    if not config.transfer_weight or target_embeds is None:
        return
    for name, embeds in (("source_teacher_embeds", source_teacher), ("target_teacher_embeds", target_teacher)):
        if embeds is None:
            raise InputError(
                f"transfer_weight is {config.transfer_weight}, but the batch has no {name}: write the teacher's "
                "embeddings next to the data with leccr embed-captions DATA --model TEACHER."
            )
    if source_teacher.shape != target_teacher.shape:
        raise InputError(
            f"source_teacher_embeds have shape {tuple(source_teacher.shape)} but target_teacher_embeds "
            f"{tuple(target_teacher.shape)}; take both from one teacher."
        )


def check_text_inputs(input_ids: Tensor, attention_mask: Tensor, positions: int | None = None) -> None:
    """Raise InputError where a text has no token at all, or more than the tower has positions."""
    if not torch.compiler.is_compiling() and 0 < (positions or 0) < input_ids.shape[1]:
        raise InputError(
            f"input_ids have {input_ids.shape[1]} tokens a text, but this model reads {positions}: give shorter texts, "
            "or cut them with truncation=True."
        )
    if input_ids.shape != attention_mask.shape:
        raise InputError(
            f"input_ids have shape {tuple(input_ids.shape)} but attention_mask {tuple(attention_mask.shape)}; "
            "take both from one tokenizer call."
        )
    _check_mask("attention_mask", attention_mask, "is an empty text; leave it out")


def check_description_inputs(batch_size: int, input_ids: Tensor, attention_mask: Tensor, sentences: bool) -> None:
    """Raise InputError unless there is one description per image, which may be in sentences if those are slots."""
    if input_ids.dim() not in ((2, 3) if sentences else (2,)):
        forms = "(batch, tokens)" + (" or (batch, sentences, tokens)" if sentences else "")
        raise InputError(f"description_input_ids have shape {tuple(input_ids.shape)}; give {forms}.")
    if input_ids.shape[0] != batch_size:
        raise InputError(
            f"{input_ids.shape[0]} descriptions for {batch_size} images: give one for each image, "
            "with an all-zero mask where there is none."
        )
    if input_ids.shape != attention_mask.shape:
        raise InputError(
            f"description_input_ids have shape {tuple(input_ids.shape)} but description_attention_mask "
            f"{tuple(attention_mask.shape)}; take both from one processor call."
        )


def _check_mask(name: str, mask: Tensor | None, problem: str) -> None:
    if mask is None or torch.compiler.is_compiling() or torch.jit.is_tracing() or mask.is_meta:
        return
    empty = ~mask.bool().any(dim=-1)
    if bool(empty.any()):
        row = int(empty.nonzero()[0, 0])
        raise InputError(f"Row {row} of {name} is all zero: it {problem}.")
