"""How files are changed at random, and what reading them may do."""

import random
from collections.abc import Callable, Iterator
from typing import Any

from processing.errors import UserError

NUMBERS = (0, 1, 127, 128, 255)


def harmless(read: Callable[..., Any], *arguments: Any) -> Any:
    """Return what was read, or None where that was refused; any other exception is a fault."""
    try:
        return read(*arguments)
    except (UserError, OSError):
        return None


def flipped(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield `count` copies with some bytes changed, put in, left out, or the end cut off; the same in every run."""
    generator = random.Random(seed)
    for _ in range(count):
        copy = bytearray(content)
        for _ in range(generator.choice((1, 1, 2, 8, 32))):
            position = generator.randrange(len(copy)) if copy else 0
            kind = generator.random()
            if kind < 0.5 and copy:
                copy[position] ^= 1 << generator.randrange(8)
            elif kind < 0.8 and copy:
                copy[position] = generator.choice(NUMBERS)
            elif kind < 0.9:
                copy[position:position] = bytes(generator.choices(range(256), k=generator.randrange(1, 9)))
            elif kind < 0.97:
                del copy[position : position + generator.randrange(1, 9)]
            else:
                del copy[position:]
        yield bytes(copy)
