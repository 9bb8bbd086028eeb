"""Results of a long run, kept on disk as they come, so that the run can stop at any moment and resume."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from ..errors import UserError
from ..writing import atomic_file, open_in_place

Key = tuple[Any, ...]


class Journal:
    """A JSON Lines file with one record per item, to which whole batches are added.

    While a run is under way, an empty line closes each batch. What follows the last one was cut off in the middle of
    writing and is dropped on opening, so that a batch is kept whole or not at all: a resumed run cuts its
    items into the same batches as one that was never stopped. `finish` puts the records in the order of the data and
    leaves the empty lines out; a file without any is taken as it is.

    Args:
        path: The file; it is made if need be.
        key: Fields that together identify a record. Of two records with the same key the later one counts.

    Raises:
        UserError: If another process has the file open, or a line is not a record.
    """

    _closed_batch: bool
    """Whether the file ends with an empty line."""

    def __init__(self, path: str | Path, key: Sequence[str] = ("id",)) -> None:
        self.path = Path(path)
        self.key = tuple(key)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __contains__(self, key: Key) -> bool:
        return key in self._offsets

    def __iter__(self) -> Iterator[Key]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)

    def get(self, key: Key) -> dict[str, Any] | None:
        """Return the record of a key, or None."""
        offset = self._offsets.get(key)
        return None if offset is None else json.loads(self._line(offset))

    def append(self, records: Sequence[dict[str, Any]]) -> None:
        """Add a batch and return when it is on the disk."""
        if not self._closed_batch:
            self._write(b"\n")
            self._closed_batch = True
        start = self._file.seek(0, os.SEEK_END)
        lines = [json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records]
        self._write(b"".join(lines) + b"\n")
        for record, line in zip(records, lines):
            self._offsets[self._key_of(record)] = start
            start += len(line)

    def forget(self, keys: Iterable[Key]) -> None:
        """Remove records for good."""
        gone = set(keys) & self._offsets.keys()
        if gone:
            self._rewrite(offset for key, offset in self._offsets.items() if key not in gone)

    def finish(self, order: Iterable[Key]) -> None:
        """Put the records of `order` in this order, behind those that are not in it."""
        ordered = {key: self._offsets[key] for key in order if key in self._offsets}
        others = [offset for key, offset in self._offsets.items() if key not in ordered]
        self._rewrite([*others, *ordered.values()])

    def close(self) -> None:
        """Close the file, which lets other processes open it."""
        self._file.close()

    def _open(self) -> None:
        self._file: BinaryIO = open_in_place(self.path)
        self._offsets: dict[Key, int] = {}
        self._closed_batch = False
        try:
            self._lock()
            self._recover()
        except BaseException:
            self._file.close()
            raise

    def _rewrite(self, offsets: Iterable[int]) -> None:
        with atomic_file(self.path) as part, part.open("wb") as stream:
            stream.writelines(self._line(offset) for offset in offsets)
        self._file.close()
        self._open()

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another process is writing {self.path}; wait for it to end, or stop it.") from None

    def _recover(self) -> None:
        """Index the whole batches and drop the rest."""
        self._file.seek(0)
        offset = whole = 0
        batch: dict[Key, int] = {}
        for number, line in enumerate(self._file, start=1):
            if line == b"\n":
                self._offsets |= batch
                batch = {}
                self._closed_batch = True
            elif line.endswith(b"\n"):
                batch[self._parse_key(line, number)] = offset
            else:
                break
            offset += len(line)
            if line == b"\n" or not self._closed_batch:
                whole = offset
        if not self._closed_batch:
            self._offsets = batch
        self._file.truncate(whole)

    def _parse_key(self, line: bytes, number: int) -> Key:
        try:
            return self._key_of(json.loads(line))
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"Line {number} of {self.path} is not a record of this command; repair the file or remove it."
            ) from None

    def _key_of(self, record: dict[str, Any]) -> Key:
        return tuple(record[name] for name in self.key)

    def _line(self, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.readline()

    def _write(self, data: bytes) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
