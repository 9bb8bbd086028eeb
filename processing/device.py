"""Where a model runs, and in which precision: what `--device` and `--dtype` mean in every command.

Precision `auto` is the one that the checkpoint was saved in, which is fp32 for what `leccr train` writes.
"""

import re
from typing import TYPE_CHECKING, Any

from .errors import UserError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = {"auto": None, "fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Names of precisions, and what torch calls them."""


def check_names(device: str = "auto", dtype: str = "auto") -> None:
    """Check that a device and a precision have names that are known, without importing torch.

    Raises:
        UserError: If one of them has not.
    """
    if device not in DEVICES and not re.fullmatch(r"cuda:\d+", device):
        raise UserError(
            f"There is no device {device!r}; choose {', '.join(DEVICES)}, or one of several GPUs as cuda:1."
        )
    if dtype not in DTYPES:
        raise UserError(f"There is no precision {dtype!r}; choose one of {', '.join(DTYPES)}.")


def choose_device(name: "str | torch.device" = "auto") -> "torch.device":
    """Return the device of a name.

    Args:
        name: `auto` is an NVIDIA or AMD GPU if there is one, or else Apple's GPU, or else the CPU. `cpu`, `cuda`,
            `cuda:N` (the GPU of that index) and `mps` (Apple's GPU) are these devices. A device is returned as it is.

    Raises:
        UserError: If the name is unknown, or this machine has no such device.
    """
    import torch

    if isinstance(name, torch.device):
        return name
    check_names(device=name)
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if is_available(kind)))
    if not is_available(name):
        raise UserError(f"This machine has no device {name} that PyTorch can use; choose --device auto or cpu.")
    return torch.device(name)


def is_available(name: str) -> bool:
    """Return whether PyTorch can use a device on this machine: `cpu`, `cuda`, `cuda:N` or `mps`."""
    import torch

    kind, _, index = name.partition(":")
    if kind == "cuda":
        return torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()
    return kind == "cpu" or (kind == "mps" and torch.backends.mps.is_available())


def choose_dtype(name: str = "auto") -> "torch.dtype | None":
    """Return the precision of a name, or None for `auto`, which leaves a model as its checkpoint was saved.

    Raises:
        UserError: If the name is unknown.
    """
    import torch

    check_names(dtype=name)
    full_name = DTYPES[name]
    return None if full_name is None else getattr(torch, full_name)


def to_device(model: Any, device: "str | torch.device" = "auto", dtype: str = "auto") -> Any:
    """Return a model on a device, in a precision and in eval mode.

    Args:
        model: A module.
        device: As for `choose_device`.
        dtype: As for `choose_dtype`.

    Raises:
        UserError: If there is no such device or precision.
    """
    return model.to(device=choose_device(device), dtype=choose_dtype(dtype)).eval()
