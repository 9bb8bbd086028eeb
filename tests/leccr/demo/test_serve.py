import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from leccr.demo import run_demo, scenes
from leccr.demo.space import space
from leccr.errors import UserError
from leccr.gallery import Gallery
from tests.leccr.gallery.tiny_gallery import NAMES, description

QUERY = description("green")
OPTIONS: dict[str, Any] = {"prevent_thread_lock": True, "server_port": None}


def client_of(address: str) -> Client:
    """Return a client that waits as long as a busy machine takes."""
    return Client(address, verbose=False, httpx_kwargs={"timeout": None})


def test_the_page_serves_a_gallery(folder: Path) -> None:
    page, address, _ = run_demo(str(folder / "gallery"), None, **OPTIONS)
    client = client_of(address)
    answer = client.predict(query=QUERY, k=2, api_name="/search")
    expected = Gallery.open(folder / "gallery").search(QUERY, 2, folded=True)
    assert [result["name"] for result in answer["results"]] == [result.path for result in expected]
    id = answer["results"][0]["id"]
    assert client.predict(id=id, query=QUERY, api_name="/explain")["answered_by"]
    small = httpx.get(f"{address}{space('files').address(id, 'small')}", timeout=None)
    assert (small.status_code, small.headers["content-type"]) == (200, "image/jpeg")
    file = httpx.get(f"{address}{space('files').address(id, 'file')}", timeout=None)
    assert file.content == (folder / "photos" / expected[0].path).read_bytes()


@pytest.mark.parametrize("dtype", ["auto", "bf16"])
def test_the_page_serves_a_folder_of_pictures(folder: Path, dtype: str) -> None:
    _, address, _ = run_demo(str(folder / "photos"), str(folder / "model"), dtype=dtype, **OPTIONS)
    client = client_of(address)
    answer = client.predict(query=QUERY, k=9, api_name="/search")
    assert len(answer["results"]) == 6
    why = client.predict(id=answer["results"][0]["id"], query=QUERY, api_name="/explain")
    assert why["score"] == pytest.approx(answer["results"][0]["score"], abs=1e-2)


def test_a_machine_too_busy_for_gradios_own_check_serves_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the check returns when the page does not answer within its three seconds.
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)
    _, address, _ = run_demo(str(folder / "photos"), str(folder / "model"), **OPTIONS)
    assert client_of(address).predict(query=QUERY, k=1, api_name="/search")["results"]


@pytest.mark.parametrize(
    ("gallery", "model", "problem"),
    [
        ("no/such/folder", None, "There is no gallery no/such/folder"),
        ("nosuch", None, "There is no gallery nosuch; make one with `leccr index`, or name a folder of pictures"),
        ("org/nosuch", None, "neither a folder nor a data set on the Hub"),
        ("{folder}/empty", None, "The gallery holds no pictures"),
        (None, "no/such/model", "There is no model"),
    ],
)
def test_what_does_not_exist_is_reported_before_anything_is_trained_or_served(
    gallery: str | None, model: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "prepare_scenes", None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=problem):
        run_demo(gallery and gallery.format(folder=tmp_path), model, **OPTIONS)


def test_nothing_but_the_address_is_printed_and_ctrl_c_reaches_the_caller(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(space("page"), "time", Mock(sleep=Mock(side_effect=KeyboardInterrupt)))
    with pytest.raises(KeyboardInterrupt):
        run_demo(str(folder / "gallery"), None, server_port=None)
    printed = capsys.readouterr()
    assert re.fullmatch(r"The page is at http://127.0.0.1:\d+/. Ctrl-C ends it.\n", printed.out)
    assert printed.err == ""


@pytest.mark.parametrize("gallery", ["gallery", "photos"])
def test_queries_that_are_offered_are_descriptions_of_what_is_shown(
    gallery: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = space("page")
    monkeypatch.setattr(page, "build_page", lambda setup: setup)
    monkeypatch.setattr(page, "serve", lambda setup, **options: setup.ready)
    ready: Any = run_demo(str(folder / gallery), str(folder / "model"))
    texts = [text for idea in ready.ideas for text in idea.values()]
    assert texts and set(texts) <= set(map(description, NAMES))


def test_a_port_that_is_taken_is_reported(folder: Path) -> None:
    page, _, _ = run_demo(str(folder / "gallery"), None, **OPTIONS)
    with pytest.raises(UserError, match="The page cannot be served: Cannot find empty port"):
        run_demo(str(folder / "gallery"), None, **{**OPTIONS, "server_port": page.blocks.server_port})


def test_without_a_model_one_is_trained_behind_the_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, served = [], threading.Event()

    def prepare(cache: Path, say: Callable[[str], None], num_train: int, device: str) -> Path:
        asked.append((cache, num_train, device))
        say("Training, step 3 of 9 …")
        assert served.wait(300)
        for name, source in (("model", "model"), ("gallery", "photos")):
            (tmp_path / name).symlink_to(folder / source)
        return tmp_path

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(scenes, "prepare_scenes", prepare)
    _, address, _ = run_demo(None, None, 70, **OPTIONS)
    client = client_of(address)
    with pytest.raises(AppError, match="Not ready yet. Training, step 3 of 9 …"):
        client.predict(query=QUERY, k=9, api_name="/search")
    served.set()
    while True:
        try:
            answer = client.predict(query=QUERY, k=9, api_name="/search")
            break
        except AppError as error:
            assert "Not ready yet" in str(error)
            time.sleep(0.1)
    assert asked == [(tmp_path / "leccr", 70, "auto")] and len(answer["results"]) == 6
