"""One state of a gallery, opened for searching."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from ...errors import UserError
from .catalogue import read_state
from .ranking import Engine, Ranking, rank_items
from .state import State
from .storage import open_storage
from .untrusted import position_problems

Value = TypeVar("Value")


@dataclass(frozen=True)
class Snapshot:
    """A state with its views.

    Attributes:
        text: The state as the catalogue has it.
        state: The state.
        engine: Searches its views.
        removed: (positions,) whether a position no longer has an item; None if all have one.
    """

    text: str
    state: State
    engine: Engine
    removed: np.ndarray | None
    _learned: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, connection: Any, folder: Path, approximate: bool) -> Self:
        """Open the state that a connection sees, with its approximate index, if there is one, only if `approximate`."""
        [text] = connection.execute("SELECT value FROM state").fetchone() or [""]
        state = read_state(connection, str(folder))
        problems = position_problems(connection, state)
        if problems:
            raise UserError(
                f"The catalogue of the gallery {folder} is damaged: {'; '.join(problems)}. "
                f"`leccr gallery check --repair {folder}` repairs it."
            )
        removed = None
        if state.items < state.positions:
            empty = np.array([row[0] for row in connection.execute("SELECT position FROM removed")], dtype=np.int64)
            removed = np.zeros(state.positions, dtype=bool)
            removed[empty] = True
        return cls(text, state, open_storage(folder, state).engine(state, approximate), removed)

    def is_current(self, connection: Any) -> bool:
        """Return whether this is the state that a connection sees."""
        return connection.execute("SELECT value FROM state").fetchone() == (self.text,)

    def once(self, name: str, learn: Callable[[], Value]) -> Value:
        """Return what is learned of this state, once; `name` tells it from what else is."""
        if name not in self._learned:
            self._learned[name] = learn()
        return self._learned[name]

    def rank(
        self, queries: np.ndarray, k: int, allowed: np.ndarray | None, also: Collection[int] = ()
    ) -> list[Ranking]:
        """Return the k best of the allowed positions for each query, and after them `also` as for `rank_items`.

        Raises:
            UserError: If the queries are not as wide as the views.
        """
        state = self.state
        if queries.shape[1] != state.width:
            raise UserError(
                f"The query has {queries.shape[1]} numbers, but the views of the gallery have {state.width}: embed it "
                f"with {state.model}."
            )
        return rank_items(
            self.engine,
            queries,
            min(k, max(state.items, 1)),
            longest_view=state.longest_view,
            allowed=allowed,
            removed=self.removed,
            also=also,
        )


def matching_positions(connection: Any, condition: str, values: Sequence[Any]) -> np.ndarray:
    """Return the positions of the items that satisfy an SQL condition, ascending."""
    rows = connection.execute(f"SELECT position FROM items WHERE {condition}", tuple(values))
    return np.sort(np.fromiter((row[0] for row in rows), dtype=np.int64))
