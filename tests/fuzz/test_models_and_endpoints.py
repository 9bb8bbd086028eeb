"""Checkpoints and answers of endpoints that were changed at random."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from leccr.errors import UserError
from leccr.models.checkpoints import load_retriever
from processing.generation.answers import CONTROLS, clean, find_problem
from processing.generation.endpoint import _Passing, _read_answer
from tests.leccr.gallery import tiny_gallery

from .changes import flipped, harmless

VALUES = ("x", -1, 0, 10**9, 1e400, None, [], {}, True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gallery.save_model(tmp_path_factory.mktemp("model") / "model")


def test_any_configuration(model: Path, place: Path) -> None:
    folder = Path(shutil.copytree(model, place / "model"))
    fields = json.loads((model / "config.json").read_text())
    for number, name in enumerate(fields):
        changed = {**fields, name: VALUES[number % len(VALUES)]}
        (folder / "config.json").write_text(json.dumps(changed))
        harmless(load_retriever, folder)


def test_a_configuration_with_bytes_changed(model: Path, place: Path) -> None:
    folder = Path(shutil.copytree(model, place / "model"))
    for copy in flipped((model / "config.json").read_bytes(), 10):
        (folder / "config.json").write_bytes(copy)
        harmless(load_retriever, folder)


@pytest.mark.parametrize("value", ["x", [], {}])
def test_a_number_that_is_a_text(model: Path, place: Path, value: Any) -> None:
    folder = Path(shutil.copytree(model, place / "model"))
    fields = json.loads((model / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**fields, "alpha": value}))
    with pytest.raises(UserError, match="config.json"):
        load_retriever(folder)


class Pickled:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "code ran")


def test_pickled_weights_are_not_read(model: Path, place: Path) -> None:
    folder = Path(shutil.copytree(model, place / "model"))
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Pickled(place / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_retriever(folder)
    assert not (place / "ran").exists()


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["choices", "message", "content", "finish_reason", "x"]), inner, max_size=4),
    ),
    max_leaves=8,
)


def check(content: bytes) -> None:
    try:
        answer = _read_answer(content)
    except _Passing:
        return
    text = clean(answer.text)
    assert not CONTROLS.search(text)
    text.encode()
    find_problem(answer, 100)


@examples(max_examples=40)
@given(st.one_of(values, values.map(lambda value: {"choices": [{"message": {"content": value}}]})))
def test_any_answer(value: Any) -> None:
    check(json.dumps(value).encode())


@examples(max_examples=100)
@given(st.binary(max_size=100))
def test_any_bytes_as_an_answer(content: bytes) -> None:
    check(content)


def test_an_answer_changed_anywhere() -> None:
    whole = {"choices": [{"message": {"content": "A dog \u001b[2J runs."}, "finish_reason": "stop"}]}
    for copy in flipped(json.dumps(whole).encode(), 200):
        check(copy)
