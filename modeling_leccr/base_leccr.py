"""What the networks are built on: towers of transformers of any kind, and the base class with its training policy."""

import re
from collections.abc import Iterator
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init

from .layers_leccr import FeatureStandardizer, Gate, LearnedTokens, SpaceProjection

MAX_LOGIT_SCALE = 100.0
# The projections of attention, as the towers of transformers name them; not those of a pooling head.
ATTENTION_PROJECTIONS = (
    r"(image|text)\.tower\.model\..*"
    r"(\.(q_proj|k_proj|v_proj|query|key|value|q_lin|k_lin|v_lin|out_lin)"
    r"|self_attn\.out_proj|attention\.(output\.dense|o_proj))"
)
# Halves of dual encoders that AutoModel does not know by themselves.
CLASS_NAMES = {
    "altclip_text_model": "AltCLIPTextModel",
    "altclip_vision_model": "AltCLIPVisionModel",
    "metaclip_2_text_model": "MetaClip2TextModel",
    "metaclip_2_vision_model": "MetaClip2VisionModel",
    "siglip_text_model": "SiglipTextModel",
}


class Tower(nn.Module):
    """A model of transformers, pretrained as a rule, with a uniform way in and out.

    While none of its weights is trainable it stays in eval mode: neither dropout nor batch statistics move. One weight
    is enough to switch dropout on, so adapters inside a frozen tower train as they do elsewhere; a frozen batch norm
    keeps its statistics even then, as an adapter could not bring them along.
    """

    model: Any

    def train(self, mode: bool = True) -> "Tower":
        """Set training mode as far as there is something to train."""
        super().train(mode and not is_frozen(self))
        for module in self.modules():
            if getattr(module, "running_mean", None) is not None and is_frozen(module):
                module.eval()
        return self


def is_frozen(module: nn.Module) -> bool:
    """Return whether a module has weights, and none of them is trainable."""
    trainable = [weight.requires_grad for weight in module.parameters()]
    return bool(trainable) and not any(trainable)


def build_tower(config: PreTrainedConfig, **attention: Any) -> Any:
    """Return a model of transformers with random weights.

    Args:
        config: Its configuration.
        **attention: `attn_implementation` for a model that refuses others.
    """
    name = CLASS_NAMES.get(config.model_type)
    if name is None:
        # Code that a configuration names is never run, nor asked about at the terminal.
        attention["trust_remote_code"] = False
    build = AutoModel.from_config if name is None else getattr(transformers, name)._from_config
    # A tower's configuration may name the precision of the checkpoint it came from; the whole model has only one.
    return build(config, dtype=torch.get_default_dtype(), **attention)


def without_pooler(model: Any) -> Any:
    """Drop an encoder's learned pooling layer, which nothing here uses and distributed training would trip over."""
    pooler = getattr(model, "pooler", None)
    if pooler is not None and next(pooler.parameters(), None) is not None:
        model.pooler = None
    if model.config.model_type == "siglip_text_model":
        model.head = nn.Identity()
    return model


class LeccrPreTrainedModel(PreTrainedModel):
    """What both networks have: first weights, frozen parts, the text side of transformers' interface.

    A network sets `text`, a `TextEncoder`, and `logit_scale`, and calls `post_init` and then `freeze_as_configured`.
    """

    base_model_prefix = "leccr"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    # Trainer would otherwise take `**kwargs` of `forward` for a promise to divide the loss by the number of items.
    accepts_loss_kwargs = False
    _keys_to_ignore_on_load_unexpected = [r"text\.tower\.model\.pooler\."]
    # Auto classes that a checkpoint names besides `AutoModel`.
    more_auto_classes: tuple[str, ...] = ()
    config: Any
    text: Any
    logit_scale: Gate

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (LearnedTokens, Gate, FeatureStandardizer, SpaceProjection)):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint as transformers does, then freeze what its configuration says.

        Loading makes every weight trainable again, whatever `__init__` froze.
        """
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.freeze_as_configured()
        return loaded

    def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        """Save as transformers does, with a configuration that says which towers are frozen now.

        So a checkpoint that is loaded again trains as this model did. A model of which nothing is trainable is being
        used, not trained, and keeps its settings.
        """
        if not is_frozen(self):
            for flag, tower in self._towers_by_flag().items():
                setattr(self.config, flag, is_frozen(tower))
            if not self.config.freeze_text:
                self.config.freeze_text_layers = self.text.tower.frozen_depth()
        name = f"{type(self).__module__.rpartition('.')[2]}.{type(self).__name__}"
        # All anew: what was loaded from the Hub names the repository it came from.
        self.config.auto_map = dict.fromkeys(self.more_auto_classes, name)
        return super().save_pretrained(*args, **kwargs)

    def freeze_as_configured(self) -> None:
        """Freeze what the configuration says, once a model is built or loaded. Later it is as the user sets it."""
        for module in self._frozen_parts():
            module.requires_grad_(False)
        self.train(self.training)

    def _towers_by_flag(self) -> dict[str, Tower]:
        """Return the towers that can be frozen, by the field of the configuration that says so."""
        return {"freeze_text": self.text.tower}

    def _frozen_parts(self) -> list[nn.Module]:
        """Return what the configuration freezes."""
        frozen: list[nn.Module] = [
            tower for flag, tower in self._towers_by_flag().items() if getattr(self.config, flag)
        ]
        frozen += self.text.tower.frozen_parts()
        return frozen if self.config.learn_temperature else [*frozen, self.logit_scale]

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Embed texts (B, L) of any language: (B, D), unit length."""
        return self.text(input_ids, attention_mask)[0]

    def inverse_temperature(self) -> Tensor:
        """Return what scores are multiplied with, a scalar: the exponential of `logit_scale`, up to a largest value."""
        return self.logit_scale.weight.exp().clamp(max=getattr(self.config, "max_inverse_temperature", MAX_LOGIT_SCALE))

    def get_input_embeddings(self) -> nn.Module:
        """Return the token embeddings of captions and queries."""
        return self.text.tower.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embeddings of captions and queries."""
        self.text.tower.model.set_input_embeddings(value)

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args: Any, **kwargs: Any) -> nn.Module:
        """Resize the token embeddings of every text encoder, for they read the ids of one tokenizer.

        Args:
            new_num_tokens: Length of the tokenizer; None leaves it as it is.
            *args: As in transformers.
            **kwargs: As in transformers.

        Returns:
            The token embeddings of captions and queries.
        """
        for encoder, config in self._text_encoders():
            resized = encoder.tower.model.resize_token_embeddings(new_num_tokens, *args, **kwargs)
            config.vocab_size = resized.weight.shape[0]
        return self.get_input_embeddings()

    def _text_encoders(self) -> list[tuple[Any, PreTrainedConfig]]:
        """Return the text encoders with their towers' configurations."""
        return [(self.text, self.config.text_config)]

    def towers(self) -> list[Tower]:
        """Return all towers."""
        return [module for module in self.modules() if isinstance(module, Tower)]

    def group_parameters(self) -> dict[tuple[bool, bool], list[nn.Parameter]]:
        """Group the trainable weights for an optimizer.

        Returns:
            Weights by whether they belong to a tower, and whether they should decay: biases, norms, the temperature,
            gates and learned tokens should not.
        """
        in_towers = {id(weight) for tower in self.towers() for weight in tower.parameters()}
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for module in self.modules():
            for weight in module.parameters(recurse=False):
                if weight.requires_grad:
                    decays = weight.dim() > 1 and not isinstance(module, LearnedTokens)
                    groups.setdefault((id(weight) in in_towers, decays), []).append(weight)
        return groups

    def lora_settings(self) -> dict[str, Any]:
        """Return the fields of peft's `LoraConfig` that say what LoRA changes: `target_modules`, `modules_to_save`.

        The towers' attention gets low-rank updates. New layers are trained in full, unless they are frozen.

        Raises:
            ValueError: If no tower has attention layers.
        """
        if not any(re.fullmatch(ATTENTION_PROJECTIONS, name) for name, _ in self.named_modules()):
            raise ValueError("No tower has attention layers that are known here.")
        return {"target_modules": ATTENTION_PROJECTIONS, "modules_to_save": list(_new_layers(self))}


def _new_layers(module: nn.Module, prefix: str = "") -> Iterator[str]:
    """Yield the names of the largest parts that have weights or statistics and no tower."""
    for name, child in module.named_children():
        if isinstance(child, Tower) or is_frozen(child) or not child.state_dict():
            continue
        if any(isinstance(part, Tower) for part in child.modules()):
            yield from _new_layers(child, f"{prefix}{name}.")
        else:
            yield prefix + name
