"""What frozen layers of a text tower say of texts, in one file next to the data, read by the texts' token ids."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .errors import UserError
from .features import save_features

# Relative to the length of a text's vector: rounding to half precision stays below the first, a tower in half
# precision below the second.
TOLERANCE, HALF_TOLERANCE = 1e-2, 1e-1


class TextStates:
    """States of texts by their token ids, memory-mapped: a `cache` for `modeling_leccr`'s text tower.

    Texts that were cut, changed to lower case or given a prefix are found by construction, and those with other ids
    are not. A text has one state per token, or only one, the pooled state, which then stands at each of its tokens.

    Args:
        path: What `save_text_states` wrote.

    Raises:
        UserError: If the file holds something else.

    Attributes:
        layers: How many of the tower's layers the states have been through; None for the whole tower.
        settings: What the states depend on, as it was written.
        probes: Token ids of a few texts in it, to compare the tower with.
        asked: How many texts were looked up.
        missing: How many of them it did not have.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            file = safe_open(self.path, framework="pt")
            about = file.metadata() or {}
            self.settings: dict[str, Any] = json.loads(about["text_settings"])
            self.layers: int | None = self.settings["layers"]
            self.probes: list[list[int]] = json.loads(about["probes"])
            self.tolerance = TOLERANCE if about["precision"] == "float32" else HALF_TOLERANCE
            self._rows = {key: row for row, key in enumerate(json.loads(about["ids"]))}
            self._offsets = file.get_tensor("offsets").numpy()
            self._states = file.get_tensor("features")
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            raise _not_ours(self.path) from error
        self._check()
        self.asked = self.missing = 0

    def _check(self) -> None:
        """Raise UserError unless every text has at least one state, in the file."""
        lengths = np.diff(self._offsets)
        whole = len(self._offsets) == len(self._rows) + 1 and self._states.dim() == 2
        if not whole or self._offsets[0] or (lengths < 1).any() or self._offsets[-1] != len(self._states):
            raise _not_ours(self.path)

    @property
    def width(self) -> int:
        """Width H of the states."""
        return int(self._states.shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def look_up(self, input_ids: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states of texts.

        Args:
            input_ids: Token ids (B, L).
            seen: Which of them the tower sees, (B, L); a row without any is no text, and counts as known.

        Returns:
            States (B, L, H) in float32, zero at tokens that are not seen, or the pooled ones (B, 1, H) where there are
            no others; and which rows (B,) are known. Both are on the CPU, as the file is.
        """
        visible = seen.cpu().numpy().astype(bool)
        rows = np.array([self._row(ids[own]) for ids, own in zip(token_array(input_ids), visible, strict=True)])
        blank, known = ~visible.any(axis=1), rows >= 0
        self.asked += int((~blank).sum())
        self.missing += int((~blank & ~known).sum())
        counts = np.diff(self._offsets)[rows]
        if (counts[known] == 1).all() and (visible[known].sum(axis=1) > 1).any():
            states = torch.zeros(len(rows), 1, self.width)
            states[known, 0] = self._states[self._offsets[rows[known]]].float()
            return states, torch.from_numpy(known | blank)
        places = self._offsets[rows][:, None] + np.minimum(visible.cumsum(axis=1), counts[:, None]) - 1
        taken = torch.from_numpy(visible & known[:, None])
        states = torch.zeros(*taken.shape, self.width)
        states[taken] = self._states[torch.from_numpy(places)[taken]].float()
        return states, torch.from_numpy(known | blank)

    def _row(self, ids: np.ndarray) -> int:
        return self._rows.get(text_key(ids), -1)


def token_array(input_ids: Tensor) -> np.ndarray:
    """Return token ids as `text_key` takes them."""
    return input_ids.to("cpu", torch.int32).numpy()


def text_key(ids: np.ndarray) -> str:
    """Return what a text is found by: a digest of its token ids (L,), which are 32-bit integers."""
    return hashlib.blake2b(np.ascontiguousarray(ids, dtype="<i4").tobytes(), digest_size=8).hexdigest()


def save_text_states(
    path: str | Path,
    keys: Sequence[str],
    states: Iterable[Tensor],
    settings: dict[str, Any],
    probes: Sequence[Sequence[int]],
    precision: str,
) -> None:
    """Write the states (L, H) or (1, H) of each text; the file appears whole or not at all.

    Args:
        path: File to write.
        keys: `text_key` of each text.
        states: Theirs, in this order; may be an iterator.
        settings: What they depend on, with `layers`.
        probes: Token ids of a few of the texts.
        precision: Data type in which the tower ran, such as `float32`.
    """
    about = {"text_settings": settings, "probes": [list(map(int, ids)) for ids in probes]}
    save_features(path, keys, states, precision=precision, **{name: json.dumps(about[name]) for name in about})


def _not_ours(path: Path) -> UserError:
    return UserError(f"{path} was not written by `leccr features --texts`; remove it, and compute the texts again.")
