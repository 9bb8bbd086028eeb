"""Replacing one column of a prepared data set."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from ..errors import UserError
from ..notes import note
from ..parquet_guard import check_parquet
from ..storage import SHARD_NAME, find_shards
from ..writing import atomic_file


def copy_data(source: str | Path, target: str | Path) -> None:
    """Copy a prepared data set with the other files in its folder; those that `target` has already are kept.

    A link that leads out of the folder is left out and told, unless it is a shard: what it leads to may be private.

    Raises:
        FileNotFoundError: If `source` holds no prepared data.
    """
    shards = [shard for paths in find_shards(source).values() for shard in paths]
    target = Path(target)
    target.mkdir(parents=True, exist_ok=True)
    others = [path for path in sorted(Path(source).iterdir()) if path.is_file() and not SHARD_NAME.fullmatch(path.name)]
    linked = [path for path in others if not path.resolve().is_relative_to(Path(source).resolve())]
    others = [path for path in others if path not in linked]
    if linked:
        note(f"Left out: {', '.join(path.name for path in linked)}, as they are links that lead out of {source}.")
    for path in [*others, *shards]:
        copy = target / path.name
        if not copy.exists():
            with atomic_file(copy) as part:
                shutil.copy2(path, part)


def rewrite_column(
    folder: str | Path, column: str, needs: Sequence[str], value: Callable[[dict[str, Any]], Any]
) -> None:
    """Give each row of a prepared data set a new value in one column.

    All shards are written next to the old ones before the first is replaced, row group by row group, and all other
    columns stay as they are. Each shard is replaced in one step, so the data set can be read at any moment.

    Args:
        folder: The data set.
        column: Column to fill.
        needs: Columns that `value` looks at.
        value: Returns the new value for a row, which holds the columns of `needs`.

    Raises:
        UserError: If the data set has no such column.
    """
    shards = [shard for paths in find_shards(folder).values() for shard in paths]
    with ExitStack() as files:
        for shard in shards:
            _rewrite(shard, files.enter_context(atomic_file(shard)), column, needs, value)


def _rewrite(
    shard: Path, part: Path, column: str, needs: Sequence[str], value: Callable[[dict[str, Any]], Any]
) -> None:
    check_parquet(shard)
    with parquet.ParquetFile(shard) as reader:
        schema = reader.schema_arrow
        index = schema.get_field_index(column)
        if index < 0:
            raise UserError(f"{shard} has no column {column}; prepare the data set again.")
        with parquet.ParquetWriter(part, schema) as writer:
            for number in range(reader.num_row_groups):
                table = reader.read_row_group(number)
                values = [value(row) for row in table.select(list(needs)).to_pylist()]
                filled = pa.array(values, type=schema.field(index).type)
                writer.write_table(table.set_column(index, schema.field(index), filled))
