"""Why a picture answers a query: what the whole picture and each slot add to the score, and what a slot looks at."""

import io
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from space_model import Array, Retriever

SIDE = 288
DIMMED = 0.25


@dataclass(frozen=True)
class SlotPart:
    """What one slot has to do with an answer.

    Attributes:
        number: From 1.
        similarity: m_k · h.
        points: (1 − α) m_k · h: what the slot adds to the score, if it is the one that answers.
        overlay: The picture as the model sees it, bright where the slot looks, as a JPEG; None if that cannot be shown.
        summary_share: How much the slot takes from the summary of the whole picture, from 0 to 1.
        focus: How many times as much the slot takes from its brightest place as from its darkest.
        words: The description in pieces, each with how much the slot takes from it; the pieces give the text.
    """

    number: int
    similarity: float
    points: float
    overlay: bytes | None = None
    summary_share: float | None = None
    focus: float | None = None
    words: list[tuple[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Explanation:
    """Why a picture has its score: s = α v · h + (1 − α) max_k m_k · h.

    Attributes:
        score: s.
        whole_picture: α v · h; the whole score for a model without slots.
        slots: One part for each slot; none for a model without slots.
        answered_by: Number of the slot with the largest similarity, from 1; None without slots.
        name: The picture's name.
        description: What is known about it, if anything.
        picture: A JPEG of it.
    """

    score: float
    whole_picture: float
    slots: list[SlotPart]
    answered_by: int | None
    name: str
    description: str | None
    picture: bytes

    @property
    def best(self) -> SlotPart | None:
        """The slot that answered."""
        return None if self.answered_by is None else self.slots[self.answered_by - 1]

    @property
    def share(self) -> float | None:
        """The answering slot's share of the score; None where a part is negative, since shares then mean nothing."""
        best = self.best
        if best is None or self.score <= 0 or best.points < 0 or self.whole_picture < 0:
            return None
        return best.points / self.score


def explain(
    retriever: Retriever,
    inputs: dict[str, torch.Tensor],
    query: Array,
    name: str,
    description: str | None,
    picture: PillowImage.Image,
) -> Explanation:
    """Explain the score of one picture.

    Args:
        retriever: The model.
        inputs: What the model takes for the picture and its description: one row.
        query: The query's embedding (D,).
        name: The picture's name.
        description: Its description, or None.
        picture: To show.
    """
    output = retriever.encode(inputs)
    whole = float(output.image_embeds[0].float().cpu().numpy() @ query)
    shown = jpeg(picture, SIDE)
    if output.slot_embeds is None:
        return Explanation(whole, whole, [], None, name, description, shown)
    alpha = retriever.alpha
    similarities = (output.slot_embeds[0].float().cpu().numpy() @ query).tolist()
    looks = _numbers(output, "slot_vision_attentions")
    # The tokens of a description in sentences are not those of its text.
    reads = None if retriever.has_sentences else _numbers(output, "slot_description_attentions")
    seen = None if looks is None else as_seen(retriever, inputs)
    slots = [
        SlotPart(
            number=index + 1,
            similarity=similarity,
            points=(1 - alpha) * similarity,
            overlay=None if looks is None or seen is None else overlay(seen, looks[index]),
            summary_share=None if looks is None else float(looks[index, 0]),
            focus=None if looks is None or seen is None else focus(looks[index, 1:]),
            words=[] if reads is None or not description else weigh_words(retriever, description, reads[index]),
        )
        for index, similarity in enumerate(similarities[: retriever.num_slots])
    ]
    lines = [(line, 1.0) for line in (description or "").splitlines() if line.strip()]
    slots += [
        SlotPart(number, similarity, (1 - alpha) * similarity, words=lines[number - len(slots) - 1 :][:1])
        for number, similarity in enumerate(similarities[len(slots) :], start=len(slots) + 1)
    ]
    best = int(np.argmax(similarities))
    score = alpha * whole + slots[best].points
    return Explanation(score, alpha * whole, slots, best + 1, name, description, shown)


def _numbers(output: Any, field_name: str) -> Array | None:
    """Return attentions (K, ...) of the only row; None where the model gives none."""
    found = getattr(output, field_name, None)
    return None if found is None else found[0].float().cpu().numpy()


def as_seen(retriever: Retriever, inputs: dict[str, torch.Tensor]) -> PillowImage.Image | None:
    """Return the picture as the model sees it, scaled and cropped, so that attention falls on the right places."""
    pixels = inputs.get("pixel_values")
    if pixels is None or pixels.dim() != 4:
        return None
    values = pixels[0].float().cpu().numpy()
    maker = retriever.processor.image_processor
    if getattr(maker, "do_normalize", False):
        mean, deviation = np.asarray(maker.image_mean), np.asarray(maker.image_std)
        values = values * deviation[:, None, None] + mean[:, None, None]
    scaled = values * (255 if getattr(maker, "do_rescale", True) else 1)
    return PillowImage.fromarray(scaled.clip(0, 255).round().astype(np.uint8).transpose(1, 2, 0))


def overlay(seen: PillowImage.Image, weights: Array) -> bytes | None:
    """Return a JPEG that is bright where the weights (N,) are large; token 0, the summary, has no place in it.

    Brightness, and not colour, tells: it reads in greyscale, on light and on dark pages. It goes from the smallest
    weight to the largest, as a model of photos may look at all places nearly alike: `focus` says how nearly.
    """
    # The grid has the picture's proportions; where no grid fits, the tokens are something else.
    rows = round(math.sqrt((len(weights) - 1) * seen.height / seen.width))
    if (
        rows < 2
        or (len(weights) - 1) % rows
        or abs((len(weights) - 1) / rows / rows * seen.height / seen.width - 1) > 0.1
    ):
        return None
    grid = np.asarray(contrast(weights[1:])).reshape(rows, -1)
    scale = SIDE / max(seen.size)
    size = (round(seen.width * scale), round(seen.height * scale))
    light = PillowImage.fromarray((255 * grid).astype(np.uint8)).resize(size, PillowImage.Resampling.BICUBIC)
    picture = np.asarray(seen.resize(size, PillowImage.Resampling.BICUBIC), dtype=np.float32)
    brightness = DIMMED + (1 - DIMMED) * np.asarray(light, dtype=np.float32)[..., None] / 255
    return jpeg(PillowImage.fromarray((picture * brightness).clip(0, 255).astype(np.uint8)), SIDE)


def contrast(weights: Any) -> Array:
    """Return weights from 0, for the smallest, to 1, for the largest; all 1 where they are equal."""
    values = np.asarray(weights, dtype=np.float64)
    spread = float(values.max() - values.min())
    return (values - values.min()) / spread if spread > 0 else np.ones_like(values)


def focus(weights: Array) -> float | None:
    """Return how many times as large the largest weight is as the smallest; None if the smallest is 0."""
    least = float(weights.min()) if weights.size else 0.0
    return float(weights.max()) / least if least > 0 else None


def weigh_words(retriever: Retriever, description: str, weights: Array) -> list[tuple[str, float]]:
    """Cut a description into pieces, each with the weight of its tokens; what lies between words weighs nothing.

    Args:
        retriever: The model, for its tokenizer.
        description: The text.
        weights: (L,) for each token of it, special tokens included.
    """
    processor = retriever.processor
    tokenizer = processor.description_tokenizer
    if not getattr(tokenizer, "is_fast", False):
        return []
    tokens = tokenizer(
        [description], truncation=True, max_length=processor.description_max_length, return_offsets_mapping=True
    )
    spans: dict[int, list[float]] = {}
    weighed = zip(tokens.word_ids(0), tokens["offset_mapping"][0], weights)
    own = [each for each in weighed if each[0] is not None][processor.description_prefix_length :]
    for word, (start, end), weight in own:
        if start >= end:
            continue
        span = spans.setdefault(word, [start, end, 0.0])
        span[:] = [min(span[0], start), max(span[1], end), span[2] + float(weight)]
    pieces, done = [], 0
    for start, end, weight in sorted(spans.values()):
        start, end = max(int(start), done), int(end)
        pieces += [(description[done:start], 0.0)] if start > done else []
        pieces += [(description[start:end], weight)] if end > start else []
        done = max(done, end)
    return [*pieces, (description[done:], 0.0)] if done < len(description) else pieces


def jpeg(picture: PillowImage.Image, side: int) -> bytes:
    """Return a picture as a JPEG whose longer side is `side` pixels; smaller ones are drawn larger."""
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    stream = io.BytesIO()
    picture.convert("RGB").resize(size, PillowImage.Resampling.BICUBIC).save(stream, "JPEG", quality=85)
    return stream.getvalue()
