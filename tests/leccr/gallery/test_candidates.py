import os
from pathlib import Path

import pytest

from leccr.errors import UserError
from leccr.gallery.candidates import Candidate, Source, kind_of
from leccr.gallery.sources import open_source
from processing.images import open_image
from tests.leccr.gallery.tiny_gallery import paint, photos


def ids(source: Source) -> list[str]:
    return [candidate.id for chunk in source.chunks(5) for candidate in chunk]


def test_content_decides_about_the_hash(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 0)
    paint(tmp_path / "b.png", 0)
    paint(tmp_path / "c.png", 1)
    first, second, third = (candidate.hash() for candidate in open_source(str(tmp_path)).read(0, 3))
    assert first == second != third
    assert len(first) == 32


def test_chunks_are_always_cut_alike(tmp_path: Path) -> None:
    photos(tmp_path / "p")
    source = open_source(str(tmp_path / "p"))
    assert [len(chunk) for chunk in source.chunks(5)] == [5, 5, 2]


def test_endings_tell_what_a_file_is() -> None:
    assert [kind_of(name) for name in ("a.JPG", "a.b.webm", "a", "jpg")] == ["image", "video", None, None]


@pytest.mark.parametrize(
    ("column", "path"),
    [
        ("image", "/dev/zero"),
        ("image", "/proc/self/environ"),
        ("image", "{tmp}/text.png"),
        ("image", "{tmp}/pipe.png"),
        ("video", "/dev/zero"),
        ("video", "{tmp}/pipe.png"),
        ("video", "{tmp}"),
    ],
)
def test_rows_of_a_data_set_read_nothing_but_pictures_and_videos(tmp_path: Path, column: str, path: str) -> None:
    """A data set from elsewhere may name any file."""
    (tmp_path / "text.png").write_text("secret")
    os.mkfifo(tmp_path / "pipe.png")
    path = path.format(tmp=tmp_path)
    row = {"image": {"path": path, "bytes": None}} if column == "image" else {"video": path}
    with pytest.raises(UserError, match="not a picture or video"):
        Candidate("data", "a", path, column, None, row=row).hash()
    if column == "image":
        with pytest.raises(UserError):
            open_image(row["image"])
