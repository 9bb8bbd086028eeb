import re
from pathlib import Path
from typing import Any

import pytest
import torch

from leccr.data.text_states import check_frozen, choose_text_states, text_settings, text_states_path
from leccr.errors import UserError
from leccr.recipes import Recipe
from processing.text_states import save_text_states
from tests.tiny_data import recipe

FROZEN = {"freeze_text": True, "text_pooling": "mean"}


def write(folder: Path, made_for: Recipe) -> Path:
    path = text_states_path(folder, made_for)
    save_text_states(path, ["a"], [torch.ones(1, 4)], text_settings(made_for) or {}, [[1]], "float32")
    return path


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        (FROZEN, {}, "in texts-org-e5.safetensors take the place of the frozen text tower"),
        ({**FROZEN, "token_dropout": 0.1}, {}, "token_dropout hides tokens .* texts-org-e5.safetensors is not used"),
        ({**FROZEN, "text_pooling": "cls"}, {}, "the text tower runs, since no states"),
        ({"freeze_text_layers": 2}, {}, "the text tower runs, since no states .* texts-org-e5.safetensors .org/e5"),
        (FROZEN, {"text": "org/other"}, "the text tower runs"),
        (FROZEN, {"warm_start": "teacher"}, "the text tower runs"),
        (FROZEN, {"network": "cross-lingual"}, "the text tower runs"),
        ({**FROZEN, "freeze_text": False}, {}, "^$"),
        (FROZEN, {"lora": 4}, "^$"),
    ],
)
def test_states_are_those_of_the_recipe_s_frozen_layers(
    model: dict[str, Any], fields: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, recipe(FROZEN, text="org/e5"))
    states = choose_text_states(tmp_path, recipe(model, **{"text": "org/e5", **fields}))
    assert (None if states is None else states.path) == (path if "take the place" in said else None)
    assert re.search(said, capsys.readouterr().out.strip())


def test_states_of_all_tokens_serve_where_pooled_ones_would(tmp_path: Path) -> None:
    teacher, retriever = (recipe(FROZEN, text="org/e5", network=kind) for kind in ("cross-lingual", "cross-modal"))
    path = write(tmp_path, teacher)
    assert text_states_path(tmp_path, retriever) == path
    states = choose_text_states(tmp_path, retriever)
    assert states is not None and states.path == path


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ({}, "tokens"),
        ({"slot_source": "both"}, "tokens"),
        ({"slot_source": "sentences"}, "pooled"),
        ({"num_slots": 0}, "pooled"),
        ({"freeze_text": False, "freeze_text_layers": 2, "num_slots": 0}, "tokens"),
    ],
)
def test_descriptions_are_pooled_unless_slots_attend_to_tokens(model: dict[str, Any], kind: str) -> None:
    assert check_frozen(recipe({**FROZEN, **model}, text="org/e5"))["descriptions"] == kind


def test_pooled_descriptions_do_not_serve_where_tokens_are_needed(tmp_path: Path) -> None:
    whole = recipe({**FROZEN, "slot_source": "sentences"}, text="org/e5")
    path = write(tmp_path, whole)
    assert choose_text_states(tmp_path, recipe(FROZEN, text="org/e5")) is None
    assert text_states_path(tmp_path, recipe(FROZEN, text="org/e5")) != path


def test_each_depth_and_tower_has_a_file_of_its_own(tmp_path: Path) -> None:
    models = [FROZEN, {"freeze_text_layers": 2}, {"freeze_text_layers": 3}, {**FROZEN, "text_pooling": "cls"}]
    variants = [recipe(model, text="org/e5") for model in models]
    paths = [write(tmp_path, variant) for variant in variants]
    ends = ("", "-layer-2", "-layer-3", "-2")
    assert [path.name for path in paths] == [f"texts-org-e5{end}.safetensors" for end in ends]
    assert [text_states_path(tmp_path, variant) for variant in variants] == paths


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "texts-x.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match="texts-x.safetensors was not written by `leccr features --texts`"):
        choose_text_states(tmp_path, recipe(FROZEN, text="org/e5"))
