"""Whether the shards of a data set have the project's columns, types and no gaps where none may be."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as parquet
from datasets import Features

from .errors import UserError
from .schema import ROW_FEATURES

_TEXTS = ("id", "source_language", "source_captions", "target_captions", "video", "description")


def check_rows(path: Path, features: Features = ROW_FEATURES) -> None:
    """Check the columns of a shard, and its texts for what is null and should not be.

    Args:
        path: The shard, whose sizes are checked already.
        features: Columns and their types; a shard may have fewer and more of them, but has to have `id`.

    Raises:
        UserError: If a column has another type, or a value is missing; the message names the file and the column.
    """
    schema = parquet.read_schema(path)
    check_schema(path, schema, features)
    names = [name for name in schema.names if name in _TEXTS]
    check_texts(path, parquet.read_table(path, columns=names))


def check_schema(path: Path, schema: pa.Schema, features: Features = ROW_FEATURES) -> None:
    """Check the columns of a shard; arguments and errors as for `check_rows`."""
    if "id" not in schema.names:
        existing = ", ".join(schema.names) or "none"
        raise UserError(f"{path} has no column id, but {existing}; write the data with `leccr prepare`.")
    for field in features.arrow_schema:
        # Pictures have several forms, which `processing.storage.undecoded` knows.
        if field.name in schema.names and field.name != "image":
            _check_type(path, field.name, schema.field(field.name).type, field.type)


def check_texts(path: Path, table: pa.Table) -> None:
    """Check the texts of some rows for what is null and should not be.

    Args:
        path: The shard, for messages.
        table: The rows, with any of a shard's columns.

    Raises:
        UserError: If a value is missing; the message names the file and the column.
    """
    if "id" in table.column_names:
        _check_null(path, "id", table["id"])
    for name in {"source_captions", "target_captions"} & set(table.column_names):
        _check_lists(path, name, table[name])
    if {"source_language", "source_captions"} <= set(table.column_names):
        # Rows without captions, of pictures to be searched, may lack both.
        lists = table["source_captions"]
        for name, other in (("source_language", lists), ("source_captions", table["source_language"])):
            _check_null(path, name, table[name].filter(compute.is_valid(other)))


def _check_lists(path: Path, name: str, lists: pa.ChunkedArray) -> None:
    if pa.types.is_null(lists.type):
        return
    for chunk in lists.chunks:
        texts = chunk.flatten()
        _check_null(path, name, texts, whole=True)
        if not pa.types.is_struct(texts.type):
            continue
        for part in ("text", "language", "origin"):
            if texts.type.get_field_index(part) >= 0:
                _check_null(path, f"{name}.{part}", compute.struct_field(texts, part), whole=True)


def _check_null(path: Path, name: str, values: Any, whole: bool = False) -> None:
    if not values.null_count:
        return
    index = compute.index(compute.is_null(values), True).as_py()
    where = "a value" if whole else f"value {index} of that column"
    raise UserError(f"{path} has a null as {name} ({where}); write the data again with all of them.")


def _check_type(path: Path, name: str, type_: pa.DataType, wanted: pa.DataType) -> None:
    if not _fits(type_, wanted):
        raise UserError(f"{path} has the column {name} as {type_}, but it has to be {wanted}; write the data again.")


def _fits(type_: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_null(type_):
        return True
    if pa.types.is_dictionary(type_):
        return _fits(type_.value_type, wanted)
    if pa.types.is_struct(wanted):
        if not pa.types.is_struct(type_):
            return False
        existing = {field.name: field.type for field in type_}
        return all(field.name not in existing or _fits(existing[field.name], field.type) for field in wanted)
    if pa.types.is_list(wanted) or pa.types.is_large_list(wanted):
        return (pa.types.is_list(type_) or pa.types.is_large_list(type_)) and _fits(type_.value_type, wanted.value_type)
    for is_kind in (
        lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
        lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
        pa.types.is_integer,
        pa.types.is_floating,
    ):
        if is_kind(wanted):
            return bool(is_kind(type_))
    return bool(type_ == wanted)
