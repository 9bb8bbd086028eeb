"""Writing small data sets in their published layouts."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from processing.readers.files import Collection


def write(root: Path, files: Mapping[str, Any]) -> Path:
    """Write text, bytes, or anything else as JSON; a name that ends in `.gz` is compressed."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            data = content
        else:
            data = (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return root


def touch(folder: Path, names: Iterable[str]) -> None:
    write(folder, dict.fromkeys(names, b"x"))


def rows(collection: Collection, split: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a split by id, in their order."""
    return {row["id"]: row for row in collection.splits[split]}


def targets(row: Mapping[str, Any]) -> list[tuple[str, str, int | None, str]]:
    """Return a row's target captions as (language, text, source number, origin)."""
    return [
        (target["language"], target["text"], target["source_number"], target["origin"])
        for target in row["target_captions"]
    ]
