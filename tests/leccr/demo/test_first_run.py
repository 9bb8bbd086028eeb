import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from leccr.demo import run_demo
from leccr.demo.first_run import FolderChooser, _count, index_chosen
from leccr.demo.space import space
from leccr.errors import UserError
from leccr.gallery import Gallery
from tests.leccr.gallery import films
from tests.leccr.gallery.tiny_gallery import description, paint


def id_of(listing: Any, name: str) -> str:
    return next(id for id, other in listing.folders if other == name)


def test_folders_are_gone_through_by_ids(tmp_path: Path) -> None:
    paint(tmp_path / "trips" / "sea" / "a.png", 1)
    (tmp_path / "trips" / ".hidden").mkdir()
    (tmp_path / "trips" / "notes.txt").write_text("no picture")
    chooser = FolderChooser(tmp_path / "trips")
    assert [name for _, name in chooser.listing().folders] == ["↑ the folder above", "sea"]
    inside = chooser.enter(id_of(chooser.listing(), "sea"))
    assert (inside.name, inside.pictures) == (str(tmp_path / "trips" / "sea"), 1)
    chooser.enter(id_of(inside, "↑ the folder above"))
    chooser.choose()
    assert chooser.chosen == tmp_path / "trips" and chooser.listing().pictures == 0


@pytest.mark.parametrize("id", ["", "/etc", "../..", "0" * 16])
def test_no_other_folder_can_be_opened(id: str, tmp_path: Path) -> None:
    chooser = FolderChooser(tmp_path)
    with pytest.raises(space("errors").SpaceError, match="no such folder"):
        chooser.enter(id)


def test_a_folder_that_vanished_or_cannot_be_listed_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    chooser = FolderChooser(tmp_path)
    listing = chooser.listing()
    (tmp_path / "a").rmdir()
    with pytest.raises(space("errors").SpaceError, match="any longer"):
        chooser.enter(id_of(listing, "a"))
    assert [name for _, name in FolderChooser(tmp_path / "gone").listing().folders] == ["↑ the folder above"]


def test_what_cannot_be_indexed_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(space("errors").SpaceError, match="no photos or videos"):
        (tmp_path / "empty").mkdir()
        index_chosen(tmp_path / "empty", tmp_path / "gallery", str(folder / "model"), print)


def test_progress_counts_a_long_video_once(tmp_path: Path) -> None:
    films.film(tmp_path / "videos" / "clip.mp4")
    with Gallery.build(tmp_path / "videos", films.model(), tmp_path / "gallery") as gallery:
        assert len(gallery) == 3 and _count(tmp_path / "gallery") == 1
    assert _count(tmp_path / "none") == 0


def test_a_chosen_folder_becomes_a_gallery_while_the_page_tells(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = space("page")
    monkeypatch.setattr(Path, "home", lambda: folder)
    monkeypatch.setattr(page, "serve", lambda blocks, **options: blocks)
    setups: list[Any] = []
    build_page = page.build_page
    monkeypatch.setattr(page, "build_page", lambda setup: setups.append(setup) or build_page(setup))
    gallery = tmp_path / "gallery"
    run_demo(str(gallery), str(folder / "model"), new=True)
    [setup] = setups
    said: list[str] = []
    monkeypatch.setattr(setup, "_say", said.append)
    first = space("first_run").FirstRun
    with gr.Blocks():
        screen = first(setup)
    assert setup.is_waiting and screen.box.visible and "photos" in screen.show()
    photos = id_of(setup.chooser.listing(), "photos")
    assert "directly" in screen.enter(SimpleNamespace(_data={"id": photos}))
    assert "no such folder" in screen.enter(SimpleNamespace(_data={"id": "/etc"}))
    assert not screen.choose().visible
    deadline = time.monotonic() + 300
    while not (setup.is_ready or setup.failed):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not setup.failed and not setup.is_waiting and said[:2] == ["Counting the photos …", "Loading the model …"]
    assert len(setup.ready.searcher) == len(Gallery.open(gallery)) == 6
    assert setup.ready.searcher.search(description("green"), 1)
    # The next time there is nothing to choose.
    run_demo(str(gallery), None, new=True)
    assert setups[1].is_ready and setups[1].chooser is None


@pytest.mark.parametrize(
    ("gallery", "model", "options", "problem"),
    [
        (None, "model", {}, "--new needs --gallery"),
        ("new", None, {}, "--new needs --gallery"),
        ("new", "model", {"share": True}, "cannot be combined with --share"),
    ],
)
def test_what_it_needs_is_said(gallery: str | None, model: str | None, options: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        run_demo(gallery, model, new=True, **options)
