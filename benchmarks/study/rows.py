"""The rows of the study: which recipe on which data, with which settings, and for how many seeds."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leccr.recipes import Recipe, load_recipe

TOWERS = Path(__file__).parent.parent / "mobilenet.yaml"
# Chosen on validation: shallow interactions, more weight on the slots, hard targets.
ANCHORED = {"slot_layers": 1, "interaction_layers": 1, "slot_weight": 0.1, "softened_weight": 0.0}
PUBLISHED = {"slot_anchor": "none", "description_gradient": False}
METHODS: dict[str, dict[str, Any]] = {
    "dual-encoder": {},
    "late-fusion": {},
    "leccr": ANCHORED,
    "cl2cm": {},
    "leccr-cl2cm": ANCHORED,
    "cross-lingual": {},
}


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        block: Table that it belongs to.
        name: What the table calls it; block and name together are unique.
        method: Key of `METHODS`: the recipe, and the settings that the study gives it everywhere.
        data: Key of `data.PREPARATIONS`.
        descriptions: `reserved`, `none` or `captioner`.
        model: Further changes to the model.
        training: Changes to the training.
        text: Changes to the text tower.
        languages: Target languages.
        weighting: Weigh machine translations by their agreement.
        varied: Train on randomly cropped copies of the pictures, too.
        teacher_data: Data set that the teacher learns from, if it is not the row's own.
        warm_start: Start the text tower from the teacher.
        seeds: How many of the seeds asked for are run; None means all.
    """

    block: str
    name: str
    method: str
    data: str = "both"
    descriptions: str = "reserved"
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = ("zh",)
    weighting: bool = False
    varied: bool = False
    teacher_data: str | None = None
    warm_start: bool = False
    seeds: int | None = None

    @property
    def needs_teacher(self) -> bool:
        return self.warm_start or self.method.endswith("cl2cm")

    def recipe(self, teacher: Path | None = None) -> Recipe:
        """Return the recipe with the study's towers and this row's changes."""
        recipe = load_recipe(self.method, towers=TOWERS)
        return dataclasses.replace(
            recipe,
            model={**recipe.model, **METHODS[self.method], **self.model},
            training={**recipe.training, **self.training},
            text={**recipe.text, **self.text},
            warm_start=str(teacher) if self.warm_start else None,
            languages=list(self.languages),
        )


FIVE = ("cs", "de", "fr", "zh")
# Half of the other rows' training, for comparisons among themselves.
SHORT = {"num_train_epochs": 15}
BEYOND: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("leccr, K = 4", {}, {}),
    *((f"leccr, K = {count}", {"num_slots": count}, {}) for count in (1, 2, 8)),
    ("leccr, description dropout 0", {"description_dropout": 0.0}, {}),
    ("leccr, description dropout 0.3", {"description_dropout": 0.3}, {}),
    ("leccr, softened matching", {"softened_weight": 0.5}, {}),
    ("leccr, softened, no temperature", {"softened_weight": 0.5, "teacher_temperature": 1.0}, {}),
    ("leccr, signed diversity", {"signed_diversity": True}, {}),
    ("leccr, batch 256", {}, {"per_device_train_batch_size": 256}),
    ("leccr, batch 1024", {}, {"per_device_train_batch_size": 1024}),
]
# What helped the fast baseline without descriptions: all five captions, cropped copies, longer training.
ALONE: dict[str, Any] = {
    "data": "all captions",
    "descriptions": "none",
    "varied": True,
    "model": {"token_dropout": 0.35},
    "training": {"num_train_epochs": 40},
}
WIDE: dict[str, Any] = {"text": {"d_model": 512}}
ROWS = [
    *(Row("recipes", method, method) for method in ("dual-encoder", "late-fusion", "leccr", "cl2cm", "leccr-cl2cm")),
    Row("recipes", "leccr, published slots", "leccr", model=PUBLISHED, seeds=1),
    Row("descriptions", "leccr, none", "leccr", descriptions="none"),
    Row("descriptions", "late-fusion, captioner", "late-fusion", descriptions="captioner"),
    Row("descriptions", "leccr, captioner", "leccr", descriptions="captioner"),
    Row(
        "descriptions",
        "leccr, captioner, gates from zero",
        "leccr",
        descriptions="captioner",
        model={"slot_anchor": "image"},
    ),
    Row("descriptions", "leccr-cl2cm, captioner", "leccr-cl2cm", descriptions="captioner", seeds=1),
    Row("translations", "leccr, Baidu", "leccr", data="baidu", seeds=1),
    Row("translations", "leccr, Google", "leccr", data="google", seeds=1),
    Row("translations", "leccr, both, weighted by agreement", "leccr", weighting=True, seeds=1),
    Row("best", "dual-encoder, all captions, varied", "dual-encoder", **ALONE),
    Row("best", "dual-encoder, all captions, varied, wide", "dual-encoder", **ALONE, **WIDE, seeds=1),
    Row("best", "cl2cm, all captions, varied, warm start", "cl2cm", **ALONE, warm_start=True, seeds=1),
    Row("best", "leccr, varied", "leccr", varied=True, seeds=1),
    Row("best", "leccr, varied, wide", "leccr", varied=True, **WIDE, seeds=1),
    Row("best", "leccr-cl2cm, varied, warm start", "leccr-cl2cm", varied=True, warm_start=True, seeds=1),
    Row("teacher", "cl2cm, teacher of all captions", "cl2cm", teacher_data="all captions", seeds=1),
    Row("teacher", "cl2cm, teacher of other captions", "cl2cm", teacher_data="captions 3 and 4", seeds=1),
    Row("teacher", "leccr-cl2cm, teacher of other captions", "leccr-cl2cm", teacher_data="captions 3 and 4", seeds=1),
    Row("teacher", "cl2cm, weight 0.3", "cl2cm", model={"transfer_weight": 0.3}, seeds=1),
    Row("teacher", "cl2cm, warm start", "cl2cm", warm_start=True, seeds=1),
    Row("teacher", "leccr-cl2cm, warm start", "leccr-cl2cm", warm_start=True),
    Row("teacher", "leccr, warm start", "leccr", warm_start=True),
    *(
        Row("beyond", name, "leccr", model=model, training={**SHORT, **training}, seeds=1)
        for name, model, training in BEYOND
    ),
    *(
        Row(
            "five languages", f"leccr, {name}", "leccr", data="five languages", languages=codes, training=SHORT, seeds=1
        )
        for name, codes in {"five languages": FIVE, **{f"{code} alone": (code,) for code in FIVE}}.items()
    ),
]
