"""A loaded model, handed to the Space, which loads only our own models by itself."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image as PillowImage

from ..arguments import repository_of
from ..models.encoder import Encoder, padded
from ..models.model_encoder import ModelEncoder
from ..models.sentence_views import SentenceViews
from .space import space


def make_retriever(encoder: Encoder) -> Any:
    """Return the Space's `Retriever` (see `spaces/space_model.py`) for a model that is loaded already."""
    space_class = space("model").Retriever
    if isinstance(encoder, ModelEncoder):
        return space_class(encoder.model, encoder.processor, encoder.name)

    class EncoderRetriever(space_class):  # type: ignore[misc, valid-type]
        """A model that prepares texts and pictures itself, with no slots but those of sentences."""

        def unknown_share(self, text: str) -> float:
            return encoder.unknown_shares([text])[0]

        def embed_text(self, text: str) -> Any:
            return encoder.texts([text])[0]

        def embed_pictures(
            self, pictures: Sequence[PillowImage.Image], descriptions: Sequence[str | None]
        ) -> tuple[Any, Any]:
            prepared = [each for each, _ in self.inputs(pictures, descriptions)]
            return padded(encoder.views(prepared, descriptions)), encoder.whole_images(prepared, descriptions)

        def inputs(self, pictures: Sequence[PillowImage.Image], descriptions: Sequence[str | None]) -> Any:
            prepared = [encoder.prepare({"id": "", "image": picture}) for picture in pictures]
            return list(zip(prepared, descriptions, strict=True))

        def encode(self, inputs: Any) -> Any:
            [(prepared, description)] = inputs
            whole = encoder.whole_images([prepared], [None])
            slots = encoder.sentence_slots(whole, [description])[0] if isinstance(encoder, SentenceViews) else ()
            return SimpleNamespace(
                image_embeds=torch.from_numpy(whole), slot_embeds=torch.from_numpy(slots)[None] if len(slots) else None
            )

    return EncoderRetriever(_Facts(encoder), None, repository_of(encoder.name))


class _Facts:
    """What the page says of a model, in place of the model."""

    def __init__(self, encoder: Encoder) -> None:
        weight = encoder.description_weight or 0.0
        source = "sentences" if weight else "attention"
        self.config = SimpleNamespace(num_slots=0, slot_source=source, alpha=1.0 - weight, projection_dim=encoder.width)
        plain = encoder.encoder if isinstance(encoder, SentenceViews) else encoder
        self._model = getattr(plain, "model", torch.nn.Module())

    def eval(self) -> "_Facts":
        return self

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        yield from self._model.parameters()
