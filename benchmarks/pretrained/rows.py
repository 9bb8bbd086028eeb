"""The rows of the study: which recipe on which data, with which settings, and for how many seeds."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leccr.recipes import Recipe, load_recipe

# Chosen on validation, for all rows alike.
COMMON = {
    "source_target_weight": 0.5,
    "softened_weight": 0.0,
    "image_only_weight": 1.0,
    "description_dropout": 0.3,
}
SLOTS = {"slot_layers": 1, "interaction_layers": 1, "slot_weight": 0.1, "slot_source": "attention"}
PUBLISHED = {**SLOTS, "slot_anchor": "none", "description_gradient": False}
ATTENTION = {**SLOTS, "slot_anchor": "text", "fused_weight": 1.0}
SENTENCES = {
    "slot_source": "sentences",
    "description_fusion": True,
    "slot_weight": 0.1,
    "fused_weight": 1.0,
    "alpha": 0.6,
    "learn_alpha": True,
}
# What the baseline with descriptions does best with, where every image is described.
DESCRIBED = {"image_only_weight": 0.2, "description_dropout": 0.1}
# No slot is searched with, so that only the mean of the sentences' vectors is left of the description.
AVERAGED = {**SENTENCES, "alpha": 1.0, "learn_alpha": False, "fused_weight": 0.0, "slot_weight": 0.0}
PARTS = {"learn_alpha": False, "fused_weight": 0.0, "slot_weight": 1.0}
TRUST = {"description_trust": True, "description_noise": 0.1}
TRANSFER = {"transfer_temperature": 0.2}
SHARP = {"transfer_temperature": 0.05}
# The last weights are measured, so that no figure is that of the epoch which has the best one.
TO_THE_END = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
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
        translations: How machine translations are trusted: `all`, `weighed`, or with the share of the worst left out.
        seeds: How many of the seeds asked for are run; None means all.
    """

    block: str
    name: str
    recipe_name: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ("zh",)
    teacher: str | None = None
    translations: str | float = "all"
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
            model={**recipe.model, **COMMON, **self.model},
            training={**recipe.training, **TO_THE_END, **self.training},
            languages=list(self.languages),
            seed=seed,
        )


def _methods() -> list[Row]:
    rows: list[tuple[str, str, dict[str, Any], str | None]] = [
        ("image alone", "dual-encoder", {}, None),
        ("description alone", "description-only", {}, None),
        ("late fusion", "late-fusion", {}, None),
        ("late fusion, for described images", "late-fusion", DESCRIBED, None),
        ("late fusion of averaged sentences", "late-fusion", AVERAGED, None),
        ("published slots", "leccr", PUBLISHED, None),
        ("attention slots", "leccr", ATTENTION, None),
        ("sentence slots", "leccr", SENTENCES, None),
        ("attention and sentence slots", "leccr", {**ATTENTION, "slot_source": "both"}, None),
        ("cl2cm", "cl2cm", TRANSFER, "image"),
        ("leccr-cl2cm", "leccr-cl2cm", {**SENTENCES, **TRANSFER}, "image"),
    ]
    return [Row("methods", name, recipe, model, teacher=teacher) for name, recipe, model, teacher in rows]


def _transfer() -> list[Row]:
    settings: list[tuple[str, dict[str, Any], str]] = [
        *((f"weight 1, temperature {t}", {"transfer_temperature": t}, "image") for t in (0.02, 0.03, 0.05, 0.1, 0.5)),
        *((f"weight {w}, temperature 0.05", {"transfer_weight": w, **SHARP}, "image") for w in (0.1, 0.3)),
        ("weight 3, temperature 0.1", {"transfer_weight": 3.0, "transfer_temperature": 0.1}, "image"),
        *((f"weight {w}, temperature 0.2", {"transfer_weight": w, **TRANSFER}, "image") for w in (0.3, 3.0)),
        ("weight 1, temperature 0.2, teacher of translations only", TRANSFER, "translations"),
    ]
    return [Row("transfer", f"cl2cm, {name}", "cl2cm", model, teacher=who, seeds=1) for name, model, who in settings]


def _slots() -> list[Row]:
    settings: list[tuple[str, dict[str, Any]]] = [
        *((f"sentence slots, alpha {a}", {**SENTENCES, "alpha": a, "learn_alpha": False}) for a in (0.3, 0.8)),
        ("sentence slots, trained on their parts", {**SENTENCES, **PARTS}),
        ("sentence slots, with trust", {**SENTENCES, **TRUST}),
        ("sentence slots, nothing for images alone", {**SENTENCES, "image_only_weight": 0.0}),
        *((f"attention slots, K = {count}", {**ATTENTION, "num_slots": count}) for count in (1, 2, 8)),
        ("attention slots, trained on their parts", {**ATTENTION, "fused_weight": 0.0}),
    ]
    return [Row("slots", name, "leccr", model, seeds=1) for name, model in settings]


def _languages() -> list[Row]:
    alone = [(f"{code} alone", (code,), 30) for code in ("cs", "de", "fr")]
    # Each step draws one language for each image, so that of five each is seen less often.
    together = [("five languages", FIVE, 30), ("five languages, 60 epochs", FIVE, 60)]
    return [
        Row(
            "languages",
            f"sentence slots, {name}",
            "leccr",
            SENTENCES,
            {"num_train_epochs": epochs},
            languages,
            seeds=1,
        )
        for name, languages, epochs in [*together, *alone]
    ]


def _translations() -> list[Row]:
    ways: list[tuple[str, str | float]] = [
        *((f"without the worst {share:.0%}".replace("%", " %"), share) for share in (0.1, 0.2)),
        ("weighed by likeness", "weighed"),
    ]
    return [
        Row("translations", f"sentence slots, translations {name}", "leccr", SENTENCES, translations=way, seeds=1)
        for name, way in ways
    ]


ROWS = [*_methods(), *_transfer(), *_slots(), *_translations(), *_languages()]
COMPARISONS = [
    ("sentence slots", "late fusion"),
    ("sentence slots", "late fusion, for described images"),
    ("sentence slots", "late fusion of averaged sentences"),
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
