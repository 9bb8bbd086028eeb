"""The first run of the page: a folder of photos is chosen in the browser, and becomes a gallery."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processing.folders import walk_files
from processing.screen import shown

from ..errors import UserError
from ..gallery.candidates import kind_of
from ..gallery.store.catalogue import FILE, Catalogue, read_state
from ..gallery.store.moments import count_moments
from .space import space

SECONDS_BETWEEN_LOOKS = 1.0
MOST_FOLDERS = 300


class FolderChooser:
    """Goes through the folders of this machine; the page names them by ids, so that no path comes from a browser.

    Args:
        start: The folder to begin with.
    """

    def __init__(self, start: Path) -> None:
        self._open = start.resolve()
        self._offered: dict[str, Path] = {}
        self._lock = threading.Lock()
        self.chosen: Path | None = None

    def listing(self) -> Any:
        """Return the folder that is open, as the Space's `Listing`."""
        with self._lock:
            return self._listing()

    def _listing(self) -> Any:
        inside = self._inside(self._open)
        folders = [path for path in inside if path.is_dir() and not path.name.startswith(".")][:MOST_FOLDERS]
        named = [(path, shown(path.name)) for path in folders]
        if self._open != self._open.parent:
            named.insert(0, (self._open.parent, "↑ the folder above"))
        self._offered |= {_id(path): path for path, _ in named}
        pictures = sum(kind_of(path) is not None for path in inside)
        return space("first_run").Listing(shown(self._open), pictures, [(_id(path), name) for path, name in named])

    @staticmethod
    def _inside(folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError:
            return []

    def enter(self, id: str) -> Any:
        """Open another folder."""
        with self._lock:
            path = self._offered.get(id)
            if path is None or not path.is_dir():
                raise space("errors").SpaceError("There is no such folder any longer; choose another one.")
            self._open = path
            return self._listing()

    def choose(self) -> None:
        """Take the folder that is open."""
        with self._lock:
            self.chosen = self._open


def _id(path: Path) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()


def index_chosen(folder: Path, gallery: Path, model: str, say: Callable[[str], None], **loading: Any) -> None:
    """Make a gallery of a folder, and say how far it is.

    Args:
        folder: The folder of photos.
        gallery: The gallery to write; one that was begun is resumed.
        model: The model.
        say: Told about progress.
        **loading: `device`, `dtype` and `trust_remote_code`, as for `Gallery`.

    Raises:
        SpaceError: If that is not possible, in words for the page.
    """
    from ..gallery import Gallery

    say("Counting the photos …")
    # What cannot be read is told by the indexing itself.
    total = sum(kind_of(path) is not None for path in walk_files(folder, []))
    say("Loading the model …")
    try:
        with _telling(gallery, total, say):
            Gallery.build(folder, model, gallery, **loading).close()
    except UserError as error:
        raise space("errors").SpaceError(shown(str(error))) from error


@contextmanager
def _telling(gallery: Path, total: int, say: Callable[[str], None]) -> Iterator[None]:
    """Say every second how many items a gallery has that is being built; it is committed every few seconds."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            if (gallery / FILE).is_file():
                say(f"Indexing your photos: {_count(gallery):,} of {total:,} …")

    thread = threading.Thread(target=look, name="indexing progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _count(gallery: Path) -> int:
    """Return how many files a gallery has that another thread writes, of a long video one and not its shots.

    It is 0 if that cannot be read yet.
    """
    try:
        catalogue = Catalogue(gallery)
        with catalogue.reading() as connection:
            items = read_state(connection, str(gallery)).items
            shots, videos = count_moments(connection)
        catalogue.close()
        return items - shots + videos
    except UserError:
        return 0
