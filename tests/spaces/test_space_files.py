import io
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import space_files
from PIL import Image as PillowImage
from space_errors import SpaceError
from space_files import address, picture_routes
from space_search import Original
from starlette.applications import Starlette
from starlette.testclient import TestClient


class Files:
    """A searcher that has nothing but files."""

    def __init__(self, folder: Path) -> None:
        self.originals: dict[str, Any] = {
            "0": Original("a.png", folder / "a.png"),
            "1": Original("a.png", b"content"),
            "2": Original("clip.mp4", folder / "clip.mp4"),
            "3": Original("vanished.png", folder / "vanished.png"),
            "4": None,
        }
        self.asked: list[str] = []

    def small(self, id: str) -> bytes:
        self.asked.append(id)
        self.original(id)
        return b"small"

    def large(self, id: str) -> bytes:
        self.original(id)
        return b"large"

    def original(self, id: str) -> Any:
        if id not in self.originals:
            raise SpaceError("There is no picture with this id.")
        return self.originals[id]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "a.png").write_bytes(b"picture")
    (tmp_path / "clip.mp4").write_bytes(bytes(range(100)))
    return Files(tmp_path)


@pytest.fixture
def client(files: Files) -> TestClient:
    setup: Any = SimpleNamespace(ready=SimpleNamespace(searcher=files))
    return TestClient(Starlette(routes=picture_routes(setup)))


def test_pictures_are_shown_and_kept_by_browsers(client: TestClient, files: Files) -> None:
    for _ in range(2):
        answer = client.get(f"/{address('0', 'small')}")
        assert (answer.content, answer.headers["content-type"]) == (b"small", "image/jpeg")
        assert "private" in answer.headers["cache-control"]
    assert files.asked == ["0"]
    assert client.get(f"/{address('0', 'large')}").content == b"large"


@pytest.mark.parametrize(("id", "content"), [("0", b"picture"), ("1", b"content")])
def test_files_are_offered_to_download_and_never_shown(client: TestClient, id: str, content: bytes) -> None:
    answer = client.get(f"/{address(id, 'file')}")
    assert (answer.content, answer.headers["content-type"]) == (content, "application/octet-stream")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_videos_are_played_from_any_second(client: TestClient) -> None:
    answer = client.get(f"/{address('2', 'video')}", headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, bytes(range(10, 20)))
    assert answer.headers["content-type"] == "video/mp4"
    assert client.get(f"/{address('0', 'video')}").status_code == 404


@pytest.mark.parametrize("id", ["9", "../0", "..%2f..%2fetc%2fpasswd", "4"])
def test_what_is_no_picture_is_not_found(client: TestClient, id: str) -> None:
    for form in ("file", "video", "other"):
        assert client.get(f"/pictures/{id}/{form}").status_code == 404


def test_a_selection_is_one_archive_of_the_files_that_exist(client: TestClient) -> None:
    answer = client.get("/selection.zip", params={"ids": "0,1,3,4,9,0"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "a.png": b"picture",
            "a (2).png": b"content",
        }
    assert answer.headers["content-disposition"] == "attachment; filename=pictures.zip"


@pytest.mark.parametrize(
    ("ids", "problem"),
    [("", "from 1 to 200"), (",".join(map(str, range(201))), "from 1 to 200"), ("3,9", "None of these files exists")],
)
def test_a_selection_that_cannot_be_is_refused(client: TestClient, ids: str, problem: str) -> None:
    answer = client.get("/selection.zip", params={"ids": ids})
    assert answer.status_code == 404 and problem in answer.text


def test_a_selection_is_bounded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_files, "MOST_BYTES_DOWNLOADED", 20)
    assert "choose fewer" in client.get("/selection.zip", params={"ids": "0,1,2"}).text


def test_the_store_gives_pictures_and_files(setup: Any, scenes: Path) -> None:
    client = TestClient(Starlette(routes=picture_routes(setup)))
    sizes = []
    for form in ("small", "large"):
        with PillowImage.open(io.BytesIO(client.get(f"/{address('3', form)}").content)) as picture:
            sizes.append(picture.size)
    with PillowImage.open(scenes / "gallery" / "03.png") as picture:
        assert sizes == [(400, 400), picture.size]
    assert client.get(f"/{address('3', 'file')}").content == (scenes / "gallery" / "03.png").read_bytes()
