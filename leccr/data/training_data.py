"""What a recipe is trained on: opened and checked once, before anything is built."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from processing.caption_embeddings import EMBEDDINGS_FILE, CaptionEmbeddings
from processing.captions import languages_of, undrawable
from processing.features import FeatureFile
from processing.screen import shown
from processing.streaming import StreamedRows
from processing.text_states import TextStates

from ..errors import UserError
from ..recipes.recipe import Recipe
from .features import choose_features, fits_recipe
from .loading import SCENES, for_videos, has_values, load_data, without_broken_pictures
from .streamed import open_streamed
from .text_states import choose_text_states


@dataclass(frozen=True)
class TrainingData:
    """Rows to train and validate on, in the languages of the run.

    Attributes:
        splits: Rows by split; `train` and `validation` are among them.
        source: Language of the source captions.
        languages: Target languages.
        features: Visual features computed ahead, used in place of the pictures, or None.
        embeddings: A teacher's embeddings of the training captions, or None.
        texts: States of the texts in place of frozen layers of the text tower, or None.
        left_out: Why training rows were left out, and how many.
    """

    splits: DatasetDict
    source: str
    languages: list[str]
    features: FeatureFile | None = None
    embeddings: CaptionEmbeddings | None = None
    texts: TextStates | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def train(self) -> Dataset:
        """Rows to train on."""
        return self.splits["train"]

    @property
    def validation(self) -> Dataset:
        """Rows by which the best checkpoint is chosen."""
        return self.splits["validation"]

    @property
    def used(self) -> dict[str, Dataset]:
        """Rows that decide what the model becomes, by split."""
        return {"train": self.train, "validation": self.validation}

    @property
    def evaluated(self) -> list[str]:
        """Languages of the validation, the source language first."""
        return [self.source, *self.languages]


def open_training_data(recipe: Recipe) -> TrainingData:
    """Open and check the data that a recipe names.

    Raises:
        UserError: If the recipe cannot be trained on them; see `training_data`.
    """
    data = recipe.data or SCENES
    if recipe.streaming:
        return training_data(recipe, open_streamed(recipe))
    splits, _ = load_data(data)
    features = None
    if data != SCENES:
        features = choose_features(data, fits_recipe(for_videos(recipe, splits)), told=True)
    if recipe.skip_broken and recipe.network == "cross-modal" and features is None:
        splits = DatasetDict({name: without_broken_pictures(rows, name) for name, rows in splits.items()})
    embeddings = None
    if needs_teacher(recipe, splits.get("train")) and (Path(data) / EMBEDDINGS_FILE).is_file():
        embeddings = CaptionEmbeddings(data)
    texts = None if data == SCENES else choose_text_states(data, recipe)
    return training_data(recipe, splits, features, embeddings, texts)


def training_data(
    recipe: Recipe,
    splits: Mapping[str, Dataset],
    features: FeatureFile | None = None,
    embeddings: CaptionEmbeddings | None = None,
    texts: TextStates | None = None,
) -> TrainingData:
    """Check that a recipe can be trained on these rows.

    Args:
        recipe: Says the languages, and what the rows need to have.
        splits: Rows in the project's schema by split.
        features: Visual features computed ahead.
        embeddings: A teacher's embeddings of the training captions.
        texts: States of the texts in place of frozen layers of the text tower.

    Raises:
        UserError: If a split or a language is missing, or the recipe needs translations or a teacher's embeddings and
            there are none. The message names the command that adds them.
        ValueError: If the embeddings are of other captions.
    """
    for split in ("train", "validation"):
        if not splits.get(split):
            raise UserError(f"The data have no rows in a {split} split, only in {_filled(splits)}; prepare one.")
    train = splits["train"]
    source = next(_values(train, "source_language"))
    existing = languages_of(train)
    chosen = existing if recipe.languages is None else recipe.languages
    languages = [language for language in dict.fromkeys(chosen) if language != source]
    _check_languages(recipe, existing, "training captions", languages)
    _check_languages(recipe, languages_of(splits["validation"]), "validation captions", languages)
    _check_visuals(recipe, train, features)
    usable, left_out = _usable(train, languages)
    splits = {**splits, "train": usable}
    _check_teaching(recipe, usable, languages, embeddings)
    return TrainingData(DatasetDict(splits), source, languages, features, embeddings, texts, left_out)


def needs_teacher(recipe: Recipe, train: Dataset | None) -> bool:
    """Return whether the recipe needs a teacher's embeddings that the rows themselves do not have."""
    columns = {"source_embeddings", "target_embeddings"}
    own = train is not None and columns <= set(train.column_names)
    return recipe.model.get("transfer_weight", 0) > 0 and not own


def missing_texts(recipe: Recipe, data: TrainingData) -> list[str]:
    """Return sentences about texts that the recipe learns from and the data lack, although it can be trained."""
    name, notes = recipe.data or "DATA", []
    total = len(data.train) + sum(data.left_out.values())
    for reason, count in data.left_out.items():
        notes.append(f"{count} of {total} training rows are left out: each has {reason}.")
    if not data.languages:
        notes.append(f"The data have captions in {data.source} only, so {_in_other_languages(recipe)} {name} --to de")
    if learns_from_descriptions(recipe) and not any(_values(data.train, "description")):
        notes.append(
            f"No training row has a description, which recipe {recipe.name} learns from, so it will find no more than "
            f"dual-encoder. Write descriptions with: leccr describe {name}"
        )
    return notes


def _in_other_languages(recipe: Recipe) -> str:
    """Return what a model that saw one language is able to do in others, up to the words `leccr translate`."""
    pretrained = recipe.dual_encoder or recipe.warm_start or (recipe.text if isinstance(recipe.text, str) else None)
    if pretrained is None:
        return "the model will search in no other language. Add translations with: leccr translate"
    known = f"the model will search in other languages as far as {pretrained} knows them"
    return f"{known}. Translations teach it more: leccr translate"


def _values(rows: Dataset | StreamedRows, name: str) -> Iterator[Any]:
    """Yield the values of a column, one after the other."""
    return (row[name] for row in rows.select_columns([name]))


def learns_from_descriptions(recipe: Recipe) -> bool:
    """Return whether a recipe's model reads descriptions."""
    slots, fusion = recipe.model.get("num_slots"), recipe.model.get("description_fusion")
    sentences = recipe.model.get("slot_source", "attention") != "attention"
    return recipe.network == "cross-modal" and (slots is None or slots > 0 or sentences or bool(fusion))


def _check_visuals(recipe: Recipe, train: Dataset, features: FeatureFile | None) -> None:
    """Raise UserError if there is nothing to see: neither pictures nor videos, nor features of the recipe's tower."""
    if recipe.network != "cross-modal" or features is not None:
        return
    if not any(has_values(train, name) for name in ("image", "video", "visual_features")):
        raise UserError(
            f"The data have no pictures or videos, and no features of the tower {recipe.vision} of recipe "
            f"{recipe.name}; add them, or choose the features' own tower with --towers."
        )


def _usable(train: Dataset, languages: list[str]) -> tuple[Dataset, dict[str, int]]:
    """Return the rows that training can draw from, and why others are left out.

    Raises:
        UserError: If there are none.
    """
    columns = ["id", "source_captions", "target_captions"]
    counts: Counter[str] = Counter()

    def is_drawable(row: dict[str, Any]) -> bool:
        reason = undrawable(row, languages)
        if reason is not None:
            counts[reason] += 1
        return reason is None

    if isinstance(train, StreamedRows):
        usable: Any = train.where(is_drawable, columns)
    else:
        kept = [index for index, row in enumerate(train.select_columns(columns)) if is_drawable(row)]
        usable = train if len(kept) == len(train) else train.select(kept)
    if not len(usable):
        first = train.select_columns(columns)[0]
        raise UserError(
            f"No training row can be used: row {shown(first['id'])} has {undrawable(first, languages)}; complete the "
            "captions."
        )
    return usable, dict(counts)


def _filled(splits: Mapping[str, Dataset]) -> str:
    return ", ".join(name for name, rows in splits.items() if len(rows)) or "none"


def _check_languages(recipe: Recipe, existing: list[str], what: str, languages: list[str]) -> None:
    missing = [language for language in languages if language not in existing]
    if not missing:
        return
    remedy = f"add some with: leccr translate {recipe.data or 'DATA'} --to {','.join(missing)}"
    if recipe.data == SCENES:
        remedy = "choose among these with --languages"
    raise UserError(f"There are no {what} in {', '.join(missing)}, only in {', '.join(existing)}; {remedy}.")


def _check_teaching(recipe: Recipe, train: Dataset, languages: list[str], embeddings: CaptionEmbeddings | None) -> None:
    data = recipe.data or "DATA"
    transfers = recipe.model.get("transfer_weight", 0) > 0
    if not languages and (recipe.network == "cross-lingual" or transfers):
        raise UserError(
            f"Recipe {recipe.name} learns from translations, and the data have captions in "
            f"{next(_values(train, 'source_language'))} only; add some with: leccr translate {data} --to de."
        )
    if embeddings is not None:
        embeddings.check(train)
    elif needs_teacher(recipe, train):
        raise UserError(
            f"Recipe {recipe.name} learns from a teacher's embeddings of the captions, and the training rows have "
            f"none; make them with: leccr embed-captions {data} --model TEACHER."
        )
