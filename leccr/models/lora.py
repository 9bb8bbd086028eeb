"""LoRA with peft: small low-rank updates of the towers' attention, next to new layers that are trained in full."""

from pathlib import Path
from typing import Any

from processing.notes import note

from ..errors import UserError, missing_extra

ADAPTER = "adapter"
DROPOUT = 0.05


def add_lora(model: Any, rank: int) -> Any:
    """Put LoRA into the attention of both towers, and train all other layers in full.

    The updates of frozen towers are trained, too, and towers without attention, such as a CNN, are fixed.

    Args:
        model: A `modeling_leccr.LeccrModel`, or a text-only `modeling_leccr.CrossLingualModel`.
        rank: Rank of the updates; they are scaled by 2.

    Returns:
        A `peft.PeftModel` around the model. It saves the updates and the other layers, not the towers.

    Raises:
        UserError: If peft is not installed, the rank is below 1, or no tower has attention.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise missing_extra("lora", "LoRA") from error
    if rank < 1:
        raise UserError(f"The rank of LoRA is {rank}, but has to be at least 1.")
    try:
        settings = model.lora_settings()
    except ValueError as error:
        raise UserError(
            "LoRA has nothing to do: no tower has attention layers that it knows; leave --lora out."
        ) from error
    total = sum(weight.numel() for weight in model.parameters())
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=DROPOUT, **settings)
    adapted = get_peft_model(model, config)
    trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    note(f"LoRA of rank {rank}: {trained:,} weights are trained, {trained / total:.1%} of {total:,}.")
    return adapted


def merge_lora(model: Any) -> Any:
    """Return the model with the updates added into its towers, as an ordinary one, frozen as its configuration says."""
    merged = model.merge_and_unload()
    merged.requires_grad_(True)
    merged.freeze_as_configured()
    return merged


def finish_lora(model: Any, output: Path) -> Any:
    """Save the updates by themselves in `output/adapter`, for `PeftModel`, and return the merged model."""
    model.save_pretrained(output / ADAPTER)
    return merge_lora(model)


__all__ = ["ADAPTER", "add_lora", "finish_lora", "merge_lora"]
