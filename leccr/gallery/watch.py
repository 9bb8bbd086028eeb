"""A gallery follows its folders while they change."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from processing.faults import fault_of_the_machine

from ..errors import UserError, missing_extra
from .options import SyncOptions
from .store.catalogue import Catalogue
from .store.followed import followed_folders, outermost
from .sync import SyncReport, sync_gallery

if TYPE_CHECKING:
    from ..models.encoder import Encoder

# Milliseconds after which folders that were added or mounted meanwhile are noticed.
TICK = 1000


def watch_gallery(
    catalogue: Catalogue, load: "Callable[[], Encoder]", options: SyncOptions, stop: Event | None = None
) -> Iterator[SyncReport]:
    """Synchronise a gallery, and again after each change in its folders, until it is stopped.

    Args:
        catalogue: The gallery's catalogue.
        load: Returns the gallery's encoder.
        options: How to read and encode.
        stop: Ends this when it is set.

    Yields:
        What became of the files.

    Raises:
        UserError: If watchfiles is not installed, or none of the folders exists.
    """
    try:
        from watchfiles import watch
    except ImportError as error:
        raise missing_extra("watch", "Watching folders") from error
    own = catalogue.folder.resolve()
    stop = stop or Event()
    if not _folders(catalogue):
        raise UserError(
            f"The gallery {catalogue.folder} has no folder that can be watched; add one with `leccr gallery add "
            f"{catalogue.folder} FOLDER`."
        )
    while not stop.is_set():
        watched = _folders(catalogue)
        if not watched:
            # A drive that comes back is seen.
            stop.wait(TICK / 1000)
            continue
        pending = True
        for changes in watch(
            *watched,
            watch_filter=lambda change, path: not Path(path).is_relative_to(own),
            stop_event=stop,
            rust_timeout=TICK,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            # Only after the watcher has started, so that no change falls between.
            if pending or changes:
                yield _synchronised(catalogue, load, options)
                pending = False
            if _folders(catalogue) != watched:
                break


def _synchronised(catalogue: Catalogue, load: "Callable[[], Encoder]", options: SyncOptions) -> SyncReport:
    try:
        return sync_gallery(catalogue, load, options)
    except Exception as error:
        # A pattern that is being written, or a disk that is full: the next change tries again.
        reason = str(error) if isinstance(error, UserError) else fault_of_the_machine(error)
        if reason is None:
            raise
        return SyncReport(broken=[(str(catalogue.folder), reason)])


def _folders(catalogue: Catalogue) -> list[Path]:
    with catalogue.reading() as connection:
        return [folder.path for folder in outermost(followed_folders(connection)) if folder.path.is_dir()]
