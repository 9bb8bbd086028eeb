"""A loaded model, handed to the Space, which loads only our own models by itself."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image as PillowImage

from ..arguments import repository_of
from ..models.encoder import Encoder, padded
from ..models.model_encoder import ModelEncoder
from .space import space


def make_retriever(encoder: Encoder) -> Any:
    """Return the Space's `Retriever` (see `spaces/space_model.py`) for a model that is loaded already."""
    space_class = space("model").Retriever
    if isinstance(encoder, ModelEncoder):
        return space_class(encoder.model, encoder.processor, encoder.name)

    class EncoderRetriever(space_class):  # type: ignore[misc, valid-type]
        """A model that prepares texts and pictures itself: one view for each picture, and no slots."""

        def unknown_share(self, text: str) -> float:
            return encoder.unknown_shares([text])[0]

        def embed_text(self, text: str) -> Any:
            return encoder.texts([text])[0]

        def embed_pictures(
            self, pictures: Sequence[PillowImage.Image], descriptions: Sequence[str | None]
        ) -> tuple[Any, Any]:
            prepared = self.inputs(pictures, descriptions)
            return padded(encoder.views(prepared, descriptions)), encoder.whole_images(prepared, descriptions)

        def inputs(self, pictures: Sequence[PillowImage.Image], descriptions: Sequence[str | None]) -> Any:
            return [encoder.prepare({"id": "", "image": picture}) for picture in pictures]

        def encode(self, inputs: Any) -> Any:
            embeds = torch.from_numpy(encoder.whole_images(inputs, [None] * len(inputs)))
            return SimpleNamespace(image_embeds=embeds, slot_embeds=None)

    return EncoderRetriever(_Facts(encoder), None, repository_of(encoder.name))


class _Facts:
    """What the page says of a model, in place of the model."""

    def __init__(self, encoder: Encoder) -> None:
        self.config = SimpleNamespace(num_slots=0, alpha=1.0, projection_dim=encoder.width)
        self._model = getattr(encoder, "model", torch.nn.Module())

    def eval(self) -> "_Facts":
        return self

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        yield from self._model.parameters()
