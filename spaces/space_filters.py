"""What pictures can be filtered by: kind, folder and year."""

from collections.abc import Iterable
from dataclasses import dataclass

from space_errors import SpaceError

KINDS = {"image": "Pictures", "video": "Videos"}
MOST_FOLDERS = 200


@dataclass(frozen=True)
class Facets:
    """What there is to choose from; fewer than two of anything is no choice.

    Attributes:
        kinds: `image`, `video`.
        folders: Folders with pictures in or below them, by their path in the gallery.
        years: In which pictures were taken.
        has_duplicates: Whether near-identical pictures are folded, if there are any.
    """

    kinds: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    years: tuple[int, ...] = ()
    has_duplicates: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self.kinds) < 2 and len(self.years) < 2 and not self.folders and not self.has_duplicates


@dataclass(frozen=True)
class Filters:
    """What pictures have to be.

    Attributes:
        kind: `image` or `video`; empty for both.
        folder: The folder they are in or below; empty for any.
        since: Year in which they were taken, or later.
        until: Year in which they were taken, or earlier.
        alike: Whether near-identical pictures are shown one by one, and not only the best of them.
    """

    kind: str = ""
    folder: str = ""
    since: int | None = None
    until: int | None = None
    alike: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether they leave anything out."""
        return bool(self.kind or self.folder or self.since or self.until)

    def passes(self, name: str, kind: str, year: int | None) -> bool:
        """Return whether a picture passes; one whose year is not known fails where a year is asked for."""
        return (
            self.kind in ("", kind)
            and (not self.folder or name.startswith(self.folder + "/"))
            and (self.since is None or (year is not None and year >= self.since))
            and (self.until is None or (year is not None and year <= self.until))
        )


NO_FILTERS = Filters()


def check_filters(facets: Facets, kind: object, folder: object, since: object, until: object, alike: object) -> Filters:
    """Return the filters that a visitor chose.

    Raises:
        SpaceError: If one of them is not among those offered.
    """
    first, last = (_check_year(facets, year) for year in (since, until))
    if kind not in ("", None, *facets.kinds):
        raise SpaceError("There is no such kind; choose one from the list.")
    if folder not in ("", None, *facets.folders):
        raise SpaceError("There is no such folder; choose one from the list.")
    return Filters(str(kind or ""), str(folder or ""), first, last, alike is True)


def _check_year(facets: Facets, year: object) -> int | None:
    if year in (None, "", 0):
        return None
    if isinstance(year, int) and year in facets.years:
        return year
    raise SpaceError("No picture is from such a year; choose one from the list.")


def facets_of(pictures: Iterable[tuple[str, str, int | None]]) -> Facets:
    """Return the facets of pictures, each given by its path in the gallery, its kind and its year."""
    kinds, folders, years = set(), set(), set()
    for name, kind, year in pictures:
        kinds.add(kind)
        parts = name.split("/")[:-1]
        folders |= {"/".join(parts[: depth + 1]) for depth in range(len(parts))}
        if year is not None:
            years.add(year)
    # The upper folders tell more where there are too many of them.
    kept = sorted(folders, key=lambda folder: (folder.count("/"), folder))[:MOST_FOLDERS]
    return Facets(tuple(sorted(kinds)), tuple(sorted(kept)), tuple(sorted(years, reverse=True)))
