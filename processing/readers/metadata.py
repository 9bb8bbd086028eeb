"""The lines of `metadata.csv` or `metadata.jsonl` by the file that they are about, left on disk until wanted."""

import csv
import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import UserError
from ..names import ByName

FILE_COLUMNS = ("file_name", "image", "video")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


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
        with path.open("rb") as file:
            self._start = len(_BYTE_ORDER_MARK) if file.read(3) == _BYTE_ORDER_MARK else 0
            if path.suffix != ".jsonl":
                file.seek(self._start)
                self._read_columns(file)
        self._places: ByName[array[int]] = ByName()
        with path.open("rb") as file:
            for place, number, line in self._lines(file, self._start):
                name = next((str(line[name]).strip() for name in FILE_COLUMNS if line.get(name)), "")
                if not name:
                    wanted, there = " or ".join(FILE_COLUMNS), ", ".join(line)
                    raise UserError(f"{path} line {number} has no {wanted}; it has {there}.")
                self._places.setdefault(Path(name).as_posix(), array("q")).append(place)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the files, in the order in which the lines first name them."""
        return iter(self._places)

    def __contains__(self, file: object) -> bool:
        return file in self._places

    def __getitem__(self, file: str) -> list[dict[str, Any]]:
        """Return the columns of each line about a file."""
        with self.path.open("rb") as opened:
            return [next(self._lines(opened, place))[2] for place in self._places[file]]

    def _read_columns(self, file: BinaryIO) -> None:
        header = _Lines(file, self._start)
        try:
            first = next(header, "")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path} is not UTF-8 text in line 1; save it as UTF-8.") from error
        # Spreadsheets in some countries separate by semicolons, and some export tabs.
        self._delimiter = max(",;\t", key=first.count)
        self._columns = [name.strip() for name in next(csv.reader([first], delimiter=self._delimiter), [])]
        self._start = header.place

    def _lines(self, file: BinaryIO, start: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield where each line begins, its number and its columns; empty lines are left out.

        The number is right if `start` is the first line's.
        """
        file.seek(start)
        lines = _Lines(file, start, number=int(self._columns is not None))
        try:
            yield from self._json_lines(lines) if self._columns is None else self._csv_lines(lines, self._columns)
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path} is not UTF-8 text in line {lines.number}; save it as UTF-8.") from error

    def _json_lines(self, lines: "_Lines") -> Iterator[tuple[int, int, dict[str, Any]]]:
        while True:
            place, line = lines.place, next(lines, None)
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
            yield place, lines.number, columns

    def _csv_lines(self, lines: "_Lines", columns: list[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
        reader = csv.reader(lines, delimiter=self._delimiter)
        while True:
            place = lines.place
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise UserError(f"{self.path} line {lines.number} cannot be read: {error}.") from error
            if cells is None:
                return
            if len(cells) > len(columns):
                raise UserError(f"{self.path} line {lines.number} has more columns than the first line names.")
            if cells:
                yield place, lines.number, dict(zip(columns, cells))


class _Lines:
    """The lines of a file as text, knowing the byte at which the next one begins and the number of the last one."""

    def __init__(self, file: BinaryIO, place: int, number: int = 0) -> None:
        self._file = file
        self.place = place
        self.number = number

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.place += len(line)
        self.number += 1
        return line.decode("utf-8")
