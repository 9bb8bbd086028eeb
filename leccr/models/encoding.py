"""Embeddings of many texts and images by a model, in batches."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm

from modeling_leccr import LeccrModel
from processing import LeccrProcessor, RetrievalCollator
from processing.caption_collator import tokenize
from processing.features import FeatureFile, with_features

# Tokenized before they are sorted by their numbers of tokens.
TEXTS_AT_ONCE = 4096


def batched(items: Sequence[Any] | Any, size: int, description: str) -> Iterator[list[Any]]:
    """Yield lists of `size` items under a progress bar."""
    for start in tqdm(range(0, len(items), size), desc=description, disable=len(items) <= size):
        yield [items[place] for place in range(start, min(start + size, len(items)))]


@torch.inference_mode()
def encode_images(
    model: LeccrModel,
    processor: LeccrProcessor,
    rows: Dataset,
    features: FeatureFile | None = None,
    descriptions: bool = True,
    batch_size: int = 64,
) -> Tensor:
    """Return the views (N, K, D) of the rows' images on the CPU, float32.

    Args:
        model: A model in eval mode.
        processor: Its processor.
        rows: Rows in the project's schema.
        features: Visual features computed ahead, used in place of the pictures.
        descriptions: Whether to use the rows' descriptions.
        batch_size: Images encoded at once.
    """
    collator = RetrievalCollator(processor)
    source = with_features(rows, features)
    views = []
    for batch in batched(source, batch_size, "Encoding images"):
        inputs = collator.image_inputs(batch, descriptions=descriptions)
        views.append(model.get_image_views(**{name: value.to(model.device) for name, value in inputs.items()}))
    return torch.cat(views).float().cpu()


@torch.inference_mode()
def encode_texts(model: Any, processor: Any, texts: Sequence[str], batch_size: int = 256) -> Tensor:
    """Return the embeddings (T, D) of texts in any language on the CPU, float32, in the order of the texts.

    Args:
        model: A model with `get_text_features`.
        processor: Its processor or its tokenizer.
        texts: At least one.
        batch_size: Texts encoded at once.
    """
    places, embeds = [], []
    with tqdm(total=len(texts), desc="Encoding texts", disable=len(texts) <= batch_size) as bar:
        for some, inputs in token_batches(processor, texts, batch_size):
            places.append(some)
            embeds.append(_embed_tokens(model, inputs))
            bar.update(len(some))
    return torch.cat(embeds)[torch.cat(places).argsort()]


def token_batches(processor: Any, texts: Sequence[str], batch_size: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Yield the places (B,) and the inputs (B, L) of texts with about equally many tokens: little of it is padding.

    Args:
        processor: A processor or a tokenizer.
        texts: In any order.
        batch_size: Most texts of a batch.
    """
    fixed = getattr(processor, "pad_to_max_length", False)
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        inputs = tokenize(processor, list(texts[start : start + TEXTS_AT_ONCE]))
        # Some tokenizers give no mask; their models read the padding, too.
        tokens = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).bool()
        for places in tokens.sum(1).argsort(descending=True, stable=True).split(batch_size):
            used = tokens[places].any(0) | fixed
            yield start + places, {name: value[places][:, used] for name, value in inputs.items()}


def embed_texts(model: Any, processor: Any, texts: list[str]) -> Tensor:
    """Return the embeddings (T, D) of one batch of texts on the CPU, float32."""
    return _embed_tokens(model, tokenize(processor, texts))


def _embed_tokens(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    output = model.get_text_features(**{name: value.to(model.device) for name, value in inputs.items()})
    # Models of transformers itself return more than the embeddings.
    return getattr(output, "pooler_output", output).float().cpu()
