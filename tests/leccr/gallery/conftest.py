"""One model and one gallery for all tests; each test works on a copy."""

import shutil
from pathlib import Path

import pytest

from leccr.gallery import Gallery
from leccr.models.encoder import Encoder

from . import tiny_gallery


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return tiny_gallery.encoder()


@pytest.fixture(scope="session")
def _original(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    tiny_gallery.photos(folder / "photos")
    Gallery.build(folder / "photos", encoder, folder / "gallery").close()
    return folder


@pytest.fixture
def photos(_original: Path) -> Path:
    """Folder of twelve pictures; not to be changed."""
    return _original / "photos"


@pytest.fixture
def folder(_original: Path, tmp_path: Path) -> Path:
    """A gallery of `photos`."""
    return Path(shutil.copytree(_original / "gallery", tmp_path / "gallery"))


@pytest.fixture
def gallery(folder: Path, encoder: Encoder) -> Gallery:
    return Gallery.open(folder, encoder)
