import json
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModel

from leccr.models.build import build_model
from leccr.models.checkpoints import load_retriever
from leccr.models.dual_encoders import load_text_encoder
from leccr.recipes import Recipe
from processing.errors import UserError
from processing.model_sizes import check_sizes
from processing.pretrained import load_pretrained

HUGE: list[dict[str, Any]] = [
    {"num_hidden_layers": 10**7},
    {"text_config": {"num_hidden_layers": 10**9}},
    {"vision_config": {"hidden_size": 2**30}},
    {"num_slots": 10**8},
    {"depths": [3, 10**7]},
    {"vocab_size": 10**10},
    {"intermediate_size": -(10**12)},
    {"text_config": {"max_position_embeddings": 10**11}},
    {"num_attention_heads": 10**6},
]


@pytest.mark.parametrize("fields", HUGE)
def test_impossible_sizes_are_refused_before_anything_is_built(tmp_path: Path, fields: dict[str, Any]) -> None:
    for kind, load in (
        ("leccr", load_retriever),
        ("clip", load_text_encoder),
        ("bert", lambda name: load_pretrained(AutoModel, name)),
    ):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **fields}))
        start = time.process_time()
        with pytest.raises(UserError, match=r"config.json of .* says \w+: -?\d+, but at most"):
            load(tmp_path)
        assert time.process_time() - start < 1


@pytest.mark.parametrize("fields", HUGE)
def test_recipes_too(fields: dict[str, Any]) -> None:
    recipe = Recipe(name="mine", text={"model_type": "bert", **fields})
    with pytest.raises(UserError, match="Recipe mine says"):
        build_model(recipe, None)


@pytest.mark.parametrize("content", ["[]", "1", '"text"', "null", "[" * 10**5, "{", ""])
def test_a_config_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config.json"):
        load_retriever(tmp_path)


def test_the_largest_published_models_are_possible() -> None:
    check_sizes(
        {
            "num_hidden_layers": 126,
            "hidden_size": 16384,
            "intermediate_size": 53248,
            "vocab_size": 256_000,
            "max_position_embeddings": 10_485_760,
            "num_attention_heads": 128,
            "eos_token_id": 2**40,
            "is_decoder": True,
        },
        "it",
    )
