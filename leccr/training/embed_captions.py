"""`leccr embed-captions`: a teacher's embeddings of all captions, computed once and kept with the data."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from datasets import DatasetDict
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from processing.caption_embeddings import (
    CAPTION_COLUMNS,
    EMBEDDINGS_FILE,
    caption_texts,
    fingerprint,
    save_caption_embeddings,
)
from processing.device import choose_device

from ..data.loading import SCENES, load_data
from ..defaults import EMBEDDING_BATCH
from ..errors import UserError
from ..models.encoder import Encoder

ROWS_PER_CHUNK = 1024


def run_embedding(
    data: str,
    teacher: str,
    batch_size: int = EMBEDDING_BATCH,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
) -> Path:
    """Write `caption_embeddings.safetensors` next to a prepared data set: what `leccr embed-captions` does.

    The file appears once all captions are embedded, in place of an existing one.

    Args:
        data: Folder of the data set; the captions of every split are embedded.
        teacher: A model that embeds texts, as `Encoder.load` takes it.
        batch_size: Captions encoded per batch.
        device: Where the model runs, as for `processing.device.choose_device`.
        dtype: Its precision, as for `processing.device.choose_dtype`.
        trust_remote_code: Run code that it carries, if it is of a kind that the libraries do not know.

    Returns:
        The file.

    Raises:
        UserError: If there are no such data or no such model, or two rows of different captions share an id.
    """
    if data == SCENES:
        raise UserError(
            "The built-in Scenes have no folder to write to; write them to one with `leccr prepare scenes --out DATA`."
        )
    chosen = choose_device(device)
    splits, _ = load_data(data)
    rows = unique_rows(splits)
    encoder = Encoder.load(teacher, chosen, dtype, text_only=True, trust_remote_code=trust_remote_code)
    path = Path(data) / EMBEDDINGS_FILE
    save_caption_embeddings(path, rows, embed_rows(encoder, rows, batch_size), teacher=teacher)
    return path


def unique_rows(splits: DatasetDict) -> list[dict[str, Any]]:
    """Return the captions of all rows that have any, once each: splits such as test and test_1k may share rows.

    Raises:
        UserError: If two rows of one id have different captions.
    """
    unique: dict[str, dict[str, Any]] = {}
    for rows in splits.values():
        for row in rows.select_columns(list(CAPTION_COLUMNS)):
            if fingerprint(unique.setdefault(row["id"], row)) != fingerprint(row):
                raise UserError(f"Two rows have the id {row['id']!r} and different captions; give each its own id.")
    return [row for row in unique.values() if caption_texts(row)]


def embed_rows(encoder: Encoder, rows: list[dict[str, Any]], batch_size: int = EMBEDDING_BATCH) -> Iterator[Tensor]:
    """Yield the embeddings (captions, D) of each row's captions, unit length, float16, under a progress bar."""
    with tqdm(total=len(rows), desc="Embedding captions", unit="row") as bar:
        for start in range(0, len(rows), ROWS_PER_CHUNK):
            captions = [caption_texts(row) for row in rows[start : start + ROWS_PER_CHUNK]]
            embeds = encoder.texts(list(chain.from_iterable(captions)), batch_size, progress=False)
            unit = functional.normalize(torch.from_numpy(embeds), dim=-1).half()
            yield from unit.split([len(texts) for texts in captions])
            bar.update(len(captions))
