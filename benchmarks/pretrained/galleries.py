"""Galleries whose descriptions are fewer, shorter or wrong, all drawn by one seed."""

import random

import numpy as np
from datasets import Dataset

from benchmarks.study.data import described_half, half_described, with_descriptions


def disturbed(rows: Dataset) -> dict[str, Dataset]:
    """Return galleries of the same images by what is wrong with their descriptions."""
    descriptions = dict(zip(rows["id"], rows["description"]))
    first = {name: text.split("\n")[0] for name, text in descriptions.items()}
    galleries = {
        "one sentence": with_descriptions(rows, first),
        "half described": half_described(rows),
        "none described": with_descriptions(rows, {}),
    }
    for percent in (10, 30):
        galleries[f"{percent} % wrong"] = with_descriptions(rows, exchanged(descriptions, percent / 100))
    return galleries


def exchanged(descriptions: dict[str, str], share: float, seed: int = 0) -> dict[str, str]:
    """Return descriptions of which a share has gone round among its images."""
    names = sorted(random.Random(seed).sample(sorted(descriptions), round(share * len(descriptions))))
    moved = dict(zip(names, [*names[1:], *names[:1]]))
    return {name: descriptions[moved.get(name, name)] for name in descriptions}


def undescribed(count: int, seed: int = 0) -> np.ndarray:
    """Return which of `count` images `half_described` leaves without a description."""
    return ~np.isin(np.arange(count), list(described_half(count, seed)))
