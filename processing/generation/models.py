"""Loading a generative model of transformers and drawing text from it."""

from typing import Any

import torch

from ..device import choose_device, choose_dtype
from ..errors import UserError
from ..pretrained import load_pretrained
from .answers import Answer, Decoding


def load(auto_class: Any, name: str, hint: str = "", **options: Any) -> Any:
    """Call `auto_class.from_pretrained`.

    Raises:
        UserError: If there is no such model, it is of another kind, or it needs a library that is not there; the
            message ends with `hint`.
    """
    try:
        return load_pretrained(auto_class, name, **options)
    except UserError:
        raise
    # AttributeError is what transformers 5 gives for a processor whose library is missing.
    except (AttributeError, ImportError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"Cannot load {name} as {auto_class.__name__}: {reason} {hint}".rstrip()) from error


def load_model(
    auto_class: Any, name: str, revision: str | None, dtype: str, device: str | torch.device, **options: Any
) -> Any:
    """Load a model for generation.

    Args:
        auto_class: An Auto class of transformers.
        name: Folder or Hub name.
        revision: Branch, tag or commit on the Hub.
        dtype: As for `processing.device.choose_dtype`.
        device: As for `processing.device.choose_device`; but `auto` spreads a model that is too large for one GPU over
            all of them.
        **options: As for `load`.

    Raises:
        UserError: If there is no such device or precision, or the model cannot be loaded so.
    """
    chosen = choose_device(device)
    device_map = "auto" if device == "auto" else chosen
    model = load(
        auto_class, name, revision=revision, dtype=choose_dtype(dtype) or "auto", device_map=device_map, **options
    )
    return model.eval()


def generate(model: Any, inputs: Any, decoding: Decoding, **options: Any) -> torch.Tensor:
    """Return what `model.generate` does, (B, length) token numbers.

    Raises:
        UserError: If the memory does not suffice.
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
        raise UserError("The memory of the device does not suffice; use a smaller --batch-size.") from error


def read_answers(model: Any, tokenizer: Any, tokens: torch.Tensor, decoding: Decoding, forced: int = 0) -> list[Answer]:
    """Return the texts of generated tokens.

    Args:
        model: The model that generated them.
        tokenizer: Its tokenizer.
        tokens: (B, length) tokens that the model added.
        decoding: How they were drawn. An answer with the largest number of tokens counts as cut off even if it ends
            with an end token, since some models (Marian) are configured to force one there.
        forced: Tokens at the beginning that the model was made to say and that are not part of the text.
    """
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    ends = set(ends) if isinstance(ends, list) else {ends}
    rows = tokens.tolist()
    texts = tokenizer.batch_decode([row[forced:] for row in rows], skip_special_tokens=True)
    return [
        Answer(text, finished=not ends.isdisjoint(row[: decoding.max_new_tokens - 1])) for text, row in zip(texts, rows)
    ]


def revision_of(model: Any, asked: str | None) -> str | None:
    """Return the commit that a model was loaded from; a folder has none."""
    return getattr(model.config, "_commit_hash", None) or asked
