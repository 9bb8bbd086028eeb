"""Parquet files are measured before they are decoded, since a few kilobytes of them can stand for many gigabytes.

The sizes in a file's footer may be wrong, so they are added up from the headers of its pages, which no reader goes
beyond. What may still grow, values that are written once and referred to often, is decoded a few rows at a time.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as parquet

from .errors import UserError
from .faults import fault_of_the_machine

MOST_CELL = 2**29
MOST_GROUP = 2**31
MOST_VALUES = 20_000_000
# What is larger than this has to take a hundredth of it on the disk: pictures hardly shrink, and texts by a tenth.
UNSUSPECTED, MOST_RATIO = 2**28, 100
_HEADER = 2**16
_GROWING = ("PLAIN_DICTIONARY", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY")


class _Page(NamedTuple):
    size: int
    stored: int
    values: int
    is_dictionary: bool


def check_parquet(path: Path) -> Any:
    """Return a file's footer, if all its row groups can be decoded in a bounded memory.

    Raises:
        UserError: If it is no whole Parquet file, or something in it is too large.
    """
    try:
        footer = parquet.read_metadata(path)
        with path.open("rb") as file:
            for group in range(footer.num_row_groups):
                check_row_group(path, file, footer.row_group(group), group)
    except (pa.ArrowException, OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is not a complete Parquet file; prepare the data set again.") from error
    return footer


@contextmanager
def decoding(what: str | Path) -> Iterator[None]:
    """Turn whatever decoders raise about files that are damaged into one sentence.

    Args:
        what: The file or folder that is read within the context.

    Raises:
        UserError: If it cannot be decoded; faults of the machine, such as a full disk, stay as they are.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        for reason in (error, error.__cause__):
            if reason is not None and fault_of_the_machine(reason):
                raise reason from None
        raise UserError(f"{what} is not a complete Parquet file, or damaged; prepare the data set again.") from error


def check_row_group(
    path: Path, file: BinaryIO, group: Any, number: int, columns: Collection[str] | None = None
) -> None:
    """Check that a row group can be decoded in a bounded memory.

    Args:
        path: What the file is called in messages.
        file: It, opened.
        group: What the footer says of the row group.
        number: Its number.
        columns: Those that will be decoded; None for all.

    Raises:
        UserError: If something in it is too large.
    """
    total = stored = 0
    growing = []
    for index in range(group.num_columns):
        column = group.column(index)
        if columns is not None and column.path_in_schema.partition(".")[0] not in columns:
            continue
        pages = list(_pages(file, column))
        size, values = sum(page.size for page in pages), sum(page.values for page in pages if not page.is_dictionary)
        total, stored = total + size, stored + sum(page.stored for page in pages)
        if values > MOST_VALUES or group.num_rows > MOST_VALUES:
            raise _too_large(path, number, column.path_in_schema, f"{max(values, group.num_rows):,} values")
        # A page holds at least one cell, and most cells are far smaller.
        if max((page.size for page in pages), default=0) > MOST_CELL:
            raise _too_large(path, number, column.path_in_schema, "a cell or page of more than 512 MiB")
        largest = max(
            (page.size for page in pages if page.is_dictionary or "DELTA_BYTE_ARRAY" in column.encodings), default=0
        )
        if set(column.encodings) & set(_GROWING) and values * largest > UNSUSPECTED:
            growing.append((column.path_in_schema, largest))
        if _is_suspicious(total, stored):
            raise _too_large(path, number, column.path_in_schema, f"{total / 2**20:,.0f} MiB")
    for name, largest in growing:
        total += _decoded_size(file, number, name, largest, stored)
        if _is_suspicious(total, stored):
            raise _too_large(path, number, name, "more values of the same content than are plausible")


def _is_suspicious(size: int, stored: int) -> bool:
    return size > MOST_GROUP or (size > UNSUSPECTED and size > MOST_RATIO * stored)


def _too_large(path: Path, group: int, column: str, what: str) -> UserError:
    return UserError(
        f"Row group {group} of {path} has {what} in column {column}, which does not fit into the memory; write "
        "the data again with smaller cells and row groups."
    )


def _decoded_size(file: BinaryIO, group: int, column: str, largest: int, stored: int) -> int:
    """Decode a column a few rows at a time, and return its bytes, or those so far once they are too many."""
    total = 0
    rows = max(1, 2**26 // largest)
    for batch in parquet.ParquetFile(file).iter_batches(rows, [group], [column], use_threads=False):
        total += batch.nbytes
        if _is_suspicious(total, stored):
            break
    return total


def _pages(file: BinaryIO, column: Any) -> Iterator[_Page]:
    """Yield the pages of a column chunk, from their headers alone."""
    start = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset:
        start = min(start, column.dictionary_page_offset)
    position, end = start, start + column.total_compressed_size
    values = 0
    while position < end and values < column.num_values:
        file.seek(position)
        header = _Thrift(file.read(_HEADER))
        fields = header.struct()
        size, stored = fields[2], fields[3]
        about = fields.get(5) or fields.get(8) or fields.get(7) or {}
        if min(size, stored) < 0 or about.get(1, 0) < 0:
            raise ValueError("a page of a negative size")
        page = _Page(size, stored, about.get(1, 0), 7 in fields)
        values += 0 if page.is_dictionary else page.values
        position += header.position + stored
        yield page


class _Thrift:
    """Reads Thrift's compact protocol, in which the headers of pages are written."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields of a struct by their numbers."""
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._integer()
            fields[number] = self._value(kind & 15, depth)
        return fields

    def _byte(self) -> int:
        self.position += 1
        return self.data[self.position - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128 or shift > 63:
                return value

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _value(self, kind: int, depth: int) -> Any:
        if depth > 8:
            raise ValueError("structs in structs")
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 7:
            self.position += 8
        elif kind == 8:
            length = self._varint()
            self.position += length
        elif kind in (9, 10):
            head = self._byte()
            count = self._varint() if head >> 4 == 15 else head >> 4
            if count > len(self.data):
                raise ValueError("a list that is longer than the header")
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        elif kind == 12:
            return self.struct(depth + 1)
        else:
            raise ValueError(f"Thrift has no type {kind} here")
        return None
