"""Views on a Milvus server, for galleries that one machine cannot hold.

The catalogue stays on the local disk and says which positions exist; the server has one row for each view, with the
same row numbers as a file has. Rows of positions that the catalogue does not know, left by a killed writer, are
overwritten by the next one and never searched. `milvus-lite` has the same interface within this process, for tests and
small galleries: give the name of a file that ends in `.db`.
"""

import contextlib
import logging
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError, missing_extra
from .faiss_engine import RECALL_QUERIES, rank_all, recall
from .state import Approximation, State
from .vectors import by_item
from .view_map import ViewMap, append_to_map

try:
    from pymilvus import DataType, MilvusClient, MilvusException
except ImportError as error:
    raise missing_extra("milvus", "A gallery on a Milvus server") from error

# An untrusted gallery may name any server, which must not get the key of another.
TOKEN_VARIABLE, TOKEN_FOR_VARIABLE = "LECCR_MILVUS_TOKEN", "LECCR_MILVUS_URI"
ROWS_PER_REQUEST = 2000
# The server refuses a filter that names more positions than this.
MOST_NAMED = 10_000
MOST_ROWS = 16_384
EXACT = {"index_type": "FLAT", "params": {}}
INDEXES: dict[str, dict[str, Any]] = {
    "hnsw": {"index_type": "HNSW", "params": {"M": 32, "efConstruction": 100}},
    "ivfpq": {"index_type": "IVF_PQ", "params": {"nlist": 1024, "m": 32, "nbits": 8}},
}
_clients: dict[str, Any] = {}
_lock = threading.Lock()


def address_of(folder: Path, uri: str) -> str:
    """Return where to connect to.

    Raises:
        UserError: If it is a file outside the gallery's folder.
    """
    if "://" in uri:
        return uri
    if Path(uri).name != uri or not uri.endswith(".db"):
        raise UserError(
            f"{uri!r} is not the address of a Milvus server: write http://host:19530, or a name such as views.db for a "
            "file in the gallery's folder."
        )
    if (folder / uri).is_symlink():
        raise UserError(f"{folder / uri} is a link to another file, and nothing is written through it; remove it.")
    return str(folder.resolve() / uri)


def connect(folder: Path, uri: str) -> Any:
    """Return a client, one for each address in this process.

    The key in the environment variable `LECCR_MILVUS_TOKEN` goes to the server that `LECCR_MILVUS_URI` names.

    Raises:
        UserError: If there is no server.
    """
    address = address_of(folder, uri)
    token = os.environ.get(TOKEN_VARIABLE, "") if os.environ.get(TOKEN_FOR_VARIABLE) == address else ""
    # They would show every failure a second time, with a traceback, and milvus-lite logs harmless events too.
    for name in ("pymilvus", "grpc", "milvus_lite"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _lock:
        if address not in _clients:
            with plain_errors(address):
                _clients[address] = MilvusClient(address, token=token)
        return _clients[address]


@contextlib.contextmanager
def plain_errors(address: str) -> Iterator[None]:
    """Turn errors of the server or the network into one clear line."""
    try:
        yield
    except MilvusException as error:
        raise UserError(f"The Milvus server {address} failed: {' '.join(error.message.split())[:300]}") from error


class MilvusStorage:
    """Views in a collection of a Milvus server; each generation of a gallery has a separate collection."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder = folder
        self.address = address_of(folder, str(state.uri))
        self.client = connect(folder, str(state.uri))

    def append(self, state: State, views: np.ndarray, counts: np.ndarray) -> list[int]:
        """Insert the rows, or replace what a killed writer left."""
        append_to_map(self.folder, state, counts)
        name = self._collection(state)
        flat = np.ascontiguousarray(views, dtype=np.float32)
        items = np.repeat(state.positions + np.arange(len(counts)), counts).tolist()
        with plain_errors(self.address):
            for start in range(0, len(flat), ROWS_PER_REQUEST):
                block = flat[start : start + ROWS_PER_REQUEST]
                records = [
                    {"row": row, "item": item, "view": view.tolist()}
                    for row, (item, view) in enumerate(zip(items[start:], block), state.views + start)
                ]
                self.client.upsert(name, records)
            self.client.flush(name)
        return [zlib.crc32(item.tobytes()) for item in by_item(flat, counts)]

    def forget(self, state: State, positions: Sequence[int]) -> None:
        """Delete the rows of removed items."""
        with plain_errors(self.address):
            for start in range(0, len(positions), ROWS_PER_REQUEST):
                block = list(positions[start : start + ROWS_PER_REQUEST])
                self.client.delete(collection_of(state), filter=f"item in {block}")

    def engine(self, state: State, approximate: bool = True) -> "MilvusEngine":
        """Return what searches the state's collection; whether exactly is decided by the server's index."""
        return self._engine(state)

    def _engine(self, state: State) -> "MilvusEngine":
        name = self._collection(state)
        with plain_errors(self.address):
            if not self.client.list_indexes(name):
                # A process was killed while it replaced the index.
                self.client.create_index(name, self._index(EXACT))
            self.client.load_collection(name)
            kind = self.client.describe_index(name, "view")["index_type"]
        return MilvusEngine(self.client, self.address, state, kind, ViewMap.open(self.folder, state))

    def approximate(self, state: State, kind: str) -> Approximation:
        """Let the server build an index, and measure its recall against exact search."""
        name = self._collection(state)
        exact = self._engine(state)
        if not exact.exact:
            self._replace_index(name, EXACT)
            exact = self._engine(state)
        drawn = np.random.default_rng(0).permutation(state.positions)[:RECALL_QUERIES]
        views, counts = exact.at(np.sort(drawn))
        queries = views[np.cumsum(counts) - counts]
        relevant = rank_all(exact, state, queries)
        self._replace_index(name, INDEXES[kind])
        retrieved = rank_all(self._engine(state), state, queries)
        return Approximation(kind, state.positions, recall=recall(retrieved, relevant), queries=len(queries))

    def make_exact(self, state: State) -> None:
        """Let the server compare all rows again."""
        self._replace_index(self._collection(state), EXACT)

    def _replace_index(self, name: str, settings: dict[str, Any]) -> None:
        with plain_errors(self.address):
            self.client.release_collection(name)
            self.client.drop_index(name, "view")
            self.client.create_index(name, self._index(settings))

    def checksums(self, state: State, positions: Sequence[int]) -> list[int]:
        """Return the CRC-32 of the rows as float32."""
        return [zlib.crc32(item.tobytes()) for item in by_item(*self._engine(state).at(np.asarray(positions)))]

    def discard(self, state: State) -> None:
        """Drop the state's collection."""
        with plain_errors(self.address):
            self.client.drop_collection(collection_of(state))

    def _collection(self, state: State) -> str:
        name = collection_of(state)
        with plain_errors(self.address):
            if not self.client.has_collection(name):
                schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
                schema.add_field("row", DataType.INT64, is_primary=True)
                schema.add_field("item", DataType.INT64)
                schema.add_field("view", DataType.FLOAT_VECTOR, dim=state.width)
                self.client.create_collection(
                    name, schema=schema, index_params=self._index(EXACT), consistency_level="Strong"
                )
        return name

    def _index(self, settings: dict[str, Any]) -> Any:
        parameters = self.client.prepare_index_params()
        parameters.add_index("view", metric_type="IP", **settings)
        return parameters


def collection_of(state: State) -> str:
    """Return the name of a state's collection."""
    return f"{state.collection}_{state.generation}"


class MilvusEngine:
    """Searches a collection; see `leccr.gallery.store.ranking.Engine`."""

    def __init__(self, client: Any, address: str, state: State, kind: str, view_map: ViewMap) -> None:
        self.client = client
        self.address = address
        self.state = state
        self.view_map = view_map
        self.name = collection_of(state)
        self.kind = kind
        self.exact = kind == EXACT["index_type"]

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the views (R, D) at the positions and the counts (n,) of each; zeros where the server has no view."""
        rows, counts = self.view_map.rows_of(positions)
        views = np.zeros((len(rows), self.state.width), dtype=np.float32)
        index_of = {int(row): index for index, row in enumerate(rows)}
        with plain_errors(self.address):
            for start in range(0, len(rows), ROWS_PER_REQUEST):
                block = rows[start : start + ROWS_PER_REQUEST].tolist()
                for record in self.client.get(self.name, ids=block, output_fields=["row", "view"]):
                    views[index_of[record["row"]]] = record["view"]
        return views, counts

    def search(self, queries: np.ndarray, count: int, allowed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Find the rows with the largest inner products."""
        # What a killed writer left beyond the last row may name any item.
        condition = f"row < {self.state.views}"
        if allowed is not None:
            if len(allowed) > MOST_NAMED:
                raise UserError(
                    f"The filter leaves {len(allowed)} items, but a Milvus server accepts at most {MOST_NAMED} in one "
                    "request; narrow it down."
                )
            condition += f" and item in {allowed.tolist()}"
        scores = np.full((len(queries), count), -np.inf, dtype=np.float32)
        rows = np.full((len(queries), count), -1, dtype=np.int64)
        with plain_errors(self.address):
            answers = self.client.search(
                self.name,
                data=queries,
                limit=self._limit(count),
                anns_field="view",
                filter=condition,
                output_fields=["row"],
                search_params={"metric_type": "IP", "params": self._width(count)},
            )
        for query, hits in enumerate(answers):
            rows[query, : len(hits)] = [hit["row"] for hit in hits]
            scores[query, : len(hits)] = [hit["distance"] for hit in hits]
        return scores, rows

    @staticmethod
    def _limit(count: int) -> int:
        if count > MOST_ROWS:
            raise UserError(f"Milvus returns at most {MOST_ROWS} rows, but {count} are needed; ask for fewer items.")
        return count

    def _width(self, count: int) -> dict[str, int]:
        """Return how thoroughly the server searches its index."""
        if self.exact:
            return {}
        return {"ef": max(256, count)} if self.kind == "HNSW" else {"nprobe": 64}
