"""Large contrastive batches: chunks of a batch are encoded one by one, and again when the gradient comes back.

The loss sees the embeddings of the whole batch, while memory holds the activations of one chunk.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from .base_leccr import is_frozen
from .inputs_leccr import check_text_inputs, check_visual_inputs
from .outputs_leccr import LeccrImageOutput

# What the objectives need of images. Visual tokens are left out: of a whole batch they would be too large.
KEPT = (
    "image_embeds",
    "image_views",
    "undescribed_embeds",
    "slot_embeds",
    "slots",
    "view_mask",
    "slot_vectors",
    "vision_vectors",
)

# Share of further padding up to which captions of two languages are encoded together.
MOST_PADDING = 0.05
# Token ids and their mask, if there are any.
Texts = tuple[Tensor | None, Tensor | None]


class EncodesBatches:
    """The part of `LeccrModel` that encodes a training batch: in chunks if the configuration says so."""

    config: Any
    image: Any
    text: Any
    objective: Any
    encode_images: Any
    get_text_features: Any
    get_visual_tokens: Any

    def encode_batch(
        self,
        pixel_values: Tensor | None,
        description_input_ids: Tensor | None,
        description_attention_mask: Tensor | None,
        visual_features: Tensor | None,
        visual_attention_mask: Tensor | None,
    ) -> LeccrImageOutput:
        """Encode the images of a batch. Inputs as in `encode_images`; in chunks, the output has no visual tokens."""
        visual = pixel_values if visual_features is None else visual_features
        described = (description_input_ids, description_attention_mask)
        size = chunk_size(self.config, visual, *described, visual_attention_mask)
        if size is None:
            return self.encode_images(pixel_values, *described, visual_features, visual_attention_mask)
        # Here, so that messages count rows from the start of the batch.
        check_visual_inputs(self.config, pixel_values, visual_features, visual_attention_mask)
        if pixel_values is not None and is_frozen(self.image.tower):
            # Tokens are hardly larger than the pixels, and so are kept rather than computed again.
            tokens = in_chunks(self, lambda pixels: [self.get_visual_tokens(pixels)], size, pixel_values, again=False)
            pixel_values, visual_features = None, tokens[0]
        rows = (pixel_values, *described, visual_features, visual_attention_mask)
        return LeccrImageOutput(**dict(zip(KEPT, in_chunks(self, self._encode_chunk, size, *rows), strict=True)))

    def _encode_chunk(self, *rows: Tensor | None) -> list[Tensor | None]:
        images = self.encode_images(*rows)
        images.slot_vectors, images.vision_vectors = self.objective.slot_vision_vectors(images, rows[-1])
        return [getattr(images, name) for name in KEPT]

    def embed_batch(self, *texts: Texts) -> list[Any]:
        """Embed the captions of a batch, together where that adds hardly any padding.

        Args:
            *texts: Token ids (B, L) and their mask for each language, with an L of its own; None for no captions.

        Returns:
            (B, D) of unit length for each language; None for no captions.
        """
        if chunk_size(self.config, *(ids for ids, _ in texts)) is not None or not _fit_together(texts):
            return [self._embed_captions(*pair) for pair in texts]
        for ids, mask in texts:
            # Here, so that messages count rows from the start of each.
            check_text_inputs(ids, mask, self.text.tower.positions)
        length = max(ids.shape[1] for ids, _ in texts)
        joined_ids, joined_mask = (
            torch.cat([functional.pad(x, (0, length - x.shape[1]), value=filler) for x in columns])
            for columns, filler in zip(zip(*texts, strict=True), (self.text.tower.pad_token, 0), strict=True)
        )
        return list(self.get_text_features(joined_ids, joined_mask).split([len(ids) for ids, _ in texts]))

    def _embed_captions(self, input_ids: Tensor | None, attention_mask: Tensor | None) -> Any:
        if input_ids is None:
            return None
        size = chunk_size(self.config, input_ids, attention_mask)
        if size is None:
            return self.get_text_features(input_ids, attention_mask)
        check_text_inputs(input_ids, torch.ones_like(input_ids) if attention_mask is None else attention_mask)
        # Over a frozen tower only the head has a gradient, and its activations are one vector per text.
        again = not is_frozen(self.text.tower)
        captions = (input_ids, attention_mask)
        return in_chunks(self, lambda *rows: [self.get_text_features(*rows)], size, *captions, again=again)[0]


def _fit_together(texts: Sequence[Texts]) -> bool:
    """Return whether texts with their masks can be encoded as one batch that has hardly more padding.

    Padding is added behind texts, so shorter ones with padding in front would move.
    """
    if any(ids is None or mask is None or ids.shape != mask.shape for ids, mask in texts):
        return False
    lengths = [ids.shape[1] for ids, _ in texts]
    if len(lengths) * max(lengths) > (1 + MOST_PADDING) * sum(lengths):
        return False
    return len(set(lengths)) == 1 or all(bool(mask[:, 0].all()) for _, mask in texts)


def chunk_size(config: Any, *tensors: Tensor | None) -> int | None:
    """Return how many rows of a batch are encoded at once; None where all of them are.

    That is so without gradient, and for tensors of different lengths, about which the encoders complain.

    Args:
        config: A configuration with `encode_chunk_size`.
        *tensors: Tensors (B, ...) with the rows of the batch.
    """
    lengths = {len(tensor) for tensor in tensors if tensor is not None}
    if not config.encode_chunk_size or not torch.is_grad_enabled() or len(lengths) != 1:
        return None
    return config.encode_chunk_size if max(lengths) > config.encode_chunk_size else None


def in_chunks(
    model: Any,
    encode: Callable[..., Sequence[Tensor | None]],
    size: int,
    *tensors: Tensor | None,
    again: bool = True,
) -> list[Any]:
    """Encode rows in chunks of about equal length, and join what comes out.

    When a chunk is computed again, random numbers and autocast are those of the first time. Batch norm sees a chunk
    where it would see the batch.

    Args:
        model: The module that `encode` runs.
        encode: Takes the rows of a chunk, and returns tensors (b, ...) of it, or None in place of one.
        size: Most rows of a chunk.
        *tensors: (B, ...) to cut into chunks; None stays None.
        again: Whether activations are dropped, and computed again in the backward pass.

    Returns:
        What `encode` returns, of all rows.
    """
    rows = max(len(tensor) for tensor in tensors if tensor is not None)
    count = -(-rows // size)
    # Of equal lengths, because batch norm cannot train on a last chunk of one row.
    pieces = [[None] * count if tensor is None else tensor.tensor_split(count) for tensor in tensors]
    outputs = []

    def contexts() -> tuple[Any, Any]:
        return nullcontext(), _statistics_kept(model)

    for chunk in zip(*pieces, strict=True):
        if again:
            outputs.append(checkpoint(encode, *chunk, use_reentrant=False, context_fn=contexts))
        else:
            outputs.append(encode(*chunk))
    return [None if parts[0] is None else torch.cat(parts) for parts in zip(*outputs, strict=True)]


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """Let batch norm take the statistics of what it sees without counting them a second time."""
    norms: list[Any] = [m for m in model.modules() if getattr(m, "num_batches_tracked", None) is not None]
    before = [(module, module.momentum, module.num_batches_tracked.clone()) for module in norms]
    for module in norms:
        module.momentum = 0.0
    try:
        yield
    finally:
        for module, momentum, count in before:
            module.momentum = momentum
            module.num_batches_tracked.copy_(count)
