"""States of texts in the place of the frozen layers of a text tower: put there, checked, and counted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modeling_leccr.text_encoder_leccr import TextTower
from modeling_leccr.text_layers_leccr import check_frozen_layers
from processing.notes import note
from processing.text_states import TextStates

from ..errors import UserError, settings_of_the_user


def use_text_states(model: Any, states: TextStates) -> None:
    """Let states take the place of the frozen layers of a model's text tower, after a look at whether they are theirs.

    Args:
        model: A `LeccrModel` or a `CrossLingualModel`, still on the device of the states, the CPU.
        states: What `leccr.data.text_states.choose_text_states` returned.

    Raises:
        UserError: If the tower has changed since, or is another one.
    """
    tower = model.text.tower
    training, expected = tower.training, _pooled(tower.eval(), states.probes)
    same = states.width == _width(tower, states)
    if same:
        tower.cache = states
        same = _differ(_pooled(tower, states.probes), expected) <= states.tolerance
    tower.train(training)
    states.asked = states.missing = 0
    if not same:
        tower.cache = None
        raise UserError(
            f"{states.path} was made with other weights than those of the text tower {states.settings['tower']}; "
            "remove it, or compute it again with leccr features DATA --texts."
        )


def tell_missing(states: TextStates) -> None:
    """Print how many of the texts of a run were not in the file, so that the tower ran for them."""
    if states.missing:
        note(
            f"Note: {states.missing:,} of {states.asked:,} texts were not in {states.path.name}, so the text tower ran "
            "for them; if the data have changed, remove the file and compute it again: leccr features DATA --texts."
        )


@torch.no_grad()
def _pooled(tower: TextTower, probes: Sequence[Sequence[int]], layers: int = 0) -> Tensor:
    """Return the pooled states (P, H) of a few texts, one by one; `layers` runs the lowest ones by themselves first."""
    rows = []
    for probe in probes:
        ids, mask = padded([probe], 0)
        ids, mask = ids.to(tower.model.device), mask.to(tower.model.device)
        states = tower.upper(tower.lower(ids, mask, layers), ids, mask, layers) if layers else tower(ids, mask)
        rows.append(tower.pool(states, mask, ids).float().cpu())
    return torch.cat(rows)


@torch.no_grad()
def _width(tower: TextTower, states: TextStates) -> int:
    """Return the width H of the states after the layers that are stored."""
    return int(tower.lower(*padded(states.probes[:1], 0), states.layers).shape[-1])


def _differ(vectors: Tensor, expected: Tensor) -> float:
    return float(((vectors - expected).norm(dim=1) / expected.norm(dim=1)).max())


def check_layers(tower: TextTower, settings: dict[str, Any], probes: Sequence[Sequence[int]]) -> None:
    """Raise UserError where a tower does more between its layers than to pass states on."""
    layers = settings["layers"]
    if layers is None:
        return
    with settings_of_the_user("The text tower"):
        check_frozen_layers(tower.model, layers)
    try:
        works = _differ(_pooled(tower, probes, layers), _pooled(tower, probes)) <= 1e-3
    except Exception:  # noqa: BLE001 - whatever the code of another kind of model makes of it
        works = False
    if not works:
        raise UserError(
            f"The layers of the text tower {settings['tower']} do not run by themselves, so that what the lower ones "
            "say cannot be stored; train without it."
        )


def padded(rows: Sequence[Any], pad_token: int) -> tuple[Tensor, Tensor]:
    """Return token ids (B, L), filled up on the right, and their mask."""
    tensors = [torch.as_tensor(np.asarray(row, dtype=np.int64)) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=pad_token)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long()


__all__ = ["check_layers", "padded", "tell_missing", "use_text_states"]
