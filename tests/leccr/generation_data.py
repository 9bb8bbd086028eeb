"""A small prepared data set, and what crash tests do to it."""

from pathlib import Path
from typing import Any

from PIL import Image as PillowImage

from leccr.data.describe import run_description
from leccr.data.options import DescribeOptions, TranslateOptions
from leccr.data.translate import run_translation
from processing.generation.describe import DescriptionReport
from processing.generation.translate import TranslationReport
from processing.storage import write_rows
from tests.processing.generation.tiny_models import WORDS


def build_data(folder: Path, rows: int = 40, pictures: bool = True) -> Path:
    """Write `rows` rows, the last six of them, or of fewer the second half, to the split test."""

    def row(number: int) -> dict[str, Any]:
        captions = [
            f"{WORDS[number % 14]} {WORDS[(number * index + 3) % 14]} {' '.join(WORDS[:index])}" for index in (1, 2)
        ]
        return {
            "id": f"p{number:02}",
            "image": PillowImage.new("RGB", (16 + number, 16), (number * 6, 255 - number * 5, 90))
            if pictures
            else None,
            "source_language": "en",
            "source_captions": captions,
            "target_captions": [
                {"language": "de", "text": f"Bild {number}", "source_number": None, "origin": "human", "weight": None}
            ],
            "description": None,
        }

    split = rows - 6 if rows > 6 else rows // 2
    write_rows(folder, "train", map(row, range(split)), rows_per_shard=20)
    write_rows(folder, "test", map(row, range(split, rows)))
    return folder


def describe(folder: str | Path, **options: Any) -> DescriptionReport:
    return run_description(str(folder), DescribeOptions(**options))


def translate(folder: str | Path, **options: Any) -> TranslationReport:
    return run_translation(str(folder), TranslateOptions(**options))
