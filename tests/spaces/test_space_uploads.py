import io
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from PIL import ImageFile
from space_errors import SpaceError
from space_model import Retriever
from space_own_tab import forget
from space_search import LONGEST_QUERY, MOST_PIXELS
from space_uploads import MOST_BYTES, MOST_OWN, RecentUploads, add_uploads, describe_upload, shorten_name, shrink

from tests.spaces.hostile import SCRIPT, huge_png, jpeg, png, write


def test_uploads_are_added_searched_and_their_files_deleted(retriever: Retriever, tmp_path: Path) -> None:
    files = [write(tmp_path, f"{colour}.png", png(colour)) for colour in ("red", "blue")]
    store, said = add_uploads(None, files, retriever)
    assert said == "<p>2 added. You have 2 of at most 20 pictures.</p>"
    assert [result.name for result in store.pictures] == ["red.png", "blue.png"]
    assert len(store.search("un ballon rouge", 5)) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("bomb.png", huge_png(), "it has more than 24 million pixels; make it smaller first"),
        ("photo.jpg", b"This is not a photo.\n" * 99, "it is not a picture that can be read"),
        ("page.png", f"<svg xmlns='http://www.w3.org/2000/svg'>{SCRIPT}</svg>".encode(), "it is not a picture"),
        ("cut.jpg", jpeg()[:3000], "it is not a picture that can be read"),
        ("empty.jpg", b"", "it is not a picture that can be read"),
        ("heavy.jpg", b"\0" * (MOST_BYTES + 1), "it has more than 10 MB; make it smaller first"),
        (
            "postscript.eps",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "it is not a picture that can be read",
        ),
    ],
)
def test_what_is_no_sound_picture_is_refused(
    retriever: Retriever, tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    good = write(tmp_path, "good.jpg", jpeg())
    store, said = add_uploads(None, [write(tmp_path, name, content), good], retriever)
    assert problem in said and name in said
    assert [result.name for result in store.pictures] == ["good.jpg"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("side", [5_000, 10_000, 17_400])
def test_a_huge_picture_is_refused_before_it_is_decoded(
    retriever: Retriever, tmp_path: Path, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(picture: ImageFile.ImageFile) -> None:
        raise AssertionError("It was decoded.")

    content = huge_png(side)
    assert len(content) < 100_000
    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    _, said = add_uploads(None, [write(tmp_path, "bomb.png", content)], retriever)
    assert f"it has more than {MOST_PIXELS // 10**6} million pixels" in said


def test_there_is_room_for_twenty(retriever: Retriever, tmp_path: Path) -> None:
    files = [write(tmp_path / str(number), "same name.png", png()) for number in range(MOST_OWN + 3)]
    store, said = add_uploads(None, files, retriever)
    assert len(store) == MOST_OWN and said.count("<li>") == 3 and "there is room for 20 pictures" in said
    assert len({result.id for result in store.pictures}) == MOST_OWN


def test_names_are_shown_and_nothing_else(retriever: Retriever, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"no picture")
    renamed = path.rename(tmp_path / f"{SCRIPT.replace('/', '')[:90]}.png")
    _, said = add_uploads(None, [str(renamed)], retriever)
    assert "<script" not in said and "<img" not in said and "&lt;script&gt;" in said
    assert shorten_name("a\u202eb\x00c.png") == "abc.png"
    assert len(shorten_name("x" * 300)) == 60 and shorten_name("\x00") == "picture"


def test_pictures_become_small_and_lose_what_the_camera_wrote() -> None:
    stream = io.BytesIO()
    exif = PillowImage.Exif()
    exif[0x010F] = "Secret camera"
    PillowImage.new("RGB", (3000, 1500), "red").save(stream, "JPEG", exif=exif)
    with PillowImage.open(io.BytesIO(shrink(stream.getvalue()))) as small:
        assert small.size == (640, 320) and not small.getexif()


def test_descriptions_are_bounded_and_can_be_taken_back(retriever: Retriever, tmp_path: Path) -> None:
    store, _ = add_uploads(None, [write(tmp_path, "a.png", png())], retriever)
    id = store.pictures[0].id
    describe_upload(store, id, " A red\nwall. ")
    assert store.picture(id).description == "A red wall."
    with pytest.raises(SpaceError, match="20,000 characters; the most is 1,000"):
        describe_upload(store, id, "x" * 20_000)
    with pytest.raises(SpaceError, match="no picture"):
        describe_upload(store, "other", "x")
    describe_upload(store, id, " ")
    assert store.picture(id).description is None


def test_forgetting_leaves_nothing(retriever: Retriever, tmp_path: Path) -> None:
    store, _ = add_uploads(None, [write(tmp_path, f"{at}.png", png()) for at in range(3)], retriever)
    forget(store)
    forget(None)
    assert len(store) == 0 and store.search("x" * LONGEST_QUERY, 5) == []


@pytest.mark.parametrize(
    "content", [jpeg(), png(), huge_png(), b"", b"no picture"], ids=["JPEG", "PNG", "too large", "empty", "none"]
)
def test_several_visitors_may_upload_the_same_file(retriever: Retriever, tmp_path: Path, content: bytes) -> None:
    """The server gives both the same path, and the first visitor's turn deletes the file."""
    path = write(tmp_path, "same.jpg", content)
    _, first = add_uploads(None, [path], retriever)
    assert list(tmp_path.iterdir()) == []
    for _ in range(3):
        _, other = add_uploads(None, [path], retriever)
        assert other == first and "did not arrive" not in other


def test_what_never_arrived_is_told(retriever: Retriever, tmp_path: Path) -> None:
    _, said = add_uploads(None, [str(tmp_path / "gone.jpg")], retriever)
    assert "it did not arrive; try again" in said


def test_uploads_are_remembered_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("space_uploads.time.monotonic", lambda: now)
    recent = RecentUploads(most=2, seconds=60)
    for name in "abc":
        recent.keep(Path(name), name.encode())
    assert [recent.find(Path(name)) for name in "abc"] == [None, b"b", b"c"]
    now = 61.0
    assert recent.find(Path("c")) is None and len(recent) == 0
