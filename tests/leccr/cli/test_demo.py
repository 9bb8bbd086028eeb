import io
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from PIL import Image as PillowImage
from typer.testing import CliRunner

from leccr import demo as demo_module
from leccr.cli import app
from leccr.demo import GallerySearcher, run_demo, space, space_folder
from leccr.errors import UserError
from leccr.gallery import Gallery
from tests.leccr.gallery.tiny_gallery import description, paint, photos, save_model

QUERY = description("green")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    save_model(folder / "model")
    Gallery.build(photos(folder / "photos", 6), str(folder / "model"), folder / "gallery").close()
    return folder


@pytest.fixture(scope="module")
def searcher(folder: Path) -> GallerySearcher:
    return GallerySearcher(Gallery.open(folder / "gallery"))


def test_a_gallery_answers_the_space_as_it_answers_everybody(searcher: GallerySearcher) -> None:
    found, expected = searcher.search(QUERY, 4), searcher.gallery.search(QUERY, 4)
    assert len(searcher) == 6
    for shown, result in zip(found, expected, strict=True):
        assert (shown.rank, shown.score, shown.name) == (result.rank, result.score, result.path)
        assert f"slot {shown.answered_by}" == result.answered_by and shown.description == result.description
        with PillowImage.open(io.BytesIO(shown.picture)) as picture:
            assert picture.format == "JPEG"


def test_explanations_agree_with_the_gallery(searcher: GallerySearcher) -> None:
    for shown in searcher.search(QUERY, 6):
        why = searcher.explain(shown.id, QUERY)
        assert why.score == pytest.approx(shown.score, abs=1e-5)
        assert (why.answered_by, why.description, why.name) == (shown.answered_by, shown.description, shown.name)
        assert all(slot.overlay for slot in why.slots)


def test_more_like_leaves_the_item_itself_out(searcher: GallerySearcher) -> None:
    first = searcher.search(QUERY, 1)[0]
    found = searcher.more_like(first.id, 3)
    assert len(found) == 3 and first.id not in [shown.id for shown in found]


@pytest.mark.parametrize("id", ["999", "", "-1", "1 OR 1=1", "٣", "9" * 40])
def test_an_unknown_item_is_said(searcher: GallerySearcher, id: str) -> None:
    with pytest.raises(space("errors").SpaceError, match="no picture with this id"):
        searcher.explain(id, QUERY)


def test_an_item_whose_file_is_gone_is_explained_by_its_thumbnail(folder: Path, tmp_path: Path) -> None:
    only = paint(tmp_path / "photos" / "a.png", 1)
    Gallery.build(tmp_path / "photos", str(folder / "model"), tmp_path / "gallery").close()
    searcher = GallerySearcher(Gallery.open(tmp_path / "gallery"))
    [shown] = searcher.search(QUERY, 1)
    only.unlink()
    assert searcher.explain(shown.id, QUERY).score == pytest.approx(shown.score, abs=0.1)


def test_the_page_serves_a_gallery(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, address, _ = run_demo(str(folder / "gallery"), None, prevent_thread_lock=True, quiet=True, server_port=None)
    client = Client(address, verbose=False)
    answer = client.predict(query=QUERY, k=2, api_name="/search")
    expected = Gallery.open(folder / "gallery").search(QUERY, 2)
    assert [result["name"] for result in answer["results"]] == [result.path for result in expected]
    assert client.predict(id=answer["results"][0]["id"], query=QUERY, api_name="/explain")["answered_by"]


def test_the_page_serves_a_folder_of_pictures(folder: Path) -> None:
    options: dict[str, Any] = {"prevent_thread_lock": True, "quiet": True, "server_port": None}
    _, address, _ = run_demo(str(folder / "photos"), str(folder / "model"), **options)
    answer = Client(address, verbose=False).predict(query=QUERY, k=9, api_name="/search")
    assert len(answer["results"]) == 6


@pytest.mark.parametrize(
    ("gallery", "model", "problem"),
    [("no/such/folder", None, "There is no folder no/such/folder"), (None, "no/such/model", "is no model")],
)
def test_what_is_not_there_is_said_before_anything_is_served(
    gallery: str | None, model: str | None, problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        run_demo(gallery, model)


def test_the_command_hands_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(demo_module, "run_demo", lambda *names, **options: asked.update(options, names=names))
    arguments = ["demo", "--gallery", "g", "--model", "m", "--port", "8000", "--training-scenes", "60", "--no-browser"]
    arguments += ["--device", "cpu", "--dtype", "bf16"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert asked.pop("names") == ("g", "m")
    assert asked == {
        "server_port": 8000,
        "share": False,
        "inbrowser": False,
        "training_scenes": 60,
        "device": "cpu",
        "dtype": "bf16",
    }


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'gradio'", name="gradio")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(UserError, match=r"The page needs libraries .*: pip install 'gradio"):
        space("page")


def test_the_space_lies_beside_the_package() -> None:
    assert (space_folder() / "app.py").is_file()
