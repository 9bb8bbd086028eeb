"""Rows that are more than fits into memory or on the disk: read from their files as a training comes to them."""

import copy
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets

from .references import check_references, noted_folders
from .shards import ParquetShard, TarShard
from .shuffled_order import ShuffledOrder

Shard = ParquetShard | TarShard


class StreamedRows(torch.utils.data.Dataset[dict[str, Any]]):
    """Rows of a data set that stay in their files, with what training uses of a `datasets.Dataset`.

    A group of rows is read and checked when one of them is wanted. In memory are the groups of two windows of the
    order at most.

    Args:
        shards: Files with the rows.
        folder: Folder of the data set if it is here; rows may name its files, and none if it is elsewhere.
    """

    def __init__(self, shards: Sequence[Shard], folder: str | None = None) -> None:
        self._shards = shards
        self._own = [] if folder is None else [folder]
        self._noted = frozenset[str]() if folder is None else noted_folders(folder)
        self.column_names = list(shards[0].column_names)
        self._groups = [(shard, group) for shard in shards for group in range(len(shard.sizes))]
        self._sizes = [size for shard in shards for size in shard.sizes]
        # Of groups of which not all rows are used.
        self._used: dict[int, list[int]] = {}
        self._order: Callable[[int], ShuffledOrder] | None = None
        self.set_epoch(0)

    def __len__(self) -> int:
        return sum(self._sizes)

    def select_columns(self, names: Sequence[str]) -> "StreamedRows":
        """Return the rows with these columns only, of which nothing else is read."""
        return self._changed(column_names=list(names))

    def where(self, is_used: Callable[[dict[str, Any]], bool], columns: Sequence[str]) -> "StreamedRows":
        """Return the rows for which a function of these columns is true."""
        sizes, used = list(self._sizes), dict(self._used)
        for group, size in enumerate(self._sizes):
            rows = self.select_columns(columns)._read(group)
            kept = [number for number, row in enumerate(rows) if is_used(row)]
            if len(kept) < size:
                before = self._used.get(group, range(size))
                sizes[group], used[group] = len(kept), [before[number] for number in kept]
        return self._changed(_sizes=sizes, _used=used)

    def has(self, name: str) -> bool:
        """Return whether any row has a value in a column."""
        if name not in self.column_names:
            return False
        tables = (self.select_columns([name])._read(group).with_format("arrow")[:] for group in range(len(self._sizes)))
        return any(table[name].null_count < len(table) for table in tables)

    def shuffled(self, batch_size: int, lanes: int, buffer: int, seed: int) -> "StreamedRows":
        """Return the rows in an order of each epoch's own; see `ShuffledOrder`."""
        rows = self._changed(_order=partial(ShuffledOrder, self._sizes, batch_size, lanes, buffer, seed))
        rows.set_epoch(0)
        return rows

    def set_epoch(self, epoch: int) -> None:
        """Take the order of an epoch, as Trainer says when it begins one."""
        self._windows: OrderedDict[tuple[int, int], Dataset] = OrderedDict()
        self._current = None if self._order is None else self._order(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over the rows in the order of the files."""
        for group in range(len(self._sizes)):
            yield from self._read(group)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Return the rows at these positions of the epoch, or of the files before there is an order."""
        return [self._at(index) for index in indices]

    def _at(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"There is no row {index} of {len(self)}.")
        index %= len(self)
        if self._current is None:
            ends = list(accumulate(self._sizes))
            group = bisect_right(ends, index)
            row: dict[str, Any] = self._window((0, group), [group])[index - ends[group] + self._sizes[group]]
            return row
        place = self._current.locate(index)
        window = self._window(place[:2], self._current.groups(*place[:2]))
        found: dict[str, Any] = window[place.row]
        return found

    def _window(self, key: tuple[int, int], groups: Sequence[int]) -> Dataset:
        if key not in self._windows:
            while len(self._windows) > 1:
                self._windows.popitem(last=False)
            self._windows[key] = concatenate_datasets([self._read(group) for group in groups])
        self._windows.move_to_end(key)
        return self._windows[key]

    def _read(self, group: int) -> Dataset:
        shard, number = self._groups[group]
        # A row that is refused is named by its id.
        rows = shard.read(number, [*self.column_names, "id"])
        check_references(rows, self._own, lambda row: shard.name, self._noted)
        if group in self._used:
            rows = rows.select(self._used[group])
        return rows.select_columns([name for name in self.column_names if name in rows.column_names])

    def _changed(self, **attributes: Any) -> "StreamedRows":
        changed = copy.copy(self)
        vars(changed).update(attributes)
        changed._windows = OrderedDict()
        return changed


def open_shards(data: str, pattern: Any) -> list[Shard]:
    """Return the files below a folder or an address of fsspec whose names match, in the order of their names.

    Args:
        data: A folder, or an address such as `hf://datasets/org/name`.
        pattern: Compiled expression of the names.
    """
    import fsspec

    files, root = fsspec.core.url_to_fs(data)
    paths = [path for folder in (root, f"{root.rstrip('/')}/data") for path in _listed(files, folder)]
    kinds: dict[str, type[Shard]] = {".parquet": ParquetShard, ".tar": TarShard}
    return [
        kinds[Path(path).suffix](files, path, f"{data.rstrip('/')}/{Path(path).name}")
        for path in sorted(paths)
        if pattern.fullmatch(Path(path).name) and Path(path).suffix in kinds
    ]


def _listed(files: Any, folder: str) -> list[str]:
    return list(files.ls(folder, detail=False)) if files.isdir(folder) else []
