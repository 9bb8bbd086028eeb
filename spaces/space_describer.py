"""Describing an uploaded picture with a multimodal model, on a server or here, where the owner has set one."""

import os
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
from PIL import Image as PillowImage
from space_errors import SpaceError
from space_explain import jpeg
from space_files import data_uri

PROMPT = (
    "Describe this picture in two or three plain sentences: what is in it, what happens, where, and in what colours."
)
MOST_TOKENS = 160
SECONDS = 60.0
SIDE = 640
FAILED = "The picture could not be described now; write a description yourself, or try again later."


@dataclass
class Describer:
    """A multimodal model.

    Attributes:
        name: Address of a server with OpenAI's chat completions, such as `http://localhost:8000/v1`, or a model of
            transformers, by its folder or its name on the Hub.
        model: Name that the server knows the model by.
        key: Secret for the server.
    """

    name: str
    model: str = "default"
    key: str = field(default="", repr=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def from_environment(cls) -> "Describer | None":
        """Read `LECCR_DESCRIBER`, `LECCR_DESCRIBER_MODEL` and `LECCR_API_KEY`; None if the first is not set."""
        name, model, key = (
            os.environ.get(f"LECCR_{each}", "").strip() for each in ("DESCRIBER", "DESCRIBER_MODEL", "API_KEY")
        )
        return cls(name, model or "default", key) if name else None

    def describe(self, picture: PillowImage.Image) -> str:
        """Return a description of a picture.

        Raises:
            SpaceError: If there is none: the server or the model failed. The owner finds the reason in the log.
        """
        small = picture.copy()
        small.thumbnail((SIDE, SIDE))
        content = data_uri(jpeg(small, max(small.size)))
        try:
            # One picture at a time, which bounds what visitors can cost.
            with self._lock:
                is_server = self.name.startswith(("http://", "https://"))
                said = self._ask_server(content) if is_server else self._ask_model(small)
        except Exception as error:  # Servers and models fail in many ways, and a visitor can correct none of them.
            print(f"The describer failed: {type(error).__name__}: {error}")
            raise SpaceError(FAILED) from error
        words = " ".join(str(said).split())
        if not words:
            raise SpaceError(FAILED)
        return words

    def _ask_server(self, picture: str) -> str:
        parts = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": PROMPT}]
        asked = {
            "model": self.model,
            "messages": [{"role": "user", "content": parts}],
            "max_tokens": MOST_TOKENS,
            "temperature": 0,
        }
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        # Redirects are not followed: they would take the key to another host.
        answer = httpx.post(f"{self.name.rstrip('/')}/chat/completions", json=asked, headers=headers, timeout=SECONDS)
        answer.raise_for_status()
        return answer.json()["choices"][0]["message"]["content"]

    def _ask_model(self, picture: PillowImage.Image) -> str:
        parts = [{"type": "image", "image": picture}, {"type": "text", "text": PROMPT}]
        messages = [{"role": "user", "content": parts}]
        [answer] = self._pipeline(text=messages, max_new_tokens=MOST_TOKENS, return_full_text=False, do_sample=False)
        return answer["generated_text"]

    @cached_property
    def _pipeline(self) -> Any:
        from transformers import pipeline

        return pipeline("image-text-to-text", model=self.name)
