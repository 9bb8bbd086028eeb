"""The data sets of the study, prepared once in the cache: one folder for each choice of captions and translations."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, concatenate_datasets
from sacrebleu.metrics import CHRF

from leccr.data.options import PrepareOptions
from leccr.data.prepare import run_preparation
from leccr.recipes import Recipe
from leccr.training.features import run_features
from processing.features import FeatureFile, features_paths
from processing.readers import image_key
from processing.readers.files import make_row
from processing.readers.multi30k import read_multi30k_captions
from processing.schema import ROW_FEATURES
from processing.storage import read_splits

# English captions 3 and 4 are the description; the others are source captions, whether a row uses descriptions or not.
RESERVED = {"reserved_captions": (3, 4)}
PREPARATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "baidu": ("flickr8k-cn", {**RESERVED, "translation": ["baidu"]}),
    "google": ("flickr8k-cn", {**RESERVED, "translation": ["google"]}),
    "both": ("flickr8k-cn", {**RESERVED, "translation": ["baidu", "google"]}),
    "all captions": ("flickr8k-cn", {"translation": ["baidu", "google"]}),
    # The pairs that the other sets lack, for a teacher that has not seen the pairs that it grades.
    "captions 3 and 4": ("flickr8k-cn", {"reserved_captions": (0, 1, 2), "translation": ["baidu", "google"]}),
    "five languages": ("five-languages", {**RESERVED, "translation": ["baidu", "google"]}),
}
TEXT = "text"
DESCRIPTIONS = ("reserved", "none", "captioner")
# Randomly cropped copies of each training picture, for rows with varied features.
COPIES = 3


@dataclass
class StudyData:
    """Splits of one data set, and the features of its pictures."""

    splits: DatasetDict
    features: FeatureFile | None


class Library:
    """Opens the study's data sets, and prepares those that are not in the cache.

    Args:
        shared: Folder with the published data and the weights of the vision tower.
        cache: Folder for what is prepared.
        recipe: Its vision tower computes the features.
    """

    def __init__(self, shared: Path, cache: Path, recipe: Recipe) -> None:
        self.shared = shared
        self.cache = cache
        self.recipe = recipe

    def open(
        self, name: str, descriptions: str = "reserved", weighting: bool = False, varied: bool = False
    ) -> StudyData:
        """Open one data set.

        Args:
            name: Key of `PREPARATIONS`, or `TEXT`: the sentences of Multi30K and of Flickr8k-CN.
            descriptions: `reserved` as prepared, `none`, or those that the `captioner` wrote.
            weighting: Weigh each machine translation by how far it agrees with the other system's.
            varied: Take features with randomly cropped copies of the training pictures.
        """
        if name == TEXT:
            return StudyData(self._all_text(), None)
        splits = read_splits(self.prepared(name))
        if descriptions == "none":
            splits = DatasetDict({split: with_descriptions(rows, {}) for split, rows in splits.items()})
        if descriptions == "captioner":
            written = self._captioner_descriptions()
            splits = DatasetDict({split: with_descriptions(rows, written) for split, rows in splits.items()})
        if weighting:
            splits["train"] = with_agreement_weights(splits["train"])
        return StudyData(splits, self._features(varied))

    def prepared(self, name: str) -> Path:
        """Return the folder of one data set as it is prepared, without features."""
        folder = self.cache / "study" / "data" / name.replace(" ", "-")
        if not folder.exists():
            self._prepare(name, folder)
        return folder

    def _prepare(self, name: str, folder: Path) -> None:
        reader, options = PREPARATIONS[name]
        root = self.shared / "data" if reader == "five-languages" else self.shared / "data" / reader
        run_preparation(reader, folder, PrepareOptions(root=root, embed_images=False, **options))

    def _features(self, varied: bool) -> FeatureFile:
        """Open the features, computing them at first; all data sets but the text have the same pictures."""
        folder = self.cache / "study" / ("features-varied" if varied else "features-plain")
        if not folder.exists():
            self._prepare("baidu", folder)
        if not features_paths(folder):
            run_features(str(folder), self.recipe, copies=COPIES if varied else 0)
        return FeatureFile(folder)

    def _captioner_descriptions(self) -> dict[str, str]:
        folder = self.cache / "flickr8k-cn-described"
        if not folder.exists():
            raise SystemExit(f"{folder} does not exist; make it with: python -m benchmarks.captioner")
        return {row["id"]: row["description"] for rows in read_splits(folder).values() for row in rows}

    def _all_text(self) -> DatasetDict:
        """Add Flickr8k-CN's pairs to Multi30K's training text, less photos that Multi30K validates or tests with.

        The checkpoint is selected on the validation sentences of both; `multi30k` has those that are reported.
        """
        multi30k = self._multi30k_text()
        kept_back = {image_key(name) for split, rows in multi30k.items() if split != "train" for name in rows["id"]}
        flickr = read_splits(self.prepared("all captions")).cast(ROW_FEATURES)
        allowed = [index for index, name in enumerate(flickr["train"]["id"]) if image_key(name) not in kept_back]
        return DatasetDict(
            train=concatenate_datasets([multi30k["train"], flickr["train"].select(allowed)]),
            validation=concatenate_datasets([multi30k["validation"], flickr["validation"]]),
            multi30k=multi30k["validation"],
        )

    def _multi30k_text(self) -> DatasetDict:
        """Read Multi30K without its photos, which no text-only network needs."""
        splits = read_multi30k_captions(self.shared / "data" / "multi30k").splits
        rows = {
            split: [make_row(name, captions.sources, captions.targets) for name, captions in part.items()]
            for split, part in splits.items()
        }
        return DatasetDict({split: Dataset.from_list(part, features=ROW_FEATURES) for split, part in rows.items()})


def with_descriptions(rows: Dataset, descriptions: Mapping[str, str | None]) -> Dataset:
    """Return the rows with the descriptions given by id, and none for other rows."""
    column = [descriptions.get(name) for name in rows["id"]]
    return rows.remove_columns("description").add_column("description", column, feature=rows.features["description"])


def with_targets(rows: Dataset, languages: Iterable[str]) -> Dataset:
    """Return the rows that have a caption in one of the languages; in a joined set, not all have one in each."""
    chosen = set(languages)
    captions = rows["target_captions"]
    return rows.select(
        [index for index, row in enumerate(captions) if chosen & {caption["language"] for caption in row}]
    )


def described_half(count: int, seed: int = 0) -> set[int]:
    """Return which of `count` rows keep their description in `half_described`."""
    return set(random.Random(seed).sample(range(count), count // 2))


def half_described(rows: Dataset, seed: int = 0) -> Dataset:
    """Return the rows with the descriptions of half of them, drawn by `seed`, taken away."""
    kept = described_half(len(rows), seed)
    pairs = zip(rows["id"], rows["description"])
    return with_descriptions(rows, {name: text for index, (name, text) in enumerate(pairs) if index in kept})


def with_agreement_weights(rows: Dataset) -> Dataset:
    """Weigh each translation by its chrF, from 0 to 1, against the other system's translation of the same caption."""
    chrf = CHRF()

    def weigh(row: dict[str, Any]) -> dict[str, Any]:
        targets = row["target_captions"]
        for target in targets:
            others = [o["text"] for o in targets if o["source_number"] == target["source_number"] and o is not target]
            target["weight"] = chrf.sentence_score(target["text"], others).score / 100 if others else None
        return {"target_captions": targets}

    return rows.map(weigh, desc="Comparing translations")
