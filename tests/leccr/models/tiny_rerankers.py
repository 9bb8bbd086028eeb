"""Rerankers of real architectures, tiny and with random weights."""

from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessorPil,
    BlipProcessor,
)

from tests.leccr.gallery.tiny_gallery import NAMES
from tests.processing.generation import tiny_models

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*NAMES, "en", "de", "zh", "1"]
SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def _tokenizer(folder: Path) -> BertTokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    return BertTokenizer.from_pretrained(folder)


def build_cross_encoder(folder: Path, labels: int = 1) -> Path:
    """Save a BERT that scores pairs of texts."""
    _tokenizer(folder).save_pretrained(folder)
    BertForSequenceClassification(BertConfig(**SIZES, vocab_size=40, num_labels=labels)).save_pretrained(folder)
    return folder


def build_blip(folder: Path) -> Path:
    """Save a BLIP with a head for image-text matching."""
    tokenizer = _tokenizer(folder)
    size = {"height": 16, "width": 16}
    BlipProcessor(BlipImageProcessorPil(size=size), tokenizer).save_pretrained(folder)
    config = BlipConfig(
        text_config={**SIZES, "vocab_size": 40, "encoder_hidden_size": 16, "max_position_embeddings": 32},
        vision_config={**SIZES, "image_size": 16, "patch_size": 8},
        projection_dim=8,
        image_text_hidden_size=8,
    )
    torch.manual_seed(0)
    model = BlipForImageTextRetrieval(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return folder


def build_judge(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Save a LLaVA that knows the words yes and no."""
    monkeypatch.setattr(tiny_models, "WORDS", [*tiny_models.WORDS, *WORDS, "yes", "no"])
    return tiny_models.build_llava(folder)
