"""What a recipe is: a method, the towers under it, how it is trained, and on what."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ..errors import UserError
from .fields import check_fields, check_names, read_value, training_fields
from .yaml_text import to_yaml

RECIPE_FILE = "recipe.yaml"
# What the command line may set besides the fields of TrainingArguments.
_OWN_FIELDS: dict[str, Any] = {"new_layers_learning_rate": float | None}


class Change(NamedTuple):
    """A setting for which the towers' value replaces the recipe's.

    Attributes:
        setting: Its key, after that of its section: `model.slot_layers`.
        recipe: Value that the recipe's file gives.
        towers: Value that the towers give, which is used.
    """

    setting: str
    recipe: Any
    towers: Any

    def __str__(self) -> str:
        return f"{self.setting}: {self.recipe} -> {self.towers}"


@dataclass(frozen=True)
class Recipe:
    """One method and how it is trained.

    Attributes:
        name: Short name; that of a built-in recipe is its file's name.
        description: One sentence for `leccr recipes`.
        network: `"cross-modal"` for a `modeling_leccr.LeccrModel`, or `"cross-lingual"` for a text-only
            `modeling_leccr.CrossLingualModel`, for which whatever concerns pictures is left out.
        vision: Vision tower: a checkpoint's name or folder, a configuration (`model_type` and its fields) to train
            from scratch, or None for visual features computed ahead.
        text: Text tower: likewise a name, a folder or a configuration.
        tokenizer: Name or folder of a tokenizer, `"learned"` for one trained on the data, or None for the text
            tower's own.
        warm_start: Folder or name of a trained model with the same text tower, whose weights and tokenizer are the
            start, or None.
        dual_encoder: Name or folder of a dual encoder of transformers, such as CLIP or SigLIP, to start from in place
            of towers, tokenizer and image processor, or None. `slot_anchor: image` starts at its scores.
        prune_tokenizer: Keep only the word pieces that occur in the training texts.
        lower_case: Share of the training captions, from 0 to 1, that the model sees in lower case; a learned vocabulary
            has their pieces, too. 1 makes a learned vocabulary ignore case, in queries as well. None is 1 for
            `tokenizer: learned`, and 0 for pretrained ones, which know words in each case.
        image_processor: Name or folder, or settings of a CLIP image processor, or None for the vision tower's own.
        processor: Lengths, prefixes and the like, as `processing.LeccrProcessor` takes them.
        augmentation: Settings of `processing.images.RandomCrop`; empty trains on the pictures as they are.
        model: Fields of `modeling_leccr.LeccrConfig`, or of `modeling_leccr.CrossLingualConfig`.
        training: Fields of `transformers.TrainingArguments`.
        new_layers_learning_rate: Learning rate of the layers that are not part of a pretrained tower; None is
            `learning_rate` for all.
        lora: Rank of LoRA's updates of the towers, whose own weights are fixed then; 0 trains without LoRA.
        data: Folder that `leccr prepare` wrote, or `scenes`; None leaves it to the command line.
        languages: Target languages; None means all that the training data have.
        streaming: Read the training rows from their files, here or elsewhere, as the training comes to them, so that
            they need fit neither into memory nor on the disk.
        shuffle_buffer: Rows that are shuffled together in each process that reads, with `streaming`.
        skip_broken: Leave out pictures and videos that cannot be decoded.
        seed: Of the weights, the order of the data, the drawn captions and dropout.
        changes: Settings for which the towers' value replaced the recipe's. Not part of a file.
    """

    name: str
    description: str = ""
    network: Literal["cross-modal", "cross-lingual"] = "cross-modal"
    vision: str | dict[str, Any] | None = None
    text: str | dict[str, Any] | None = None
    tokenizer: str | None = None
    prune_tokenizer: bool = False
    lower_case: float | None = None
    warm_start: str | None = None
    dual_encoder: str | None = None
    image_processor: str | dict[str, Any] | None = None
    processor: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    new_layers_learning_rate: float | None = None
    lora: int = 0
    data: str | None = None
    languages: list[str] | None = None
    streaming: bool = False
    shuffle_buffer: int = 1000
    skip_broken: bool = False
    seed: int = 0
    changes: tuple[Change, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.lower_case_share <= 1:
            raise UserError(f"lower_case in recipe {self.name} has to be from 0 to 1, but is {self.lower_case}.")

    @property
    def lower_case_share(self) -> float:
        """Share of the training captions in lower case, with the default filled in."""
        if self.lower_case is None:
            return float(self.tokenizer == "learned")
        return self.lower_case

    def to_yaml(self) -> str:
        """Return the recipe as the text of a file that `load_recipe` reads as the same recipe.

        Nothing is left to other files; comments say what the towers changed.
        """
        content = {name: getattr(self, name) for name in RECIPE_FIELDS}
        content = {name: value for name, value in content.items() if value or name not in SECTIONS}
        comments = "".join(f"#   {change}\n" for change in self.changes)
        title = "# The towers replaced these settings of the recipe:\n" if comments else ""
        return title + comments + to_yaml({name: value for name, value in content.items() if value is not None})


RECIPE_FIELDS = {item.name: item.type for item in dataclasses.fields(Recipe) if item.name != "changes"}
"""Keys of a recipe's file with their types."""
SECTIONS = ("model", "training", "processor", "augmentation")
"""Those that hold keys of their own, so that two files can each say a part."""


def override_training(recipe: Recipe, overrides: Mapping[str, str]) -> Recipe:
    """Return the recipe with training settings replaced, as they were written on the command line.

    Args:
        recipe: The recipe to start from; it is not changed.
        overrides: Field of `TrainingArguments`, or `new_layers_learning_rate`, to its value as YAML text.

    Raises:
        UserError: A field does not exist, or its value is of the wrong kind.
    """
    if not overrides:
        return recipe
    fields = {**training_fields(), **_OWN_FIELDS}
    check_names(overrides, fields, "on the command line")
    values = {name: read_value(name, text, fields[name]) for name, text in overrides.items()}
    check_fields(values, fields, "on the command line")
    own = {name: values.pop(name) for name in _OWN_FIELDS if name in values}
    return dataclasses.replace(recipe, training={**recipe.training, **values}, **own)
