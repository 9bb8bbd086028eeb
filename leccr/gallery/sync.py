"""A gallery follows its folders: new, changed, moved and deleted files since the last time."""

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from processing.descriptions import read_descriptions
from processing.folders import file_identity
from processing.names import stored_path

from ..errors import UserError
from .add import AddReport
from .build import add_source, finish_adding
from .candidates import Candidate, Source
from .ignored import SYSTEM_FOLDERS, Ignored, ignored_in
from .known import Descriptions
from .options import SyncOptions
from .reconcile import reconcile
from .results import file_of
from .sources import files_source, walk_folder
from .store.catalogue import FOLDER, Catalogue, Item, folder_roots, sources_of
from .store.followed import (
    Followed,
    follow,
    followed_folders,
    forget_empty,
    mark_missing,
    missing_numbers,
    outermost,
    unmark,
)
from .store.maintenance import all_items, remove_items, settle

if TYPE_CHECKING:
    from ..models.encoder import Encoder

GONE, EXCLUDED, PRESENT = "gone", "excluded", "present"


@dataclass
class SyncReport(AddReport):
    """What became of the files of a gallery since the last time.

    Attributes:
        removed: Files that left the gallery, as they were deleted or replaced.
        excluded: Files that left the gallery, as they are left out now.
        missing: Files that are gone, and whose items are kept and marked.
        unavailable: Number of files whose items were kept, by why nothing can be said about them.
    """

    removed: int = 0
    excluded: int = 0
    missing: int = 0
    unavailable: Counter[str] = field(default_factory=Counter)

    @property
    def has_changes(self) -> bool:
        """Whether the gallery has changed, or a file could not be used."""
        return any((self.added, self.replaced, self.moved, self.removed, self.excluded, self.broken))


def sync_gallery(catalogue: Catalogue, load: "Callable[[], Encoder]", options: SyncOptions) -> SyncReport:
    """Bring a gallery to the state of the folders and files that were added to it.

    Each step is complete in itself, so that the same call finishes what a stopped one left: moved files first, then
    deleted ones, and new and changed ones last. Without anything to encode the model is not loaded.

    Args:
        catalogue: The gallery's catalogue.
        load: Returns the gallery's encoder.
        options: How to read and encode.

    Raises:
        UserError: If the gallery has no items from folders.
    """
    folders = _folders(catalogue, options)
    sources = _walk(catalogue, folders, options)
    walked = [stored_path(source.location) for source, _ in sources if source.ignored is not None]
    candidates = [candidate for source, _ in sources for candidate in _candidates(source)]
    found = reconcile(catalogue, candidates, walked)
    report = SyncReport(moved=found.moved, removed=found.displaced)
    _settle_items(catalogue, [source for source, _ in sources], options.keep_missing, report)
    pending = bool(found.pending or options.describe_with or options.ocr)
    for source, own in sources:
        added = add_source(catalogue, source, load(), own) if pending else _unchanged(source)
        report.join(added)
    report.unchanged = max(0, report.unchanged - found.moved)
    if pending:
        finish_adding(catalogue, load(), report)
    else:
        settle(catalogue)
    return report


def _unchanged(source: Source) -> AddReport:
    report = AddReport.of(source)
    report.unchanged = source.count
    return report


def _folders(catalogue: Catalogue, options: SyncOptions) -> list[Followed]:
    """Return the outermost folders that a gallery follows, with the options' patterns."""
    with catalogue.reading() as connection:
        if not folder_roots(connection):
            raise UserError(
                f"The gallery {catalogue.folder} has no folders to follow, only data sets; add a folder with "
                f"`leccr gallery add {catalogue.folder} FOLDER`."
            )
        folders = outermost(followed_folders(connection))
    for folder in folders:
        ignored_in([], folder.location, options.exclude)
    if options.exclude:
        with catalogue.writing() as connection:
            for folder in folders:
                follow(connection, folder.location, options.exclude, folder.frames)
    return folders


def _walk(catalogue: Catalogue, folders: Sequence[Followed], options: SyncOptions) -> list[tuple[Source, SyncOptions]]:
    """Return what is in the folders that can be looked into, and the files that were added one by one."""
    with catalogue.reading() as connection:
        roots, everything = folder_roots(connection), followed_folders(connection)
    options = dataclasses.replace(options, exclude=())
    descriptions = Descriptions(read_descriptions(catalogue.folder))
    sources = []
    for folder in folders:
        if _unavailable(folder.path) is None:
            ignored = ignored_in(everything, str(folder.path), ())
            source = walk_folder(folder.path, roots, folder.frames, ignored)
            sources.append((source, dataclasses.replace(options, frames=folder.frames)))
    singles = _singles(catalogue, [folder.path for folder in folders])
    if singles:
        source = files_source(list(singles), roots, next(iter(singles)).parent)
        candidates = [
            dataclasses.replace(candidate, kind=singles[candidate.file].kind)
            for candidate in _candidates(source)
            if candidate.file is not None
        ]
        source.read = lambda begin, end: candidates[begin:end]
        sources.append((source, options))
    for source, _ in sources:
        _describe(source, descriptions)
    return sources


def _candidates(source: Source) -> list[Candidate]:
    return source.read(0, source.count)


def _describe(source: Source, descriptions: Descriptions) -> None:
    candidates = [descriptions.added_to(candidate) for candidate in _candidates(source)]
    source.read = lambda begin, end: candidates[begin:end]


def _singles(catalogue: Catalogue, followed: Sequence[Path]) -> dict[Path, Item]:
    """Return the existing files of items that are in none of the followed folders."""
    return {
        file: item
        for item, _, file in _files(catalogue)
        if file is not None and not any(file.is_relative_to(folder) for folder in followed) and file.is_file()
    }


def _files(catalogue: Catalogue) -> Iterator[tuple[Item, str, Path | None]]:
    """Yield the items of folders, their sources' locations and their files."""
    with catalogue.reading() as connection:
        sources = sources_of(connection)
    for item in all_items(catalogue):
        kind, location = sources.get(item.source, ("", ""))
        if kind == FOLDER:
            yield item, location, file_of(item, sources)


def _settle_items(catalogue: Catalogue, sources: Sequence[Source], keep_missing: bool, report: SyncReport) -> None:
    """Remove or mark the items whose files are gone, and remove those whose files are left out now."""
    keys = {candidate.key for source in sources for candidate in _candidates(source)}
    ignored = [source.ignored for source in sources if source.ignored is not None]
    files_found = [each.file for source in sources for each in _candidates(source) if each.file is not None]
    found = cache(lambda: {*map(file_identity, files_found)} - {None})
    unreadable = [Path(folder) for source in sources for folder in source.unreadable]
    numbers: dict[str, list[int]] = defaultdict(list)
    files: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for item, location, file in _files(catalogue):
        present = f"{location}/{item.path}" in keys
        what = PRESENT if present else _what_became(file, stored_path(location), ignored, unreadable, found)
        numbers[what].append(item.number)
        files[what].add((location, item.path))
    gone = [] if keep_missing else numbers[GONE]
    if gone or numbers[EXCLUDED]:
        remove_items(catalogue, [*gone, *numbers[EXCLUDED]])
    if keep_missing:
        report.missing = len(files[GONE])
    else:
        report.removed += len(files[GONE])
    report.excluded = len(files[EXCLUDED])
    outcomes = (GONE, EXCLUDED, PRESENT)
    report.unavailable = Counter({reason: len(found) for reason, found in files.items() if reason not in outcomes})
    with catalogue.reading() as connection:
        marked = missing_numbers(connection)
    marks, back = set(numbers[GONE]).difference(gone, marked), marked.intersection(numbers[PRESENT])
    if marks or back or gone:
        with catalogue.writing() as connection:
            mark_missing(connection, marks)
            unmark(connection, back)
            forget_empty(connection)


def _what_became(
    file: Path | None,
    root: Path,
    ignored: Sequence[Ignored],
    unreadable: Sequence[Path],
    found: Callable[[], Set[tuple[int, int] | None]],
) -> str:
    """Return whether a file that was not found is gone, excluded or present, or why that is not known.

    Args:
        file: The file; None if it is none that may be looked at.
        root: The folder that it was added with.
        ignored: What is left out of the folders.
        unreadable: Folders that cannot be read.
        found: Returns the identities of the files that were found.
    """
    reason = _unavailable(root)
    if reason is not None:
        return f"{root} {reason}"
    if file is None:
        return PRESENT
    for folder in unreadable:
        if file.is_relative_to(folder):
            return f"{folder} cannot be read"
    try:
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return GONE
    except OSError as error:
        return f"{file.parent} cannot be read ({error.strerror})"
    if any(file.is_relative_to(each.root) and each.leaves_out(file) for each in ignored):
        return EXCLUDED
    # A folder took its place; or it was found by another name, as where only the case of letters has changed.
    return GONE if file.is_dir() or file_identity(file) in found() else PRESENT


def _unavailable(folder: Path) -> str | None:
    """Return why nothing can be said about the files of a folder; None if they can be looked for.

    A folder without anything in it, but for what systems leave, is taken for a drive that is not there: removing all
    items by mistake would cost hours of encoding, and `leccr gallery remove` does it on purpose.
    """
    if not folder.is_absolute():
        return "is not a folder of this machine"
    try:
        with os.scandir(folder) as entries:
            return None if any(map(_is_of_people, entries)) else "is empty, as where a drive is not mounted"
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _is_of_people(entry: "os.DirEntry[str]") -> bool:
    return not entry.name.startswith(".") and entry.name.casefold() not in SYSTEM_FOLDERS
