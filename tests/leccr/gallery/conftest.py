"""One model and one gallery for all tests; each test works on a copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from tests.videos import write_video

from . import films, tiny_gallery
from .following import Counting


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


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint."""
    return tiny_gallery.save_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="session")
def built(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos` and the `gallery` that `leccr index` makes of them."""
    folder = tmp_path_factory.mktemp("built")
    tiny_gallery.photos(folder / "photos")
    arguments = ("index", folder / "photos", "--model", model, "--out", folder / "gallery")
    result = tiny_gallery.run(*arguments)
    assert result.exit_code == 0, result.output
    assert "12 added, 0 replaced, 0 unchanged." in result.stdout
    assert "has 12 items" in result.stdout
    return folder


@pytest.fixture
def own(built: Path, tmp_path: Path) -> Path:
    """A copy of `built`, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "own"))


@pytest.fixture(scope="session")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two films, a short clip and three pictures, the `model`, and a `gallery` that the command made."""
    folder = tmp_path_factory.mktemp("moments")
    films.film(folder / "videos" / "clip.mp4")
    films.film(folder / "videos" / "more" / "other.mkv", ("green", "red"), (12, 12))
    write_video(folder / "videos" / "short.mp4")
    for number in range(3):
        tiny_gallery.paint(folder / "videos" / f"{number}.png", number)
    tiny_gallery.save_model(folder / "model", num_frames=2)
    result = tiny_gallery.run("index", folder / "videos", "--model", folder / "model", "--out", folder / "gallery")
    assert result.exit_code == 0, result.output
    assert "6 added, 0 replaced, 0 unchanged." in result.stdout
    assert "has 9 items" in result.stdout
    return folder


@pytest.fixture
def film_gallery(filmed: Path, tmp_path: Path) -> Path:
    """A copy of the gallery, of the same videos."""
    return Path(shutil.copytree(filmed / "gallery", tmp_path / "gallery"))


@pytest.fixture
def counting(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(encoder, monkeypatch)


@pytest.fixture
def followed(folder: Path, photos: Path, encoder: Encoder, tmp_path: Path) -> Iterator[tuple[Gallery, Path]]:
    """A gallery of twelve pictures that may be changed, and their folder."""
    own = Path(shutil.copytree(photos, tmp_path / "photos"))
    with Gallery.open(folder, encoder) as gallery:
        gallery.relocate(photos, own)
        yield gallery, own
