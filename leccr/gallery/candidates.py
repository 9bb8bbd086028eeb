"""What can be added to a gallery, and the sources that it is read from."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing.suffixes import is_image_name, is_video_name

from ..errors import UserError
from .ignored import Ignored
from .results import hash_file, stamp_of
from .store.catalogue import IMAGE, VIDEO

if TYPE_CHECKING:
    from processing.facts import Facts


@dataclass(frozen=True)
class Candidate:
    """A picture or video that can be added to a gallery.

    Attributes:
        location: Root folder, or folder or Hub name of the data set.
        id: Its name, unique at the location.
        path: Path in the root folder, or the file's name in a data set.
        kind: `image` or `video`.
        description: Its description, if it has one.
        file: The file, if it comes from a folder.
        row: The row, pictures undecoded, if it comes from a data set.
        shots: Descriptions of a video's shots, by the ids of their items; they count if there is no `description`.
    """

    location: str
    id: str
    path: str
    kind: str
    description: str | None
    file: Path | None = None
    row: Mapping[str, Any] | None = None
    shots: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A name that is unique among all sources."""
        return f"{self.location}/{self.id}"

    def stamp(self) -> tuple[int, int]:
        """Return size and time of the last change, which show without reading it that a file has not changed.

        Raises:
            UserError: If there is no such file.
        """
        if self.file is None:
            return len(self._content()), 0
        try:
            return stamp_of(self.file)
        except OSError as error:
            raise UserError(f"{self.file} cannot be read: {error.strerror}.") from error

    def is_as(self, size: int, time: int) -> bool:
        """Return whether it exists with this size and time of the last change."""
        try:
            return self.stamp() == (size, time)
        except UserError:
            return False

    def hash(self) -> str:
        """Return a hash of the content.

        Raises:
            UserError: If the file cannot be read.
        """
        try:
            if self.file is not None:
                return hash_file(self.file)
            return hashlib.blake2b(self._content(), digest_size=16).hexdigest()
        except OSError as error:
            raise UserError(f"{self.file} cannot be read: {error.strerror}.") from error

    def facts(self) -> "Facts":
        """Return what the file says about its picture or video."""
        # Import torch.
        from processing.facts import Facts, read_facts
        from processing.video_facts import read_video_facts

        row = self.as_row()
        if row.get("image") is not None:
            return read_facts(row["image"])
        return read_video_facts(row["video"]) if row.get("video") else Facts()

    def _content(self) -> bytes:
        """Return the bytes that identify a row of a data set."""
        row = self.row or {}
        image = row.get("image")
        if isinstance(image, dict) and image.get("bytes") is not None:
            return image["bytes"]
        if row.get("visual_features") is not None:
            return row["visual_features"].float().numpy().tobytes()
        named = row.get("video") or (image or {}).get("path")
        try:
            # Imports torch, which a folder of photos does not need so early.
            from processing.images import is_picture, is_regular

            if named and not (is_regular(named) and (row.get("video") or is_picture(named))):
                raise UserError(f"{named} is not a picture or video; correct the data set's row, or leave it out.")
            return Path(named).read_bytes() if named else b""
        except OSError as error:
            raise UserError(f"{named} cannot be read: {error.strerror}.") from error

    def as_row(self) -> dict[str, Any]:
        """Return a row of `processing.schema` as the collator takes it."""
        if self.row is not None:
            return {**self.row, "id": self.id, "description": self.description}
        path = str(self.file)
        image = {"path": path, "bytes": None} if self.kind == IMAGE else None
        video = path if self.kind == VIDEO else None
        return {"id": self.id, "image": image, "video": video, "description": self.description}


@dataclass
class Source:
    """A source, read in chunks.

    Attributes:
        kind: `folder`, `data` or `hub`.
        location: Absolute path of the folder, or name on the Hub.
        count: Number of candidates.
        read: Returns the candidates from a start to a stop.
        left_out: Files that were left out, and why.
        remarks: Sentences that count the files that were left out by their endings, by patterns and the like.
        unreadable: Those of `left_out` that are folders.
        ignored: What was left out of a folder, if this is a whole one.
        fits: Tells which of the features next to a data set are of the model that reads it; None if there is none.
    """

    kind: str
    location: str
    count: int
    read: Callable[[int, int], list[Candidate]]
    left_out: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    ignored: Ignored | None = None
    fits: Callable[[Any], bool] | None = None

    def chunks(self, size: int) -> Iterator[list[Candidate]]:
        """Yield lists of `size` candidates; the same source is always cut in the same way."""
        for start in range(0, self.count, size):
            yield self.read(start, min(start + size, self.count))


def kind_of(name: str | Path) -> str | None:
    """Return `image` or `video` by the ending of a name, or None."""
    return IMAGE if is_image_name(name) else VIDEO if is_video_name(name) else None
