import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from processing.errors import UserError
from processing.text_states import TextStates, save_text_states, text_key

SETTINGS = {"tower": "bert", "layers": 2, "pooling": "mean", "captions": "tokens", "descriptions": "tokens"}
TEXTS = {(5, 6, 7): [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], (8, 9): [[4.0, 4.0]]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """States of a text of three tokens, and the pooled state of one of two."""
    keys = [text_key(np.array(ids)) for ids in TEXTS]
    states = [torch.tensor(rows).half() for rows in TEXTS.values()]
    save_text_states(tmp_path / "texts-bert.safetensors", keys, states, SETTINGS, [[5, 6, 7]], "float32")
    return tmp_path / "texts-bert.safetensors"


def test_states_are_found_wherever_the_padding_is(path: Path) -> None:
    states = TextStates(path)
    input_ids = torch.tensor([[5, 6, 7, 0], [0, 5, 6, 7], [8, 9, 0, 0], [5, 6, 8, 0], [5, 6, 0, 0]])
    found, known = states.look_up(input_ids, (input_ids > 0).long())
    assert known.tolist() == [True, True, True, False, False]
    assert found[..., 0].tolist() == [[1, 2, 3, 0], [0, 1, 2, 3], [4, 4, 0, 0], [0] * 4, [0] * 4]
    assert (found.dtype, found.shape[2], len(states)) == (torch.float32, states.width, 2)
    assert (states.asked, states.missing) == (5, 2)


def test_pooled_states_are_not_repeated(path: Path) -> None:
    states = TextStates(path)
    input_ids = torch.tensor([[8, 9, 0], [5, 6, 8], [0, 0, 0]])
    found, known = states.look_up(input_ids, (input_ids > 0).long())
    assert (found.tolist(), known.tolist()) == ([[[4, 4]], [[0, 0]], [[0, 0]]], [True, False, True])


def test_a_row_without_a_token_is_no_text(path: Path) -> None:
    states = TextStates(path)
    found, known = states.look_up(torch.tensor([[5, 6]]), torch.zeros(1, 2).long())
    assert known.all() and not found.any() and states.asked == 0


def test_padding_that_the_tower_sees_belongs_to_the_text(path: Path) -> None:
    _, known = TextStates(path).look_up(torch.tensor([[8, 9, 0], [5, 6, 7]]), torch.ones(2, 3).long())
    assert known.tolist() == [False, True]


def test_what_it_says_of_itself(path: Path) -> None:
    states = TextStates(path)
    assert (states.settings, states.layers, states.probes) == (SETTINGS, 2, [[5, 6, 7]])


@pytest.mark.parametrize("offsets", [[0, 3], [0, 3, 3], [0, 3, 5], [1, 3, 4], [0, -1, 4]])
def test_offsets_that_cannot_be(offsets: list[int], tmp_path: Path) -> None:
    tensors = {"offsets": torch.tensor(offsets), "features": torch.zeros(4, 2)}
    about = {"text_settings": json.dumps(SETTINGS), "probes": "[]", "precision": "float32", "ids": '["a", "b"]'}
    save_file(tensors, tmp_path / "texts-x.safetensors", about)
    with pytest.raises(UserError, match="texts-x.safetensors was not written by `leccr features --texts`"):
        TextStates(tmp_path / "texts-x.safetensors")


@pytest.mark.parametrize("content", [b"", b"text", b"\x08" + bytes(7) + b"{}      "])
def test_other_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "texts-x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="was not written by"):
        TextStates(tmp_path / "texts-x.safetensors")
