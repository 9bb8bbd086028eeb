"""The rows of the study: which recipe on which data, with which settings, and for how many seeds."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leccr.recipes import Recipe, load_recipe

SENTENCES = {"slot_source": "sentences", "description_fusion": True, "fused_weight": 1.0, "learn_alpha": True}
# Trained as they are: what the towers `small` say would only be repeated here.
SLOTS = {"slot_layers": 1, "interaction_layers": 1, "slot_weight": 0.1, "softened_weight": 0.0}
PUBLISHED = {"slot_anchor": "none", "description_gradient": False}
ATTENTION = {**SLOTS, "slot_anchor": "text", "slot_source": "attention", "description_fusion": False}
SENTENCE_SLOTS = {**SLOTS, **SENTENCES, "alpha": 0.6}
PARTS = {"learn_alpha": False, "fused_weight": 0.0, "slot_weight": 1.0}
TRANSFER = {"transfer_temperature": 0.03}
FIVE = ("cs", "de", "fr", "zh")


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        block: Table that it belongs to.
        name: What the table calls it; block and name together are unique.
        recipe_name: The recipe.
        model: Changes to the model.
        training: Changes to the training.
        languages: Target languages.
        teacher: What the teacher of the transfer pairs: `translations`, or captions of one `image`; None for none.
        seeds: How many of the seeds asked for are run; None means all.
    """

    block: str
    name: str
    recipe_name: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ("zh",)
    teacher: str | None = None
    seeds: int | None = None

    @property
    def key(self) -> str:
        """Block and name as one word, for files."""
        return "".join(letter if letter.isalnum() else "-" for letter in f"{self.block}-{self.name}")

    def recipe(self, towers: Path, seed: int = 0) -> Recipe:
        """Return the recipe over the study's towers with this row's changes."""
        recipe = load_recipe(self.recipe_name, towers=towers)
        return dataclasses.replace(
            recipe,
            model={**recipe.model, **self.model},
            training={**recipe.training, **self.training},
            languages=list(self.languages),
            seed=seed,
        )


def _methods() -> list[Row]:
    rows = [
        ("image alone", "dual-encoder", {}, None),
        ("description alone", "description-only", {}, None),
        ("late fusion", "late-fusion", {}, None),
        ("published slots", "leccr", {**SLOTS, **PUBLISHED, "slot_source": "attention"}, None),
        ("attention slots", "leccr", ATTENTION, None),
        ("sentence slots", "leccr", SENTENCE_SLOTS, None),
        ("attention and sentence slots", "leccr", {**ATTENTION, "slot_source": "both", "fused_weight": 1.0}, None),
        ("cl2cm", "cl2cm", TRANSFER, "image"),
        ("leccr-cl2cm", "leccr-cl2cm", {**SENTENCE_SLOTS, **TRANSFER}, "image"),
    ]
    return [Row("methods", name, recipe, model, teacher=teacher) for name, recipe, model, teacher in rows]


def _transfer() -> list[Row]:
    settings = [
        *((f"weight 1, temperature {t}", {"transfer_temperature": t}, "image") for t in (0.02, 0.05, 0.1)),
        *((f"weight {w}, temperature 0.03", {"transfer_weight": w, **TRANSFER}, "image") for w in (0.3, 2.0)),
        ("weight 1, temperature 0.03, teacher of translations", TRANSFER, "translations"),
    ]
    return [Row("transfer", f"cl2cm, {name}", "cl2cm", model, teacher=who, seeds=1) for name, model, who in settings]


def _slots() -> list[Row]:
    settings: list[tuple[str, dict[str, Any]]] = [
        *((f"sentence slots, alpha {a}", {**SENTENCE_SLOTS, "alpha": a, "learn_alpha": False}) for a in (0.4, 0.8)),
        ("sentence slots, trained on their parts", {**SENTENCE_SLOTS, **PARTS}),
        *((f"attention slots, K = {count}", {**ATTENTION, "num_slots": count}) for count in (1, 2, 8)),
        ("attention slots, trained on the fused score", {**ATTENTION, "fused_weight": 1.0}),
        ("sentence slots, last layer only", {**SENTENCE_SLOTS, "text_layers": None}),
        ("sentence slots, without trust", {**SENTENCE_SLOTS, "description_trust": False, "description_noise": 0.0}),
        ("sentence slots, nothing for images alone", {**SENTENCE_SLOTS, "image_only_weight": 0.0}),
    ]
    return [Row("slots", name, "leccr", model, seeds=1) for name, model in settings]


def _languages() -> list[Row]:
    codes = {"five languages": FIVE, **{f"{code} alone": (code,) for code in ("cs", "de", "fr")}}
    return [
        Row(
            "languages",
            f"sentence slots, {name}",
            "leccr",
            SENTENCE_SLOTS,
            languages=chosen,
            seeds=1,
        )
        for name, chosen in codes.items()
    ]


ROWS = [*_methods(), *_transfer(), *_slots(), *_languages()]
COMPARISONS = [
    ("sentence slots", "late fusion"),
    ("sentence slots", "description alone"),
    ("late fusion", "description alone"),
    ("attention slots", "late fusion"),
    ("published slots", "late fusion"),
    ("attention and sentence slots", "sentence slots"),
    ("cl2cm", "image alone"),
    ("leccr-cl2cm", "sentence slots"),
    ("leccr-cl2cm", "late fusion"),
]
"""Pairs of rows of the block "methods" whose difference is asked for."""
