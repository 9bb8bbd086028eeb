"""`leccr embed-captions`: a teacher's embeddings of all captions, computed once and kept beside the data."""

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
    CaptionEmbeddings,
    caption_texts,
    fingerprint,
    save_caption_embeddings,
)

from ..data.loading import SCENES, load_data
from ..errors import UserError
from ..models.checkpoints import load_text_encoder
from ..models.encoding import embed_texts

ROWS_AT_ONCE = 256


def run_embedding(data: str, teacher: str, batch_size: int = 256) -> Path:
    """Write `caption_embeddings.safetensors` beside a prepared data set: what `leccr embed-captions` does.

    The file appears once all captions are embedded, in place of the one that was there.

    Args:
        data: Folder of the data set; the captions of every split are embedded.
        teacher: Folder or Hub name of a model with `get_text_features`.
        batch_size: Captions encoded at once.

    Returns:
        The file.

    Raises:
        UserError: If there are no such data or no such model, or two rows of different captions share an id.
    """
    if data == SCENES:
        raise UserError(
            "The built-in Scenes have no folder to write to; write them to one with `leccr prepare scenes --out DATA`."
        )
    splits, _ = load_data(data)
    rows = unique_rows(splits)
    model, processor = load_text_encoder(teacher)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    path = Path(data) / EMBEDDINGS_FILE
    save_caption_embeddings(path, rows, embed_rows(model, processor, rows, batch_size), teacher=teacher)
    return path


def unique_rows(splits: DatasetDict) -> list[dict[str, Any]]:
    """Return the captions of all rows that have any, once each: splits such as test and test_1k may share rows.

    Raises:
        UserError: If two rows of one id have different captions.
    """
    found: dict[str, dict[str, Any]] = {}
    for rows in splits.values():
        for row in rows.select_columns(list(CAPTION_COLUMNS)):
            if fingerprint(found.setdefault(row["id"], row)) != fingerprint(row):
                raise UserError(f"Two rows have the id {row['id']!r} and different captions; give each its own id.")
    return [row for row in found.values() if caption_texts(row)]


@torch.inference_mode()
def embed_rows(model: Any, processor: Any, rows: list[dict[str, Any]], batch_size: int = 256) -> Iterator[Tensor]:
    """Yield the embeddings (captions, D) of each row's captions, unit length, float16, under a progress bar."""
    for start in tqdm(range(0, len(rows), ROWS_AT_ONCE), desc="Embedding captions"):
        captions = [caption_texts(row) for row in rows[start : start + ROWS_AT_ONCE]]
        texts = list(chain.from_iterable(captions))
        batches = (texts[place : place + batch_size] for place in range(0, len(texts), batch_size))
        embeds = torch.cat([embed_texts(model, processor, batch) for batch in batches])
        yield from functional.normalize(embeds, dim=-1).half().split([len(there) for there in captions])


def caption_embeddings(data: str) -> CaptionEmbeddings:
    """Open the embeddings beside a data set.

    Raises:
        UserError: If there are none.
    """
    if not (Path(data) / EMBEDDINGS_FILE).is_file():
        command = f"leccr embed-captions {data} --model TEACHER"
        raise UserError(f"{data} has no embeddings of its captions by a teacher; make them with: {command}.")
    return CaptionEmbeddings(data)
