"""LoRA with peft: small low-rank updates of the towers' attention, beside new layers that are trained in full."""

import re
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import UserError, missing_extra

ADAPTER = "adapter"
# The projections of attention, as the towers of transformers name them; not those of a pooling head.
TARGETS = (
    r"(vision_tower|text_tower)\.model\..*"
    r"(\.(q_proj|k_proj|v_proj|query|key|value|q_lin|k_lin|v_lin|out_lin)"
    r"|self_attn\.out_proj|attention\.(output\.dense|o_proj))"
)
DROPOUT = 0.05


def add_lora(model: Any, rank: int) -> Any:
    """Put LoRA into the attention of both towers, and train all other layers in full.

    Frozen towers train their updates, too, and towers without attention, such as a CNN, are fixed; `merge_lora`
    gives the configuration its own settings back.

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
    targets = [name for name, _ in model.named_modules() if re.fullmatch(TARGETS, name)]
    if not targets:
        raise UserError("LoRA has nothing to do: no tower has attention layers that it knows; leave --lora out.")
    total = sum(weight.numel() for weight in model.parameters())
    model.frozen_without_lora = _freeze_by_targets(model.config, targets)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=DROPOUT, target_modules=TARGETS, modules_to_save=_new_layers(model)
    )
    adapted = get_peft_model(model, config)
    trained = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    print(f"LoRA of rank {rank}: {trained:,} weights are trained, {trained / total:.1%} of {total:,}.")
    return adapted


def _freeze_by_targets(config: Any, targets: list[str]) -> dict[str, bool]:
    """Let the updates of frozen towers be trained, freeze towers without any, and return what was frozen before.

    A CNN has no attention; its batch statistics would move, although its weights do not.
    """
    before = {}
    for tower in ("vision", "text"):
        if hasattr(config, f"freeze_{tower}"):
            before[f"freeze_{tower}"] = getattr(config, f"freeze_{tower}")
            setattr(config, f"freeze_{tower}", not any(name.startswith(f"{tower}_tower.") for name in targets))
    return before


def _new_layers(model: nn.Module) -> list[str]:
    return [name for name, part in model.named_children() if not name.endswith("_tower") and part.state_dict()]


def merge_lora(model: Any) -> Any:
    """Return the model with the updates added into its towers, as an ordinary one."""
    merged = model.merge_and_unload()
    for name, frozen in getattr(merged, "frozen_without_lora", {}).items():
        setattr(merged.config, name, frozen)
    merged.requires_grad_(True)
    return merged.train(merged.training)


def finish_lora(model: Any, output: Path) -> Any:
    """Save the updates by themselves in `output/adapter`, for `PeftModel`, and return the merged model."""
    model.save_pretrained(output / ADAPTER)
    return merge_lora(model)


__all__ = ["ADAPTER", "add_lora", "finish_lora", "merge_lora"]
