"""Models that answer questions about pictures: in this process, or behind a server."""

import base64
import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from PIL import Image as PillowImage

from ..errors import UserError, missing_extra
from .answers import Answer, Decoding
from .endpoint import ChatClient
from .models import generate, load, load_model, read_answers, revision_of

Pictures = Sequence[PillowImage.Image]
"""What one question is about: a picture, or the frames of a video."""

# Larger pictures are made smaller by every model anyway.
LONGEST_SIDE = 2048
OF_A_VIDEO = (
    "These pictures are frames of one video, in order. Take it as a whole to answer, and do not mention frames. "
)


class Describer(Protocol):
    """Answers a question about several pictures.

    Attributes:
        settings: What the answers depend on besides the question: the model, its revision and so on.
        batch_size: Pictures a call.
        in_flight: Concurrent calls.
    """

    settings: dict[str, Any]
    batch_size: int
    in_flight: int

    def answer(self, pictures: Sequence[Pictures], question: str, decoding: Decoding) -> list[Answer]:
        """Answer the question about each of the pictures."""


class LocalDescriber:
    """An image-text-to-text model of transformers with a chat template, such as Qwen2.5-VL, LLaVA or SmolVLM.

    Args:
        name: Folder or Hub name.
        revision: Branch, tag or commit on the Hub.
        dtype: As for `load_model`.
        device: As for `load_model`.
        batch_size: Pictures per batch.
        trust_remote_code: Run code that the checkpoint carries.

    Raises:
        UserError: If the model cannot be loaded, or has no chat template.
    """

    in_flight = 1

    def __init__(
        self,
        name: str,
        revision: str | None = None,
        dtype: str = "auto",
        device: str | torch.device = "auto",
        *,
        batch_size: int,
        trust_remote_code: bool = False,
    ) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        hint = "" if find_spec("torchvision") else str(missing_extra("describe", "Perhaps the model"))
        self.processor = load(AutoProcessor, name, hint, revision=revision, trust_remote_code=trust_remote_code)
        if not getattr(self.processor, "chat_template", None):
            raise UserError(f"{name} has no chat template; choose a model that was tuned to follow instructions.")
        tokenizer = self.processor.tokenizer
        # A decoder continues from the last position, which must not be padding.
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.model = load_model(
            AutoModelForImageTextToText, name, revision, dtype, device, trust_remote_code=trust_remote_code
        )
        self.batch_size = batch_size
        self.settings = {
            "model": name,
            "revision": revision_of(self.model, revision),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "batch_size": batch_size,
        }

    def answer(self, pictures: Sequence[Pictures], question: str, decoding: Decoding) -> list[Answer]:
        """Answer the question about each of the pictures, in one batch."""
        tokenizer = self.processor.tokenizer
        inputs = self.inputs(pictures, question)
        tokens = generate(self.model, inputs, decoding, pad_token_id=tokenizer.pad_token_id)
        return read_answers(self.model, tokenizer, tokens[:, inputs["input_ids"].shape[1] :], decoding)

    def inputs(self, pictures: Sequence[Pictures], question: str) -> Any:
        """Return the model's inputs for a question about each of the pictures, up to where the answer begins."""
        tokenizer = self.processor.tokenizer
        texts = [self._prompt(len(frames), question) for frames in pictures]
        # Templates write the first token themselves.
        repeated = tokenizer.bos_token is not None and texts[0].startswith(tokenizer.bos_token)
        return self.processor(
            text=texts,
            images=[list(frames) for frames in pictures],
            padding=True,
            return_tensors="pt",
            add_special_tokens=not repeated,
        ).to(self.model.device, dtype=self.model.dtype)

    def _prompt(self, frames: int, question: str) -> str:
        content = [{"type": "image"}] * frames + [{"type": "text", "text": _ask(frames, question)}]
        message = {"role": "user", "content": content}
        return self.processor.apply_chat_template([message], tokenize=False, add_generation_prompt=True)


class EndpointDescriber:
    """A model behind a server that speaks OpenAI's chat completions with pictures.

    Args:
        client: Client of the server.
        in_flight: Concurrent requests.
    """

    batch_size = 1

    def __init__(self, client: ChatClient, in_flight: int) -> None:
        self.client = client
        self.in_flight = in_flight
        self.settings = {"model": client.model, "revision": None, "backend": "endpoint"}

    def answer(self, pictures: Sequence[Pictures], question: str, decoding: Decoding) -> list[Answer]:
        """Answer the question about each of the pictures, one request after the other."""
        return [self._answer(frames, question, decoding) for frames in pictures]

    def _answer(self, frames: Pictures, question: str, decoding: Decoding) -> Answer:
        parts: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": _data_address(picture)}} for picture in frames
        ]
        return self.client.ask([*parts, {"type": "text", "text": _ask(len(frames), question)}], decoding)


def _ask(frames: int, question: str) -> str:
    return question if frames == 1 else OF_A_VIDEO + question


def _data_address(picture: PillowImage.Image) -> str:
    if max(picture.size) > LONGEST_SIDE:
        picture = picture.copy()
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
