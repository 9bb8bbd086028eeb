"""What changes a gallery: adding, removing, repairing, and storing it in another way."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .filters import parse_filter
from .options import AddOptions, SyncOptions
from .results import find_items
from .store.catalogue import Catalogue, Item, select_items
from .store.snapshot import Snapshot
from .store.state import State

if TYPE_CHECKING:
    from threading import Event

    from ..models.encoder import Encoder
    from .add import AddReport
    from .check import CheckReport
    from .sync import SyncReport


class GalleryChanges:
    """The methods of `leccr.Gallery` that change a gallery.

    Attributes:
        folder: The gallery's folder.
        catalogue: Its catalogue.
        device: Where its model runs.
    """

    folder: Path
    catalogue: Catalogue
    device: str

    @property
    def encoder(self) -> "Encoder":
        """The gallery's model."""
        raise NotImplementedError

    def add(self, source: str | Path, **options: Any) -> "AddReport":
        """Add a folder, a file or a data set: new items are added, changed ones replaced, the others stay as they are.

        Args:
            source: As for `build`, or a file.
            **options: Fields of `leccr.gallery.options.AddOptions`.
        """
        from .build import add_to_gallery

        options = {"device": self.device, **options}
        return add_to_gallery(self.catalogue, lambda: self.encoder, str(source), AddOptions(**options))

    def sync(self, **options: Any) -> "SyncReport":
        """Bring the gallery to the state of the folders and files that were added to it.

        New and changed files are encoded, items of moved and renamed ones keep their views, and those of deleted ones
        are removed. See `leccr.gallery.sync.sync_gallery`.

        Args:
            **options: Fields of `leccr.gallery.options.SyncOptions`.
        """
        from .sync import sync_gallery

        options = {"device": self.device, **options}
        return sync_gallery(self.catalogue, lambda: self.encoder, SyncOptions(**options))

    def watch(self, stop: "Event | None" = None, **options: Any) -> "Iterator[SyncReport]":
        """Synchronise the gallery, and again whenever something changes in its folders; yields what became of them.

        Args:
            stop: Ends this when it is set.
            **options: As for `sync`.
        """
        from .watch import watch_gallery

        options = {"device": self.device, **options}
        return watch_gallery(self.catalogue, lambda: self.encoder, SyncOptions(**options), stop)

    def relocate(self, old: str | Path, new: str | Path) -> int:
        """Tell the gallery that a folder is at another path now; nothing is read or encoded.

        Args:
            old: The folder's path so far.
            new: Its path now.

        Returns:
            The number of files in it.
        """
        from .relocate import relocate_folder

        return relocate_folder(self.catalogue, str(old), Path(new))

    def duplicates(self) -> list[list[Item]]:
        """Return groups of files that are nearly the same picture, or the same, by their stored views.

        See `leccr.gallery.alike`. In each group all are near duplicates of the first, which was added before them.
        """
        from .alike import find_duplicates

        with self.catalogue.reading() as connection:
            snapshot = Snapshot.open(connection, self.folder, approximate=False)
        return find_duplicates(self.catalogue, snapshot)

    def remove(self, names: Sequence[str] = (), where: str | None = None) -> list[Item]:
        """Remove items from the gallery; their files are kept.

        Args:
            names: Ids, paths, files, or folders with everything below them. Of a long video all shots go, whichever of
                them is named.
            where: A filter over the stored columns.

        Returns:
            The removed items, of a long video one that stands for all of its shots.

        Raises:
            UserError: If a name matches no item; then nothing is removed.
        """
        from .store.maintenance import remove_items, settle
        from .store.moments import moments_of, video_id, with_whole_videos

        with self.catalogue.reading() as connection:
            items = {item.number: item for name in names for item in find_items(connection, name, str(self.folder))}
            if where is not None:
                items |= {item.number: item for item in select_items(connection, *parse_filter(where))}
            numbers = with_whole_videos(connection, items)
            shots = moments_of(connection, items)
        remove_items(self.catalogue, numbers)
        settle(self.catalogue)
        named = [replace(item, id=video_id(item.id)) if item.number in shots else item for item in items.values()]
        return list({(item.source, item.id): item for item in named}.values())

    def convert(
        self, store: str | None = None, ann: str | None = None, engine: str | None = None, uri: str | None = None
    ) -> State:
        """Change how the views are stored; None leaves a choice as it is.

        Args:
            store: `fp32`, `fp16` or `int8`. What a smaller format has lost does not come back.
            ann: `hnsw` or `ivfpq` for an approximate index, `none` for exact search.
            engine: `faiss` or `milvus`.
            uri: Address of the Milvus server.
        """
        from .store.maintenance import convert_gallery

        return convert_gallery(self.catalogue, store, ann, engine, uri)

    def check(self, repair: bool = False, files: bool = False) -> "CheckReport":
        """Check that the gallery is complete and as it was written; see `leccr.gallery.check.check_gallery`."""
        from .check import check_gallery

        return check_gallery(self.catalogue, lambda: self.encoder, repair, files)
