"""What both configurations do with their fields: tower configurations, checks, and what is stored."""

import os
import re
from collections.abc import Mapping
from functools import wraps
from typing import Any

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig

HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")

# What a retrieval model returns, but for the two tensors that evaluation ranks with.
NOT_RANKED = [
    "logits_per_image",
    "logits_per_text",
    "text_embeds",
    "image_embeds",
    "slot_embeds",
    "source_embeds",
    "target_embeds",
    "loss_vision_source",
    "loss_vision_target",
    "loss_source_target",
    "loss_slot_source",
    "loss_slot_target",
    "loss_slot_diversity",
    "loss_slot_vision",
    "loss_softened",
    "loss_transfer",
    "loss_fused_source",
    "loss_fused_target",
    "loss_image_only_source",
    "loss_image_only_target",
]


def is_hub_name(name: Any) -> bool:
    """Return whether a checkpoint's name is one that the Hub may have, and not a folder here."""
    return isinstance(name, str) and HUB_NAME.fullmatch(name) is not None and not os.path.exists(name)


def without_local_paths(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return fields, nested ones too, without those of these names that hold a folder here; names on the Hub stay.

    Args:
        fields: What is to be stored.
        *names: Fields that name a checkpoint.
    """
    nested = {
        name: without_local_paths(value, *names) if isinstance(value, dict) else value for name, value in fields.items()
    }
    return {name: value for name, value in nested.items() if name not in names or value is None or is_hub_name(value)}


def as_config(name: str, value: Any) -> PreTrainedConfig | None:
    """Return a tower's configuration, which a dictionary may stand for, as it is stored; None means no tower.

    Raises:
        ValueError: If the field `name` holds something else, or a dictionary without a model type.
    """
    if value is None or isinstance(value, PreTrainedConfig):
        return value
    if not isinstance(value, dict):
        raise ValueError(f'{name} is "{value}", but has to be a configuration, or a dictionary with its fields.')
    if "model_type" not in value:
        raise ValueError(f'{name} has no model_type; add one, for example "bert" or "clip_vision_model".')
    fields = dict(value)
    return AutoConfig.for_model(fields.pop("model_type"), **fields)


def checked(config_class: Any) -> Any:
    """Let `strict` check the types of a configuration's fields and call its `validate_*` methods.

    Whatever is wrong when one is made is a ValueError of one sentence, where `strict` has an exception of its own.
    """
    config_class = strict(config_class)
    init = config_class.__init__

    @wraps(init)
    def __init__(self: Any, **fields: Any) -> None:
        try:
            init(self, **fields)
        except StrictDataclassError as error:
            raise ValueError(str(error.__cause__).split(". Errors:")[0]) from error

    config_class.__init__ = __init__
    return config_class


def check_shares(config: PreTrainedConfig, *names: str) -> None:
    """Raise ValueError unless these fields are between 0 and 1."""
    for name in names:
        value = getattr(config, name)
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} is {value}, but has to be between 0 and 1.")


def check_positive(config: PreTrainedConfig, *names: str) -> None:
    """Raise ValueError unless these fields are above 0, or None."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value <= 0.0:
            raise ValueError(f"{name} is {value}, but has to be above 0.")


def check_not_negative(config: PreTrainedConfig, *names: str) -> None:
    """Raise ValueError unless these fields are at least 0."""
    for name in names:
        value = getattr(config, name)
        if value < 0:
            raise ValueError(f"{name} is {value}, but cannot be negative.")


def check_text_layers(config: PreTrainedConfig) -> None:
    """Raise ValueError unless the text tower has the layers whose states are to be joined."""
    check_joined_layers(config.text_layers, config.text_config)
    if config.text_layers is not None and config.freeze_text_layers:
        raise ValueError(
            f"text_layers joins the states of several layers, which freeze_text_layers {config.freeze_text_layers} "
            "does not support; set freeze_text, or leave one of them out."
        )


def check_joined_layers(layers: list[int] | None, tower: PreTrainedConfig) -> None:
    """Raise ValueError unless a text tower of this configuration has all of these layers, where it says how many."""
    existing = getattr(tower, "num_hidden_layers", None)
    if layers is None:
        return
    if not layers or min(layers) < 0 or max(layers) > (existing or max(layers)):
        raise ValueError(
            f"text_layers is {layers}, but has to name layers of the text tower, from 0 to "
            f"{existing or 'its last one'}."
        )
