from pathlib import Path

import pytest

from leccr.gallery import Gallery
from tests.leccr.gallery.tiny_gallery import photos, save_model


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    save_model(folder / "model")
    Gallery.build(photos(folder / "photos", 6), str(folder / "model"), folder / "gallery").close()
    return folder
