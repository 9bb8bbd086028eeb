"""A teacher's embeddings of all captions, in one file next to the data, so that training needs no teacher."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from .errors import UserError
from .features import FeatureFile, save_features

EMBEDDINGS_FILE = "caption_embeddings.safetensors"
EMBED_COMMAND = "leccr embed-captions DATA --model TEACHER"
CAPTION_COLUMNS = ("id", "source_captions", "target_captions")


class CaptionEmbeddings:
    """Embeddings of the source and target captions of each row, checked against the captions that the row has now.

    Args:
        path: The file, or the folder that holds `caption_embeddings.safetensors`.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it holds something else.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.path = path / EMBEDDINGS_FILE if path.is_dir() else path
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path} does not exist; make it with: {EMBED_COMMAND}.")
        self._file = FeatureFile(self.path)
        if "fingerprints" not in self._file.metadata:
            raise UserError(f"{self.path} holds no embeddings of captions; make them with: {EMBED_COMMAND}.")
        self.teacher = self._file.metadata["teacher"]
        ids, prints = (json.loads(self._file.metadata[name]) for name in ("ids", "fingerprints"))
        self._fingerprints = dict(zip(ids, prints, strict=True))

    def check(self, rows: Any) -> None:
        """Raise UserError, naming the first, if a row has no embeddings or those of other captions.

        Args:
            rows: A `datasets.Dataset` in the project's schema.
        """
        for row in rows.select_columns(list(CAPTION_COLUMNS)):
            self._check_row(row)

    def _check_row(self, row: dict[str, Any]) -> None:
        if not row["source_captions"]:
            raise UserError(f"Row {row['id']!r} has no source caption; training needs at least one per image.")
        existing = self._fingerprints.get(row["id"])
        if existing is None:
            raise UserError(f"{self.path} has no embeddings for row {row['id']!r}; make them again: {EMBED_COMMAND}.")
        if existing != fingerprint(row):
            raise UserError(
                f"The captions of row {row['id']!r} have changed since {self.path} was made; make it again: "
                f"{EMBED_COMMAND}."
            )

    def of(self, row: dict[str, Any]) -> dict[str, Tensor]:
        """Return `source_embeddings` (S, D) and `target_embeddings` (T, D) of a row, in the order of its captions.

        Raises:
            UserError: If there are none, or the row's captions are no longer those that were embedded.
        """
        self._check_row(row)
        embeddings, sources = self._file[row["id"]], len(row["source_captions"])
        return {"source_embeddings": embeddings[:sources], "target_embeddings": embeddings[sources:]}


def fingerprint(row: dict[str, Any]) -> str:
    """Return a short digest of a row's captions and their order."""
    texts = [row["source_captions"], [target["text"] for target in row["target_captions"] or []]]
    return hashlib.blake2b(json.dumps(texts, ensure_ascii=False).encode(), digest_size=8).hexdigest()


def caption_texts(row: dict[str, Any]) -> list[str]:
    """Return all captions of a row in the order in which their embeddings are kept: sources, then targets."""
    return [*row["source_captions"], *(target["text"] for target in row["target_captions"] or [])]


def save_caption_embeddings(
    path: str | Path, rows: Sequence[dict[str, Any]], embeddings: Iterable[Tensor], teacher: str
) -> None:
    """Write the embeddings (captions, D) of each row's captions; the file appears whole or not at all.

    Args:
        path: File to write.
        rows: Rows with the columns of `CAPTION_COLUMNS`.
        embeddings: For each row those of `caption_texts`; may be an iterator.
        teacher: Name of the model that made them.

    Raises:
        UserError: If there are not as many embeddings as rows, or they differ in width or type.
    """
    prints = json.dumps([fingerprint(row) for row in rows])
    save_features(path, [row["id"] for row in rows], embeddings, teacher=teacher, fingerprints=prints)


class EmbeddedRows(Dataset[dict[str, Any]]):
    """Rows with a teacher's embeddings of their captions as `source_embeddings` and `target_embeddings`.

    Args:
        rows: Rows in the project's schema, or `processing.features.FeatureRows`.
        embeddings: Embeddings of these rows' captions.
    """

    def __init__(self, rows: Any, embeddings: CaptionEmbeddings) -> None:
        self.rows = rows
        self.embeddings = embeddings

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        return {**row, **self.embeddings.of(row)}


def with_caption_embeddings(rows: Any, embeddings: CaptionEmbeddings | None) -> Any:
    """Return the rows with the embeddings of their captions, or as they are where there are none."""
    return rows if embeddings is None else EmbeddedRows(rows, embeddings)
