"""The lines of `metadata.csv` or `metadata.jsonl` by the file that they are about, left on disk until wanted."""

import codecs
import csv
import io
import json
import os
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import UserError
from ..names import ByName, stored_path
from ..text_files import decoded, has_wide_mark, read_text

FILE_COLUMNS = ("file_name", "image", "video")


class Metadata:
    """Lines by file; only where each line begins is held in memory.

    Args:
        path: A file of JSON lines if it ends in `.jsonl`, and otherwise of columns that commas, semicolons or tabs
            separate and the first line names.

    Raises:
        UserError: If a line is not in the format or names no file; the message gives its number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: list[str] | None = None
        self._text: bytes | None = None
        self._roots = list(dict.fromkeys([path.parent.absolute(), path.parent.resolve()]))
        with path.open("rb") as file:
            beginning = file.read(4)
        if has_wide_mark(beginning):
            # Lines cannot be found by their bytes there. Spreadsheets write it, whose tables fit into memory.
            self._text, beginning = read_text(path).encode(), b""
        self._start = len(codecs.BOM_UTF8) if beginning.startswith(codecs.BOM_UTF8) else 0
        if path.suffix != ".jsonl":
            with self._open() as file:
                file.seek(self._start)
                self._read_columns(file)
        self._offsets: ByName[array[int]] = ByName()
        with self._open() as file:
            for offset, number, line in self._lines(file, self._start):
                self._offsets.setdefault(self._file_of(line, number), array("q")).append(offset)

    def _open(self) -> BinaryIO:
        return self.path.open("rb") if self._text is None else io.BytesIO(self._text)

    def _file_of(self, line: dict[str, Any], number: int) -> str:
        """Return the file that a line is about: a path in the folder, or an absolute path that leads elsewhere."""
        where = f"{self.path} line {number}"
        value = next((line[name] for name in FILE_COLUMNS if line.get(name)), "")
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            # The content itself may be a picture.
            raise UserError(f"{where} has a {type(value).__name__} in place of a file's name; write its path.")
        name = given = str(value).strip()
        if not name:
            expected, existing = " or ".join(FILE_COLUMNS), ", ".join(line)
            raise UserError(f"{where} has no {expected}; it has {existing}.")
        if os.name != "nt" and "\\" in name and not os.path.exists(stored_path(self._roots[0] / name)):
            name = name.replace("\\", "/")
        if os.name != "nt" and re.match("[A-Za-z]:/|//", name):
            raise UserError(
                f"{where} names {given}, a path of another computer; write the path in the folder, such as "
                f"{name.rsplit('/', 1)[-1]}."
            )
        if "/.." in name or name.startswith(".."):
            name = os.path.normpath(name)
        path = Path(name)
        inside = next((root for root in self._roots if path.is_absolute() and path.is_relative_to(root)), None)
        return (path if inside is None else path.relative_to(inside)).as_posix()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the files, in the order in which the lines first name them."""
        return iter(self._offsets)

    def __contains__(self, file: object) -> bool:
        return file in self._offsets

    def __getitem__(self, file: str) -> list[dict[str, Any]]:
        """Return the columns of each line about a file."""
        with self._open() as opened:
            return [next(self._lines(opened, offset))[2] for offset in self._offsets[file]]

    def _read_columns(self, file: BinaryIO) -> None:
        header = _Lines(self.path, file, self._start)
        first = next(header, "")
        # Spreadsheets in some countries separate by semicolons, and some export tabs.
        self._delimiter = max(",;\t", key=first.count)
        self._columns = [name.strip() for name in next(csv.reader([first], delimiter=self._delimiter), [])]
        self._start = header.offset

    def _lines(self, file: BinaryIO, start: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield where each line begins, its number and its columns; empty lines are left out.

        The number is right if `start` is the first line's.
        """
        file.seek(start)
        lines = _Lines(self.path, file, start, number=int(self._columns is not None))
        yield from self._json_lines(lines) if self._columns is None else self._csv_lines(lines, self._columns)

    def _json_lines(self, lines: "_Lines") -> Iterator[tuple[int, int, dict[str, Any]]]:
        while True:
            offset, line = lines.offset, next(lines, None)
            if line is None:
                return
            if not line.strip():
                continue
            try:
                columns = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{self.path} line {lines.number} is not JSON: {error}.") from error
            if not isinstance(columns, dict):
                raise UserError(f"{self.path} line {lines.number} is not a JSON object.")
            yield offset, lines.number, columns

    def _csv_lines(self, lines: "_Lines", columns: list[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
        reader = csv.reader(lines, delimiter=self._delimiter)
        while True:
            offset = lines.offset
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise UserError(f"{self.path} line {lines.number} cannot be read: {error}.") from error
            if cells is None:
                return
            if len(cells) > len(columns):
                raise UserError(f"{self.path} line {lines.number} has more columns than the first line names.")
            if cells:
                yield offset, lines.number, dict(zip(columns, cells))


class _Lines:
    """The lines of a file as text, knowing the byte at which the next one begins and the number of the last one."""

    def __init__(self, path: Path, file: BinaryIO, offset: int, number: int = 0) -> None:
        self._path = path
        self._file = file
        self.offset = offset
        self.number = number

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.offset += len(line)
        self.number += 1
        return decoded(line, self._path, self.number)
