"""Files that a training streams from, here or elsewhere: Parquet, and tars as WebDataset has them, read in groups."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as parquet
from datasets import Dataset

from .errors import UserError
from .parquet_guard import MOST_CELL, check_row_group, decoding
from .row_checks import check_schema, check_texts
from .schema import ROW_FEATURES
from .screen import shown
from .storage import undecoded
from .suffixes import is_image_name

SAMPLES_PER_GROUP = 100
DEFAULT_LANGUAGE = "en"


class ParquetShard:
    """A Parquet file of rows, of which one row group at a time is read.

    Args:
        files: File system of fsspec.
        path: The file there.
        name: What it is called in messages.
    """

    def __init__(self, files: Any, path: str, name: str) -> None:
        self._files = files
        self.path = path
        self.name = name

    @cached_property
    def _footer(self) -> Any:
        with decoding(self.name), self._files.open(self.path, "rb") as file:
            return parquet.read_metadata(file)

    @cached_property
    def column_names(self) -> list[str]:
        """The file's columns, whose types are checked."""
        with decoding(self.name):
            schema = self._footer.schema.to_arrow_schema()
        check_schema(Path(self.name), schema)
        return list(schema.names)

    @cached_property
    def sizes(self) -> list[int]:
        """The rows of each group."""
        return [self._footer.row_group(group).num_rows for group in range(self._footer.num_row_groups)]

    def read(self, group: int, columns: Sequence[str]) -> Dataset:
        """Read some columns of a group, pictures undecoded.

        Raises:
            UserError: If they are damaged, unpack to more than fits, or hold what rows may not.
        """
        chosen = [name for name in self.column_names if name in columns]
        with decoding(self.name), self._files.open(self.path, "rb") as file:
            check_row_group(Path(self.name), file, self._footer.row_group(group), group, chosen)
            table = parquet.ParquetFile(file, metadata=self._footer).read_row_group(group, chosen)
        check_texts(Path(self.name), table)
        return undecoded(Dataset(table))


class TarShard:
    """A tar of WebDataset: files of the same name but for the ending are a row.

    The picture has an ending of pictures; `.json` holds the other columns of a row, `.txt` one source caption. Only
    where each group of rows begins is held in memory, which takes one look at the whole file's headers.

    Args:
        files: File system of fsspec.
        path: The file there.
        name: What it is called in messages.
    """

    column_names = tuple(name for name in ROW_FEATURES if name != "video")

    def __init__(self, files: Any, path: str, name: str) -> None:
        self._files = files
        self.path = path
        self.name = name

    @cached_property
    def _begins(self) -> list[tuple[int, int]]:
        """Where each group begins, and its rows."""
        begins: list[tuple[int, int]] = []
        with self._open(0) as tar:
            last = None
            for member, key, _ in _members(tar, self.name):
                if key != last and (not begins or begins[-1][1] == SAMPLES_PER_GROUP):
                    begins.append((member.offset, 1))
                elif key != last:
                    begins[-1] = (begins[-1][0], begins[-1][1] + 1)
                last = key
        return begins

    @property
    def sizes(self) -> list[int]:
        """The rows of each group."""
        return [rows for _, rows in self._begins]

    def read(self, group: int, columns: Sequence[str]) -> Dataset:
        """Read some columns of a group, pictures undecoded.

        Raises:
            UserError: If the file is damaged, or rows hold what they may not.
        """
        offset, count = self._begins[group]
        samples: dict[str, dict[str, bytes]] = {}
        with self._open(offset) as tar:
            for member, key, ending in _members(tar, self.name):
                if key not in samples and len(samples) == count:
                    break
                sample = samples.setdefault(key, {})
                if ending in ("json", "txt") or (is_image_name(f"x.{ending}") and "image" in columns):
                    sample[ending] = _content(tar, member)
        rows = [_row(key, sample, self.name) for key, sample in samples.items()]
        try:
            # What is not said to be a list would become one of letters.
            check_schema(Path(self.name), pa.Table.from_pylist(rows).schema)
            table = pa.Table.from_pylist(rows, schema=ROW_FEATURES.arrow_schema)
        except UserError:
            raise
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise UserError(f"A row of {self.name} has a column of another type: {error}.") from error
        check_texts(Path(self.name), table)
        return undecoded(Dataset(table.select([name for name in self.column_names if name in columns])))

    def _open(self, offset: int) -> "_OpenTar":
        return _OpenTar(self._files.open(self.path, "rb"), offset, self.name)


class _OpenTar:
    """A tar that is read from one of its headers on; what `tarfile` raises about damaged ones is of the user."""

    def __init__(self, file: BinaryIO, offset: int, name: str) -> None:
        self._file = file
        self._offset = offset
        self._name = name

    def __enter__(self) -> tarfile.TarFile:
        self._file.seek(self._offset)
        try:
            return tarfile.open(fileobj=self._file, mode="r:")
        except tarfile.TarError as error:
            self._file.close()
            raise UserError(f"{self._name} is not a complete tar file without compression.") from error

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._file.close()
        if isinstance(error, (tarfile.TarError, EOFError)):
            raise UserError(f"{self._name} is not a complete tar file; write it again.") from error


def _members(tar: tarfile.TarFile, name: str) -> Iterator[tuple[tarfile.TarInfo, str, str]]:
    """Yield a tar's files with the name of their row and their ending."""
    while (member := tar.next()) is not None:
        # What `tarfile` remembers of all members would grow with the file.
        tar.members.clear()  # type: ignore[attr-defined]
        folder, slash, base = member.name.rpartition("/")
        stem, dot, ending = base.partition(".")
        if not (member.isfile() and stem and dot):
            continue
        if member.size > MOST_CELL:
            raise UserError(f"{name} holds {shown(member.name)}, a file of more than 512 MiB; leave it out.")
        yield member, folder + slash + stem, ending.lower()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    content = b"" if file is None else file.read()
    if len(content) < member.size:
        raise tarfile.ReadError("cut off")
    return content


def _row(key: str, sample: dict[str, bytes], name: str) -> dict[str, Any]:
    try:
        columns = json.loads(sample.pop("json", b"{}"))
        caption = sample.pop("txt", b"").decode().strip()
    except (ValueError, RecursionError) as error:
        raise UserError(f"Row {key!r} of {name} has a .json or .txt that cannot be read: {error}.") from error
    if not isinstance(columns, dict):
        raise UserError(f"Row {key!r} of {name} has a .json that is no object; write columns by name.")
    pictures = [{"path": f"{Path(key).name}.{ending}", "bytes": content} for ending, content in sample.items()]
    # What the JSON says of pictures and videos would name files of this machine.
    own = {column: columns.get(column) for column in ROW_FEATURES if column not in ("image", "video")}
    return {
        **own,
        "id": columns.get("id") or key,
        "image": pictures[0] if pictures else None,
        "source_language": columns.get("source_language") or DEFAULT_LANGUAGE,
        "source_captions": columns.get("source_captions") or ([caption] if caption else []),
    }
