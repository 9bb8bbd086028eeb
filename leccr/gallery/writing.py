"""`--ocr`: reads what is written in pictures, by RapidOCR, for searches by words."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from tqdm.auto import tqdm

from processing.embedded_text import cleaned
from processing.images import open_image
from processing.notes import is_quiet

from ..errors import UserError, missing_extra
from .candidates import Candidate, Source
from .incoming import known_items
from .store.catalogue import IMAGE, Catalogue
from .store.facts import put_writing
from .store.words import index_words

Reader = Callable[[PillowImage.Image], str]
CHUNK = 32
# Pixels of the shorter side from which a large photo is read: enough for small print.
SIDE = 1000


def open_reader() -> Reader:
    """Return what reads the lines in an RGB picture, one per line.

    Raises:
        UserError: If RapidOCR is not installed, or its models cannot be loaded.
    """
    try:
        import onnxruntime  # noqa: F401
        from rapidocr import RapidOCR
    except ImportError as error:
        raise missing_extra("ocr", "Reading what is written in pictures") from error

    def read(picture: PillowImage.Image) -> str:
        # Channels are in the order of OpenCV.
        found: Any = engine(np.asarray(picture)[:, :, ::-1])
        return "\n".join(found.txts or ())

    try:
        engine = RapidOCR(params={"Global.log_level": "critical"})
        # The models are loaded at their first use, which should not be in the middle of the work.
        read(PillowImage.new("RGB", (64, 64), "white"))
    except Exception as error:  # Whatever the library raises where a model is missing or damaged.
        raise UserError(
            f"The models that read writing cannot be loaded: {' '.join(str(error).split())[:200]}. Install rapidocr "
            "again, or leave --ocr out."
        ) from error
    return read


def read_writing(catalogue: Catalogue, source: Source, read: Reader, seconds: float) -> tuple[int, int]:
    """Read the pictures of a source that have not been read yet, and index the words.

    Args:
        catalogue: The gallery's catalogue, which has the source's items.
        source: Where the pictures are.
        read: What reads them.
        seconds: Time between commits.

    Returns:
        In how many pictures there was writing, and how many could not be read.
    """
    waiting: dict[int, tuple[str, str]] = {}
    written = failed = 0
    committed = time.monotonic()
    pictures = tqdm(_unread(catalogue, source), desc="Reading", unit="item", disable=is_quiet())
    for number, digest, candidate in pictures:
        try:
            picture = open_image(candidate.as_row()["image"], candidate.id, side=SIDE)
            text = cleaned(read(picture).split("\n"), " · ") or ""
        except Exception:  # Whatever the library raises about a picture that others can show.
            failed += 1
            continue
        waiting[number] = (digest, text)
        written += bool(text)
        if time.monotonic() - committed >= seconds:
            _commit(catalogue, waiting)
            waiting, committed = {}, time.monotonic()
    _commit(catalogue, waiting)
    return written, failed


def _unread(catalogue: Catalogue, source: Source) -> Iterator[tuple[int, str, Candidate]]:
    """Yield number, content hash and candidate of each picture that has not been read."""
    for chunk in source.chunks(CHUNK):
        with catalogue.reading() as connection:
            known = known_items(connection, chunk)
            read = _read_already(connection, [item.number for items in known.values() for item in items])
        for candidate in chunk:
            for item in known.get(candidate.key, ()):
                if item.kind == IMAGE and item.number not in read and candidate.as_row().get("image") is not None:
                    yield item.number, item.hash, candidate


def _read_already(connection: sqlite3.Connection, numbers: list[int]) -> set[int]:
    marks = ",".join("?" * len(numbers))
    rows = connection.execute(f"SELECT number FROM facts WHERE writing NOT NULL AND number IN ({marks})", numbers)
    return {number for (number,) in rows}


def _commit(catalogue: Catalogue, waiting: dict[int, tuple[str, str]]) -> None:
    if not waiting:
        return
    with catalogue.writing() as connection:
        for number, (digest, text) in waiting.items():
            # Another process may have replaced the picture meanwhile.
            if put_writing(connection, number, digest, text):
                index_words(connection, number)
