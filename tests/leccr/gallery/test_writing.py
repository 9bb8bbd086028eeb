"""What is written in pictures: read by a stand-in, and once by RapidOCR itself."""

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery import writing as writing_module
from leccr.gallery.store.catalogue import FILE
from leccr.gallery.writing import open_reader
from leccr.models.encoder import Encoder
from tests.leccr.gallery.tiny_gallery import describe, names_of, paint, photos, run


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of the pictures that were read; the wide ones have writing, and the narrow ones cannot be read."""
    seen: list[tuple[int, int]] = []

    def read(picture: PillowImage.Image) -> str:
        seen.append(picture.size)
        if picture.width < picture.height:
            raise RuntimeError("no shape")
        return "Invoice 2024\nCafé Central 中央咖啡" if picture.width > picture.height else ""

    monkeypatch.setattr(writing_module, "open_reader", lambda: read)
    return seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures: one with writing, one that cannot be read, and two without."""
    for name, size in {"wide": (32, 16), "narrow": (16, 32), "a": (16, 16), "b": (16, 16)}.items():
        paint(tmp_path / "p" / f"{name}.png", len(name), size)
    return tmp_path / "p"


@pytest.mark.filterwarnings("ignore::leccr.gallery.results.UnreadableQueryWarning")
def test_writing_is_found_and_read_once(folder: Path, reads: list[Any], encoder: Encoder, tmp_path: Path) -> None:
    with Gallery.build(folder, encoder, tmp_path / "g") as gallery:
        assert not reads and gallery.search('"invoice"') == []
        report = gallery.add(folder, ocr=True)
        assert (report.unchanged, report.written, report.unread, len(reads)) == (4, 1, 1, 4)
        assert names_of(gallery.search('"café central"')) == names_of(gallery.search('"咖啡"')) == ["wide.png"]
        assert gallery.search("invoice", 1, words=1)[0].facts.writing == "Invoice 2024 · Café Central 中央咖啡"
        assert names_of(gallery.search("x", where="writing~INVOICE")) == ["wide.png"]
        # Only what could not be read is tried again.
        gallery.add(folder, ocr=True)
        assert len(reads) == 5
        # Another description, and a picture that is replaced.
        describe(folder, ["wide.png"])
        gallery.add(folder)
        assert names_of(gallery.search('"invoice"')) == ["wide.png"] and len(reads) == 5
        paint(folder / "wide.png", 9, (16, 16))
        gallery.add(folder, ocr=True)
        assert gallery.search('"invoice"') == [] and len(reads) == 7


def test_a_synchronised_gallery_is_read(folder: Path, reads: list[Any], encoder: Encoder, tmp_path: Path) -> None:
    with Gallery.build(folder, encoder, tmp_path / "g") as gallery:
        assert gallery.sync(ocr=True).written == 1, "though no file has changed"
        assert names_of(gallery.search('"invoice"')) == ["wide.png"]


def test_a_run_that_is_stopped_goes_on(
    folder: Path, reads: list[Any], encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = writing_module.open_reader()

    def stopping(picture: PillowImage.Image) -> str:
        if len(reads) == 2:
            raise KeyboardInterrupt
        return read(picture)

    monkeypatch.setattr(writing_module, "open_reader", lambda: stopping)
    with pytest.raises(KeyboardInterrupt):
        Gallery.build(folder, encoder, tmp_path / "g", ocr=True, commit_seconds=0)
    with Gallery.open(tmp_path / "g", encoder) as gallery:
        assert gallery.state.unfinished == str(folder) and len(gallery) == 4
        monkeypatch.setattr(writing_module, "open_reader", lambda: read)
        gallery.add(folder, ocr=True)
        assert gallery.state.unfinished is None and len(reads) == 4, "each was read once"
        assert names_of(gallery.search('"invoice"')) == ["wide.png"] and gallery.check().problems == []


def test_the_command_line(folder: Path, reads: list[Any], model: Path, tmp_path: Path) -> None:
    found = run("index", folder, "--model", model, "--out", tmp_path / "g", "--ocr")
    assert found.exit_code == 0, found.output
    assert "Writing was found in 1 picture; 1 picture could not be read." in found.stdout
    assert "wide.png" in run("search", tmp_path / "g", '"invoice 2024"').stdout


def missing() -> Any:
    raise OSError("no such model")


@pytest.mark.parametrize(
    ("module", "message"),
    [(None, "Reading what is written in pictures needs libraries"), (missing, "cannot be loaded: no such model")],
)
def test_what_is_missing_is_one_sentence(
    module: Callable[..., Any] | None, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoder: Encoder
) -> None:
    class Broken:
        RapidOCR = staticmethod(lambda **options: missing())

    monkeypatch.setitem(sys.modules, "rapidocr", None if module is None else Broken)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message) as caught:
        Gallery.build(photos(tmp_path / "p", 2), encoder, tmp_path / "g", ocr=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "g").exists(), "nothing is left of a gallery that could not be made"


def test_writing_of_an_untrusted_gallery(folder: Path, reads: list[Any], encoder: Encoder, tmp_path: Path) -> None:
    Gallery.build(folder, encoder, tmp_path / "g", ocr=True).close()
    with sqlite3.connect(tmp_path / "g" / FILE) as connection:
        connection.execute("UPDATE facts SET writing = char(27) || '[2J' || char(0)")
    connection.close()
    with Gallery.open(tmp_path / "g", encoder) as gallery:
        assert len(gallery.search("red")) == 4


@pytest.mark.slow
def test_rapidocr_reads_english_and_numbers() -> None:
    pytest.importorskip("rapidocr")
    picture = PillowImage.new("RGB", (260, 60), "white")
    ImageDraw.Draw(picture).text((10, 10), "INVOICE 2024", "black", ImageFont.load_default(32))
    assert open_reader()(picture) == "INVOICE 2024"
