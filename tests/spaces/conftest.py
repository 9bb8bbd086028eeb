"""A model that knows a few Scenes in six languages, its gallery, and the page that shows them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from space_model import Retriever
from space_setup import Settings, Setup, build_ready

from processing.captions import captions_by_language
from processing.images import open_image
from tests.spaces.small_space import learn_scenes, served


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `model`, `gallery` and `captions.json`; made once for all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "space"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            making = tmp_path_factory.mktemp("making") / "space"
            making.mkdir()
            write_gallery(making, learn_scenes(making / "model"))
            making.rename(folder)
    return folder


def write_gallery(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write the pictures of the rows with their descriptions, ideas to offer, and all their captions."""
    gallery = folder / "gallery"
    gallery.mkdir()
    captions = [{code: texts[0] for code, texts in captions_by_language(row).items()} for row in rows]
    lines = []
    for number, row in enumerate(rows):
        open_image(row["image"]).save(gallery / f"{number:02d}.png")
        lines.append(json.dumps({"file_name": f"{number:02d}.png", "description": row["description"]}) + "\n")
    (gallery / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
    (gallery / "ideas.json").write_text(json.dumps(captions[:6], ensure_ascii=False), encoding="utf-8")
    (folder / "captions.json").write_text(json.dumps(captions, ensure_ascii=False), encoding="utf-8")


@pytest.fixture(scope="session")
def captions(scenes: Path) -> list[dict[str, str]]:
    """A caption of each scene in each language."""
    return json.loads((scenes / "captions.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def retriever(scenes: Path) -> Retriever:
    """The model."""
    return Retriever.load(str(scenes / "model"))


@pytest.fixture(scope="session")
def setup(scenes: Path) -> Setup:
    """What the page shows."""
    settings = Settings(str(scenes / "model"), str(scenes / "gallery"))
    return Setup(lambda say: build_ready(settings, say)).finish()


@pytest.fixture(scope="session")
def address(setup: Any) -> Iterator[str]:
    """Address of the page."""
    with served(setup) as found:
        yield found
