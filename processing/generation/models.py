"""Loading a generative model of transformers and drawing text from it."""

from typing import Any

import torch

from .answers import Decoding

DTYPES = ("auto", "float32", "bfloat16", "float16")


def load(auto_class: Any, name: str, **options: Any) -> Any:
    """Call ``auto_class.from_pretrained``.

    Raises:
        ValueError: If there is no such model, or it is of another kind.
    """
    try:
        return auto_class.from_pretrained(name, **options)
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"Cannot load {name} as {auto_class.__name__}: {reason}") from error


def load_model(auto_class: Any, name: str, revision: str | None, dtype: str, device: str) -> Any:
    """Load a model for generation.

    Args:
        auto_class: An Auto class of transformers.
        name: Folder or Hub name.
        revision: Branch, tag or commit on the Hub.
        dtype: One of ``DTYPES``; ``auto`` is what the checkpoint was saved in.
        device: A torch device, or ``auto``, which spreads a model that is too large for one over all of them.

    Raises:
        ValueError: If it cannot be loaded so.
    """
    if dtype not in DTYPES:
        raise ValueError(f"There is no dtype {dtype}; use {', '.join(DTYPES)}.")
    model = load(auto_class, name, revision=revision, dtype=dtype, device_map=device)
    return model.eval()


def generate(model: Any, inputs: Any, decoding: Decoding, **options: Any) -> torch.Tensor:
    """Return what ``model.generate`` does, (B, length) token numbers.

    Raises:
        ValueError: If the memory does not suffice.
    """
    if decoding.temperature > 0:
        torch.manual_seed(decoding.seed)
        options |= {"do_sample": True, "temperature": decoding.temperature, "num_beams": 1}
    else:
        # Without these, a checkpoint's own sampling settings would each give a warning.
        options |= {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    try:
        with torch.inference_mode():
            return model.generate(**inputs, max_new_tokens=decoding.max_new_tokens, **options)
    except torch.OutOfMemoryError as error:
        raise ValueError("The memory of the device does not suffice; use a smaller --batch-size.") from error


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Return the tokens that end an answer."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}


def revision_of(model: Any, asked: str | None) -> str | None:
    """Return the commit that a model was loaded from; a folder has none."""
    return getattr(model.config, "_commit_hash", None) or asked
