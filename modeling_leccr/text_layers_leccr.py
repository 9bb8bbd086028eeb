"""The lower and the upper layers of a text tower by themselves, so that what frozen lower ones say can be stored."""

import copy
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

LAYERS = re.compile(r"((?:.*\.)?)(?:encoder\.layers?|transformer\.layer)")


class StatesInPlace(nn.Module):
    """Stands in the place of a tower's embeddings and returns states that are known already, whatever it is given."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the states (B, L, H)."""
        return self.states


def layer_names(model: nn.Module) -> tuple[str, str] | None:
    """Return the names of a tower's embeddings and of its list of layers, as BERT, DistilBERT and CLIP have them.

    None where transformers lays the tower out otherwise.
    """
    parts = dict(model.named_modules())
    for name, part in parts.items():
        match = LAYERS.fullmatch(name)
        if match and isinstance(part, nn.ModuleList) and f"{match[1]}embeddings" in parts:
            return f"{match[1]}embeddings", name
    return None


def check_frozen_layers(model: nn.Module, count: int) -> None:
    """Raise ValueError unless a tower has so many layers to freeze, where it is known to have them."""
    if count:
        existing = len(list(model.get_submodule(_names(model)[1]).children()))
        if count > existing:
            raise ValueError(f"freeze_text_layers is {count}, but the text tower has {existing} layers; freeze fewer.")


def lower_parts(model: nn.Module, count: int) -> list[nn.Module]:
    """Return a tower's embeddings and its lowest `count` layers; nothing if that is 0."""
    if not count:
        return []
    embeddings, layers = (model.get_submodule(name) for name in _names(model))
    return [embeddings, *list(layers.children())[:count]]


def frozen_depth(model: nn.Module) -> int:
    """Return how many of the lowest layers are frozen together with the embeddings; 0 where layers are not found."""
    if layer_names(model) is None:
        return 0
    embeddings, layers = (model.get_submodule(name) for name in _names(model))
    frozen = [
        not any(weight.requires_grad for weight in part.parameters()) for part in (embeddings, *layers.children())
    ]
    return ([*frozen, False].index(False) or 1) - 1


def run_lower(model: nn.Module, count: int, **inputs: Any) -> Tensor:
    """Return the states (B, L, H) after the lowest `count` layers, of which there is at least one.

    Args:
        model: The tower.
        count: How many layers to run.
        **inputs: What the tower itself takes.
    """
    _, name = _names(model)
    layers = list(model.get_submodule(name).children())[:count]
    kept: list[Any] = []
    # Not the output of the shortened tower, in which a last norm may follow.
    hook = layers[-1].register_forward_hook(lambda layer, given, output: kept.append(output))
    try:
        _with_parts(model, {name: nn.ModuleList(layers)})(**inputs)
    finally:
        hook.remove()
    return kept[0] if isinstance(kept[0], Tensor) else kept[0][0]


def run_upper(model: nn.Module, count: int, states: Tensor, **inputs: Any) -> Tensor:
    """Return the tower's output (B, L, H) for the states after its lowest `count` layers.

    Args:
        model: The tower.
        count: How many layers the states have been through.
        states: What `run_lower` returned.
        **inputs: What the tower itself takes.
    """
    embeddings, name = _names(model)
    layers = nn.ModuleList(list(model.get_submodule(name).children())[count:])
    return _with_parts(model, {embeddings: StatesInPlace(states), name: layers})(**inputs).last_hidden_state


def _names(model: nn.Module) -> tuple[str, str]:
    names = layer_names(model)
    if names is None:
        kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
        raise ValueError(
            "freeze_text_layers needs a text tower of embeddings and a list of layers, such as BERT, XLM-R, DistilBERT "
            f"or CLIP's, not {kind}; leave it out, or set freeze_text."
        )
    return names


def _with_parts(module: nn.Module, parts: Mapping[str, nn.Module]) -> nn.Module:
    """Return a copy of a module with other submodules in some places; it shares everything else with the original."""
    changed = copy.copy(module)
    changed._modules = dict(module._modules)
    for name, part in parts.items():
        first, _, rest = name.partition(".")
        child = changed._modules[first]
        changed._modules[first] = part if not rest or child is None else _with_parts(child, {rest: part})
    return changed
