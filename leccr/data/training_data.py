"""What a recipe is trained on: opened and checked once, before anything is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset, DatasetDict

from processing.caption_embeddings import EMBEDDINGS_FILE, CaptionEmbeddings
from processing.captions import languages_of
from processing.features import FeatureFile

from ..errors import UserError
from ..recipes.recipe import Recipe
from .loading import SCENES, load_data


@dataclass(frozen=True)
class TrainingData:
    """Rows to train and validate on, in the languages of the run.

    Attributes:
        splits: Rows by split; `train` and `validation` are among them.
        source: Language of the source captions.
        languages: Target languages.
        features: Visual features computed ahead, used in place of the pictures, or None.
        embeddings: A teacher's embeddings of the training captions, or None.
    """

    splits: DatasetDict
    source: str
    languages: list[str]
    features: FeatureFile | None = None
    embeddings: CaptionEmbeddings | None = None

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
    splits, features = load_data(data, skip_broken=recipe.skip_broken and recipe.network == "cross-modal")
    embeddings = None
    if needs_teacher(recipe, splits.get("train")) and (Path(data) / EMBEDDINGS_FILE).is_file():
        embeddings = CaptionEmbeddings(data)
    return training_data(recipe, splits, features, embeddings)


def training_data(
    recipe: Recipe,
    splits: Mapping[str, Dataset],
    features: FeatureFile | None = None,
    embeddings: CaptionEmbeddings | None = None,
) -> TrainingData:
    """Check that a recipe can be trained on these rows.

    Args:
        recipe: Says the languages, and what the rows need to have.
        splits: Rows in the project's schema by split.
        features: Visual features computed ahead.
        embeddings: A teacher's embeddings of the training captions.

    Raises:
        UserError: If a split or a language is missing, or the recipe needs translations or a teacher's embeddings and
            there are none. The message names the command that adds them.
        ValueError: If the embeddings are of other captions.
    """
    for split in ("train", "validation"):
        if not splits.get(split):
            raise UserError(f"The data have no rows in a {split} split, only in {_filled(splits)}; prepare one.")
    train = splits["train"]
    source = train[0]["source_language"]
    existing = languages_of(train)
    chosen = existing if recipe.languages is None else recipe.languages
    languages = [language for language in dict.fromkeys(chosen) if language != source]
    _check_languages(recipe, existing, "training captions", languages)
    _check_languages(recipe, languages_of(splits["validation"]), "validation captions", languages)
    _check_teaching(recipe, train, languages, embeddings)
    return TrainingData(DatasetDict(dict(splits)), source, languages, features, embeddings)


def needs_teacher(recipe: Recipe, train: Dataset | None) -> bool:
    """Return whether the recipe needs a teacher's embeddings that the rows themselves do not have."""
    columns = {"source_embeddings", "target_embeddings"}
    own = train is not None and columns <= set(train.column_names)
    return recipe.model.get("transfer_weight", 0) > 0 and not own


def missing_texts(recipe: Recipe, data: TrainingData) -> list[str]:
    """Return sentences about texts that the recipe learns from and the data lack, although it can be trained."""
    name, notes = recipe.data or "DATA", []
    if not data.languages:
        notes.append(
            f"The data have captions in {data.source} only, so the model will search in no other language. Add "
            f"translations with: leccr translate {name} --to de"
        )
    if _learns_from_descriptions(recipe) and not any(data.train["description"]):
        notes.append(
            f"No training row has a description, which recipe {recipe.name} learns from, so it will find no more than "
            f"dual-encoder. Write descriptions with: leccr describe {name}"
        )
    return notes


def _learns_from_descriptions(recipe: Recipe) -> bool:
    slots, fusion = recipe.model.get("num_slots"), recipe.model.get("description_fusion")
    return recipe.network == "cross-modal" and (slots is None or slots > 0 or bool(fusion))


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
            f"{train[0]['source_language']} only; add some with: leccr translate {data} --to de."
        )
    if embeddings is not None:
        embeddings.check(train)
    elif needs_teacher(recipe, train):
        raise UserError(
            f"Recipe {recipe.name} learns from a teacher's embeddings of the captions, and the training rows have "
            f"none; make them with: leccr embed-captions {data} --model TEACHER."
        )
