"""Machine translations that are trusted by how much the untrained text tower finds them like their originals."""

from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import normalize

from leccr.models.build import build_processor
from leccr.recipes import Recipe
from processing.caption_collator import tokenize
from processing.text_states import TextStates

BATCH = 2000


def likeness(rows: Dataset, recipe: Recipe, states: TextStates) -> list[list[float | None]]:
    """Return, for each row, the cosine of each translation and its original; None where it translates nothing,
    or into a language that the recipe does not learn.

    Args:
        rows: Rows with source and target captions.
        recipe: Says how texts become tokens.
        states: What the text tower says of them. They are centred by language, or all texts of one would be alike.
    """
    processor = build_processor(recipe, [])
    pairs: dict[str, list[tuple[int, int, str, str]]] = {}
    found: list[list[float | None]] = []
    for place, row in enumerate(rows.select_columns(["source_captions", "target_captions"])):
        found.append([None] * len(row["target_captions"]))
        for number, target in enumerate(row["target_captions"]):
            if target["source_number"] is not None and target["language"] in (recipe.languages or []):
                original = row["source_captions"][target["source_number"]]
                pairs.setdefault(target["language"], []).append((place, number, original, target["text"]))
    for own in pairs.values():
        originals, translations = (_centred(processor, states, [each[side] for each in own]) for side in (2, 3))
        for (place, number, *_), cosine in zip(own, (originals * translations).sum(dim=1).tolist()):
            found[place][number] = cosine
    return found


def _centred(processor: Any, states: TextStates, texts: list[str]) -> Tensor:
    """Return unit vectors (T, H) of texts."""
    parts = []
    for start in range(0, len(texts), BATCH):
        inputs = tokenize(processor, texts[start : start + BATCH])
        found, known = states.look_up(inputs["input_ids"], inputs["attention_mask"])
        assert known.all()
        parts.append(found[:, 0])
    vectors = torch.cat(parts)
    return normalize(vectors - vectors.mean(dim=0), dim=1)


def trusted(rows: Dataset, cosines: list[list[float | None]], worst: float | None) -> Dataset:
    """Return rows without the worst translations, or with weights.

    Args:
        rows: Rows with target captions.
        cosines: What `likeness` returns of them.
        worst: Share of the translations that is left out, where others of the same image and language are left; with
            None all stay, and those below the median get a weight: their cosine relative to it.
    """
    known = torch.tensor([cosine for own in cosines for cosine in own if cosine is not None])
    limit = float(known.quantile(0.5 if worst is None else worst))

    def weigh(row: dict[str, Any], place: int) -> dict[str, Any]:
        targets = list(zip(row["target_captions"], cosines[place]))
        if worst is None:
            weights = [1.0 if cosine is None else min(1.0, max(0.0, cosine / limit)) for _, cosine in targets]
            return {"target_captions": [{**target, "weight": own} for (target, _), own in zip(targets, weights)]}
        kept = [target for target, cosine in targets if cosine is None or cosine >= limit]
        languages = {target["language"] for target in kept}
        rest = [target for target, _ in targets if target["language"] not in languages]
        return {"target_captions": [*kept, *rest]}

    return rows.map(weigh, with_indices=True, features=rows.features, desc="Trusting translations")
