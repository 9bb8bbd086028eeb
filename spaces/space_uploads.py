"""A visitor's own pictures: checked, made small, and kept in memory for the visit."""

import html
import io
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from PIL import Image as PillowImage
from space_errors import SpaceError
from space_model import Retriever
from space_search import Picture, open_picture
from space_store import PictureStore

MOST_OWN = 20
MOST_BYTES = 10 * 1024 * 1024
LONGEST_SIDE = 640
LONGEST_NAME = 60
LONGEST_DESCRIPTION = 1000
SECONDS_KEPT = 30 * 60


def add_uploads(store: PictureStore | None, files: Sequence[str], retriever: Retriever) -> tuple[PictureStore, str]:
    """Take uploaded files into a visitor's store, and delete them.

    A file's name is only shown: its type is detected from the content, and the server chooses its path.

    Args:
        store: The visitor's pictures; None if there are none yet.
        files: Paths that the server gave to the uploads.
        retriever: The model.

    Returns:
        The store, and what became of the files, as HTML without anything that was not escaped.
    """
    store = PictureStore(retriever) if store is None else store
    problems, added = [], 0
    for file in files:
        path = Path(file)
        name = shorten_name(path.name)
        try:
            if len(store) >= MOST_OWN:
                raise SpaceError(f"there is room for {MOST_OWN} pictures; remove some first")
            content = _take(path, retriever.background)
            store.add([Picture(secrets.token_hex(8), name, content)])
            added += 1
        except SpaceError as error:
            problems.append(f"<li><bdi>{html.escape(name)}</bdi>: {html.escape(str(error))}.</li>")
        finally:
            path.unlink(missing_ok=True)
    said = f"<p>{added} added. You have {len(store)} of at most {MOST_OWN} pictures.</p>"
    if problems:
        said += f'<p role="alert">Not added:</p><ul>{"".join(problems)}</ul>'
    return store, said


class RecentUploads:
    """What lately came of uploads, by the paths that the server gave them.

    A path is made of a file's content and name. Two visitors who upload the same file are given the same one, and the
    first deletes it, perhaps before the second is served.
    """

    def __init__(self, most: int = 200, seconds: float = 10 * 60) -> None:
        self._kept: OrderedDict[Path, tuple[float, bytes | SpaceError]] = OrderedDict()
        self._most, self._seconds = most, seconds
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, path: Path, outcome: bytes | SpaceError) -> None:
        """Remember a small picture, or what was wrong with an upload."""
        with self._lock:
            self._forget_old()
            self._kept[path] = (time.monotonic(), outcome)
            self._kept.move_to_end(path)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def find(self, path: Path) -> bytes | SpaceError | None:
        """Return what came of an upload to this path in the last minutes, if there was one."""
        with self._lock:
            self._forget_old()
            return self._kept[path][1] if path in self._kept else None

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._kept and next(iter(self._kept.values()))[0] < oldest:
            self._kept.popitem(last=False)


RECENT = RecentUploads()


def _take(path: Path, background: str) -> bytes:
    """Return the small picture of an upload."""
    outcome: bytes | SpaceError | None = None if path.exists() else RECENT.find(path)
    if outcome is None:
        try:
            outcome = shrink(read_upload(path), background)
        except SpaceError as error:
            outcome = error
        if path.exists():
            RECENT.keep(path, outcome)
    if isinstance(outcome, SpaceError):
        raise outcome
    return outcome


def read_upload(path: Path) -> bytes:
    """Return the content of an upload.

    Raises:
        SpaceError: If it is too large, or gone.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SpaceError(f"it has more than {MOST_BYTES // 2**20} MB; make it smaller first")
        return path.read_bytes()
    except OSError as error:
        raise SpaceError("it did not arrive; try again") from error


def shrink(content: bytes, background: str = "white") -> bytes:
    """Return a picture as a JPEG of at most 640 pixels a side, without what the camera wrote into it.

    Args:
        content: The picture's file.
        background: What is seen through transparent parts.

    Raises:
        SpaceError: If it is not a picture that can be read.
    """
    picture = open_picture(content, background).copy()
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), PillowImage.Resampling.LANCZOS)
    stream = io.BytesIO()
    # Full colour resolution: in small pictures the colours of small things would be lost.
    picture.save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def shorten_name(name: str) -> str:
    """Return a file's name as it is shown: printable, and not too long."""
    shown = "".join(letter for letter in name if letter.isprintable()).strip() or "picture"
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 1]}…"


def describe_upload(store: PictureStore, id: str, description: str) -> str:
    """Replace a picture's description with a visitor's words, and return a sentence about it.

    Raises:
        SpaceError: If there is no such picture, or the description is too long.
    """
    words = " ".join(str(description).encode("utf-8", "replace").decode("utf-8").split())
    if len(words) > LONGEST_DESCRIPTION:
        raise SpaceError(f"The description has {len(words):,} characters; the most is {LONGEST_DESCRIPTION:,}.")
    store.describe(id, words or None)
    return "The description is saved, and the picture is found by it." if words else "The description is gone."
