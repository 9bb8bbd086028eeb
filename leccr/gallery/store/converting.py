"""Choosing how a gallery is stored: number format, engine, and exact or approximate search."""

import secrets
from typing import Any

from ...errors import UserError
from .catalogue import Catalogue, read_state
from .maintenance import approximate, make_exact, rewrite, settle
from .state import APPROXIMATIONS, DTYPES, ENGINES, State

NO_APPROXIMATION = "none"


def engine_fields(engine: str, uri: str | None) -> dict[str, Any]:
    """Return the fields of a state that say where views are kept; each Milvus gallery gets a name of its own there."""
    collection = f"leccr_{secrets.token_hex(6)}" if engine == "milvus" else None
    return {"engine": engine, "uri": uri, "collection": collection}


def check_choices(store: str | None, ann: str | None, engine: str | None, uri: str | None) -> None:
    """Raise UserError unless the choices are known and go together; None stands for no choice."""
    for name, value, known in (
        ("--store", store, DTYPES),
        ("--ann", ann, (*APPROXIMATIONS, NO_APPROXIMATION)),
        ("--engine", engine, ENGINES),
    ):
        if value is not None and value not in known:
            raise UserError(f"{name} is {value!r}, but has to be one of {', '.join(known)}.")
    if engine == "milvus" and not uri:
        raise UserError("Say with --uri where the Milvus server is, for example http://localhost:19530.")
    if uri and engine != "milvus":
        raise UserError("--uri is the address of a Milvus server; use it with --engine milvus.")
    if engine == "milvus" and store not in (None, "fp32"):
        raise UserError("Milvus stores fp32 views here; leave --store out, and choose --ann ivfpq to save memory.")


def convert_gallery(
    catalogue: Catalogue, store: str | None, ann: str | None, engine: str | None, uri: str | None
) -> State:
    """Store the views of a gallery otherwise; None leaves a choice as it is, `ann="none"` searches exactly."""
    with catalogue.reading() as connection:
        state = read_state(connection, str(catalogue.folder))
    if engine == "milvus" and state.engine == "milvus":
        uri = uri or state.uri
    check_choices(store, ann, engine, uri)
    changes: dict[str, Any] = {}
    if engine is not None and (engine, uri) != (state.engine, state.uri):
        changes |= engine_fields(engine, uri)
    if store is not None and store != state.dtype:
        changes["dtype"] = store
    if changes.get("engine", state.engine) == "milvus" and changes.get("dtype", state.dtype) != "fp32":
        changes["dtype"] = "fp32"
    kind = state.approximation.kind if state.approximation and ann is None else ann
    if changes:
        state = rewrite(catalogue, **changes)
    elif kind == NO_APPROXIMATION and state.approximation:
        state = make_exact(catalogue)
    if kind not in (None, NO_APPROXIMATION) and (state.approximation is None or state.approximation.kind != kind):
        state = approximate(catalogue, str(kind))
    return settle(catalogue)
