"""Which files of a folder are left out: by patterns, as folders that a NAS keeps for itself, and hidden ones."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing.names import stored_name
from processing.suffixes import COMPANIONS
from processing.text_files import read_text

from ..errors import UserError, missing_extra
from .store.followed import Followed

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".leccrignore"
BY_OPTION, BY_FILE, BY_SYSTEM, HIDDEN = "--exclude", IGNORE_FILE, "system folder", "hidden"
# In lower case: thumbnails, snapshots and recycle bins of Synology, QNAP, Windows, macOS and Linux.
SYSTEM_FOLDERS = (
    "@eadir",
    "#recycle",
    "#snapshot",
    "@recycle",
    ".@__thumb",
    "@recently-snapshot",
    ".trash*",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "lost+found",
)
_SENTENCES = {
    BY_OPTION: "by --exclude",
    BY_FILE: f"by {IGNORE_FILE}",
    BY_SYSTEM: "in folders that a NAS or the system keeps for itself, such as @eaDir or a recycle bin",
    HIDDEN: "hidden, since its name or its folder's begins with a dot",
}
_SENTENCE_OF_SEVERAL = {HIDDEN: "hidden, since their names or their folders' begin with a dot"}


# Of POSIX, which the library does not know.
_CLASS = re.compile(r"\[:\w+:\]")


class Ignored:
    """Decides what to leave out below a folder, and counts it by reason.

    Patterns are written as in a `.gitignore`. Of several that fit, the last one decides, and one that begins with `!`
    takes back what others leave out, such as `!@eaDir/`. Those of a folder decide before those of the folders above,
    `--exclude` before any `.leccrignore`, and both before what is left out by default.

    Args:
        root: The folder; what is above it does not matter.
        patterns: Patterns as for `--exclude`, by the folder that they are about.

    Attributes:
        counts: Number of files that were left out, by reason.

    Raises:
        UserError: If a pattern is none.
    """

    def __init__(self, root: Path, patterns: Mapping[Path, Sequence[str]]) -> None:
        self.root = root
        self.counts: Counter[str] = Counter()
        self._given = {folder: _compiled(given, "--exclude") for folder, given in patterns.items()}
        self._files: dict[Path, GitIgnoreSpec | None] = {}

    def keeps(self, path: Path, is_folder: bool) -> bool:
        """Return whether a file is kept, or a folder entered; what is left out is counted."""
        reason = self._reason(path, is_folder)
        if reason is not None:
            self.counts.update([reason] * (_count_files(path) if is_folder else _counts(path.name)))
        return reason is None

    def leaves_out(self, path: Path, is_folder: bool = False) -> str | None:
        """Return why a file is left out, by its own name or by that of a folder that it is in; None if it is not."""
        above = [folder for folder in path.parents if folder != self.root and folder.is_relative_to(self.root)]
        reasons = (self._reason(folder, True) for folder in reversed(above))
        return next(filter(None, reasons), None) or (None if path == self.root else self._reason(path, is_folder))

    def sentences(self) -> list[str]:
        """Return sentences that count the files that were left out."""
        return sentences(self.counts)

    def _reason(self, path: Path, is_folder: bool) -> str | None:
        above = [folder for folder in path.parents if folder.is_relative_to(self.root)]
        for reason, of_folder in ((BY_OPTION, self._given.get), (BY_FILE, self._of_folder)):
            for folder in above:
                verdict = _verdict(of_folder(folder), folder, path, is_folder)
                if verdict is not None:
                    return reason if verdict else None
        name = path.name.casefold()
        if is_folder and any(fnmatchcase(name, pattern) for pattern in SYSTEM_FOLDERS):
            return BY_SYSTEM
        return HIDDEN if name.startswith(".") else None

    def _of_folder(self, folder: Path) -> "GitIgnoreSpec | None":
        if folder not in self._files:
            file = folder / IGNORE_FILE
            try:
                # A pipe of this name would be waited for.
                lines = re.split(r"\r?\n", read_text(file)) if file.is_file() else ()
            except OSError as error:
                raise UserError(f"{file} cannot be read: {error.strerror}.") from error
            self._files[folder] = _compiled(lines, str(file))
        return self._files[folder]


def ignored_in(folders: Sequence[Followed], source: str, exclude: Sequence[str]) -> Ignored:
    """Return what is left out of a folder.

    Args:
        folders: Folders that the gallery follows, and their patterns.
        source: The folder.
        exclude: More patterns for it.
    """
    check_patterns(exclude)
    root = Path(source).resolve()
    patterns = {folder.path: list(folder.exclude) for folder in folders}
    patterns.setdefault(root, []).extend(exclude)
    above = [folder.path for folder in folders if root.is_relative_to(folder.path)]
    return Ignored(min(above, key=lambda folder: len(folder.parts), default=root), patterns)


def sentences(counts: Counter[str]) -> list[str]:
    """Return sentences that count files that were left out, by reason."""
    several = _SENTENCES | _SENTENCE_OF_SEVERAL
    return [
        f"Left out {count} file{'' if count == 1 else 's'} {(_SENTENCES if count == 1 else several)[reason]}."
        for reason, count in sorted(counts.items())
    ]


def check_patterns(patterns: Iterable[str]) -> None:
    """Raise UserError if one of the patterns of `--exclude` is none, or would leave nothing out whatever there is."""
    patterns = list(patterns)
    for pattern in patterns:
        if "\n" in pattern:
            raise UserError(f"The pattern {pattern!r} of --exclude has a line break; write ? in its place.")
        if pattern.startswith("#"):
            raise UserError(f"The pattern {pattern!r} of --exclude is a comment; write \\{pattern} for such a name.")
    _compiled(patterns, "--exclude")


def _compiled(patterns: Iterable[str], origin: str) -> "GitIgnoreSpec | None":
    used = [(number, line) for number, line in enumerate(patterns, start=1) if line.strip()]
    if not used:
        return None
    try:
        from pathspec import GitIgnoreSpec
    except ImportError as error:
        raise missing_extra("gallery", "Leaving files out by patterns") from error
    for number, line in used:
        try:
            understood = not _CLASS.search(line) and GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error):
            understood = False
        if not understood:
            where = origin if origin == "--exclude" else f"line {number} of {origin}"
            raise UserError(f"The pattern {line!r} of {where} is none; write it as in a .gitignore, such as *.[a-z]*.")
    return GitIgnoreSpec.from_lines([line for _, line in used])


def _verdict(patterns: "GitIgnoreSpec | None", folder: Path, path: Path, is_folder: bool) -> bool | None:
    if patterns is None:
        return None
    name = stored_name(path.relative_to(folder).as_posix())
    matching = (pattern for pattern in reversed(patterns.patterns) if _is_meant(pattern, name, is_folder))
    return next((pattern.include for pattern in matching), None)


def _is_meant(pattern: Any, name: str, is_folder: bool) -> bool:
    """Return whether a pattern is about this very file or folder, and not about a folder above, which was asked before.

    The library's own verdict is about a whole path, where `!*/` does not take folders back that `*` leaves out.
    """
    if pattern.regex is None:
        return False
    # A group is the slash behind the folder that a pattern is about.
    found = pattern.regex.search(name)
    if found is not None and not any(found.groups()):
        return True
    slashes = pattern.regex.finditer(f"{name}/") if is_folder else ()
    return any(any(slash.groups()) and slash.end() > len(name) for slash in slashes)


def _count_files(folder: Path) -> int:
    return sum(_counts(name) for _, _, names in os.walk(folder) for name in names)


def _counts(name: str) -> bool:
    return name.lower() not in COMPANIONS
