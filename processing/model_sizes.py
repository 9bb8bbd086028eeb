"""Sizes in a model's configuration that no model has, and building which would take hours or all memory."""

import re
from collections.abc import Iterator
from typing import Any

from .errors import UserError

# Far above the largest published models: (what the name of a field ends in, the most).
_LIMITS = (
    (re.compile(r"(layers?|depths?|blocks|stages|n_layer|heads|n_head|experts|slots|frames)$"), 4096),
    (re.compile(r"(vocab_size|image_size|positions?|position_embeddings|length)$"), 2**24),
    (re.compile(r"(size|dim|width|channels|features|d_model|d_ff|d_kv|n_embd|filters|rank)$"), 2**18),
)


def check_sizes(fields: Any, subject: str) -> None:
    """Check a configuration, and those in it.

    Args:
        fields: A configuration as a dictionary.
        subject: What has it, for the message, such as a file.

    Raises:
        UserError: If a size is larger than that of any model.
    """
    for name, value in _integers(fields, "", 0):
        for ending, most in _LIMITS:
            if ending.search(name):
                if abs(value) > most:
                    raise UserError(f"{subject} says {name}: {value}, but at most {most:,} is possible; correct it.")
                break


def _integers(value: Any, name: str, depth: int) -> Iterator[tuple[str, int]]:
    if depth > 20:
        return
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _integers(below, str(key), depth + 1)
    elif isinstance(value, (list, tuple)) and len(value) < 1000:
        for below in value:
            yield from _integers(below, name, depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, value
