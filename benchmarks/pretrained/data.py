"""The data of the study, prepared once in the cache, with what the frozen towers say of pictures and texts."""

from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from benchmarks.study.data import PREPARATIONS, with_targets
from benchmarks.study.run import claimed
from leccr.data.options import PrepareOptions
from leccr.data.prepare import run_preparation
from leccr.data.text_states import choose_text_states
from leccr.data.training_data import training_data
from leccr.models.encoder import Encoder
from leccr.models.model_encoder import ModelEncoder
from leccr.recipes import Recipe
from leccr.training.embed_captions import embed_rows, unique_rows
from leccr.training.features import run_features
from leccr.training.text_features import run_text_features
from leccr.training.train import make_trainer, train_recipe
from processing.caption_embeddings import CaptionEmbeddings, save_caption_embeddings
from processing.features import FeatureFile, features_paths
from processing.storage import read_splits
from processing.text_states import TextStates

from .rows import Row

# Randomly cropped copies of each training picture.
COPIES = 1
# Three times as fast as fp32 on CPUs that have it; the states are stored in half precision in any case.
PRECISION = "bf16"
OTHERS = ("cs", "de", "fr")


class Study:
    """Opens what the rows need, and makes what is not in the cache yet.

    Args:
        shared: Folder with the published data.
        cache: Folder for what is made.
        towers: The file `towers.yaml` that `benchmarks.offline_towers` writes.
    """

    def __init__(self, shared: Path, cache: Path, towers: Path) -> None:
        self.shared = shared
        self.cache = cache / "pretrained"
        self.towers = towers
        if not towers.is_file():
            command = f"python -m benchmarks.offline_towers {towers.parent}"
            raise SystemExit(f"{towers} does not exist; make it with: {command}")

    @property
    def folder(self) -> Path:
        """The data set: photos with captions in five languages, of which each row takes its own."""
        folder = self.cache / "data"
        with claimed(self.cache / "prepared", wait=True):
            if not folder.exists():
                options = PREPARATIONS["five languages"][1]
                settings = PrepareOptions(root=self.shared / "data", embed_images=False, **options)
                run_preparation("five-languages", folder, settings)
        return folder

    def splits(self, row: Row) -> DatasetDict:
        """Return the rows that training and validation take; all have a caption in one of the row's languages."""
        splits = read_splits(self.folder)
        return DatasetDict({split: with_targets(rows, row.languages) for split, rows in splits.items()})

    def texts(self, recipe: Recipe) -> TextStates:
        """Return what the frozen text tower says of all texts."""
        with claimed(self.cache / "texts", wait=True):
            states = choose_text_states(self.folder, recipe)
            if states is None:
                states = TextStates(run_text_features(str(self.folder), recipe, dtype=PRECISION))
        return states

    def features(self) -> FeatureFile:
        """Return the features of the pictures, with cropped copies of those to train on."""
        with claimed(self.cache / "features", wait=True):
            if not features_paths(self.folder):
                run_features(str(self.folder), Row("", "", "dual-encoder").recipe(self.towers), copies=COPIES)
        return FeatureFile(self.folder)

    def other_languages(self) -> Dataset:
        """Return the validation images that have German, French and Czech captions."""
        return with_targets(read_splits(self.folder)["validation"], OTHERS)

    def teacher_embeddings(self, row: Row) -> CaptionEmbeddings:
        """Return the captions of a row's data as a teacher embeds them, which learned from their texts alone."""
        folder = self.cache / "teachers" / f"{'-'.join(row.languages)}-{row.teacher}"
        path = folder / "captions.safetensors"
        with claimed(folder, wait=True):
            if not path.exists():
                teacher, rows = self._teacher(row, folder), unique_rows(self.splits(row))
                save_caption_embeddings(path, rows, embed_rows(teacher, rows), folder.name)
        return CaptionEmbeddings(path)

    def _teacher(self, row: Row, folder: Path) -> Encoder:
        """Train a teacher; it goes on to take stored states of texts in place of its tower."""
        # Aligning words costs the square of the batch.
        teacher = Row("teacher", folder.name, "cross-lingual", {"word_weight": 0.0}, languages=row.languages)
        recipe, splits = teacher.recipe(self.towers), self.splits(teacher)
        if row.teacher == "image":
            splits["train"] = paired_by_image(splits["train"])
        rows = training_data(recipe, splits, texts=self.texts(recipe))
        trainer = make_trainer(recipe, rows, folder / "checkpoints")
        train_recipe(trainer, recipe)
        return ModelEncoder(trainer.model, trainer.processing_class)


def paired_by_image(rows: Dataset) -> Dataset:
    """Return rows whose translations are paired with any caption of their image, and not only with the one they say.

    A teacher so trained brings together what is said of one image.
    """

    def unpair(row: dict[str, Any]) -> dict[str, Any]:
        return {"target_captions": [{**target, "source_number": None} for target in row["target_captions"]]}

    return rows.map(unpair, features=rows.features, desc="Pairing captions")
