"""Rerankers: models that look at a text and a picture together, which is slower and more exact than embeddings."""

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage

from processing.device import choose_device
from processing.generation.answers import Decoding
from processing.generation.describers import EndpointDescriber, LocalDescriber
from processing.generation.endpoint import ChatClient, EndpointError
from processing.generation.models import load, load_model
from processing.pretrained import check_config
from processing.read_ahead import read_ahead

from ..arguments import SENTENCE_TRANSFORMERS, repository_of
from ..errors import UserError, missing_extra, no_model

BATCH = 8
MATCHING = "ForImageTextRetrieval"
# Somebody waits for the answer.
KEY_VARIABLE, TIMEOUT, ATTEMPTS, REQUESTS = "LECCR_API_KEY", 60.0, 2, 8
JUDGE = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the "
    'answer can only be "yes" or "no".\n<Instruct>: Retrieve pictures that show what the query describes.\n'
    "<Query>: {query}\n<Document>: the picture"
)
RATE = (
    "How well does what is seen fit this description, from 0 (not at all) to 100 (in every detail)? Answer with the "
    "number only.\nDescription: {query}"
)


@dataclass(frozen=True)
class Shown:
    """What a reranker sees of an answer.

    Attributes:
        picture: The picture, or a frame of a video; None if there is none any more.
        description: Its description, if it has one.
    """

    picture: PillowImage.Image | None
    description: str | None = None


class Reranker(ABC):
    """Scores how well answers fit a text; higher is better.

    Attributes:
        name: As `Reranker.load` takes it.
        calls: How often the model has run.
        seconds: How long that took.
        answers: How many answers it has scored.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.seconds = 0.0
        self.answers = 0

    @staticmethod
    def load(
        name: str,
        device: str = "auto",
        dtype: str = "auto",
        trust_remote_code: bool = False,
        endpoint: str | None = None,
    ) -> "Reranker":
        """Load a reranker.

        Args:
            name: Folder or Hub name of a model for image-text matching such as BLIP-ITM, or of one that answers
                questions about pictures, whose "yes" and "no" are compared; `st:` and that of a `CrossEncoder` of
                sentence-transformers; or what the endpoint calls its model.
            device: Where it runs, as for `processing.device.choose_device`.
            dtype: Its precision, as for `processing.device.choose_dtype`.
            trust_remote_code: Run code that the model carries.
            endpoint: OpenAI-compatible server that runs a model of pictures, which is asked for a number.

        Raises:
            UserError: If there is no such model, or it cannot score pictures.
        """
        if endpoint is not None:
            return EndpointReranker(name, endpoint)
        if name.startswith(SENTENCE_TRANSFORMERS):
            return CrossEncoderReranker(name, str(choose_device(device)), trust_remote_code)
        try:
            architectures = check_config(name).get("architectures") or [""]
        except UserError:
            raise
        except (OSError, ValueError) as error:
            raise no_model(name) from error
        kind = MatchingReranker if str(architectures[0]).endswith(MATCHING) else YesNoReranker
        return kind(name, dtype, device, trust_remote_code)

    def scores(self, query: str, shown: Sequence[Shown]) -> np.ndarray:
        """Return a score (n,) for each of some answers, −inf for those that it can see nothing of.

        Raises:
            UserError: If it fails, or returns undefined numbers, or not one for each answer.
        """
        begun = time.perf_counter()
        visible = [index for index, each in enumerate(shown) if self._sees(each)]
        found = np.full(len(shown), -np.inf)
        if visible:
            found[visible] = self._checked_scores(query, [shown[index] for index in visible])
        self.seconds += time.perf_counter() - begun
        self.answers += len(visible)
        undefined = int((~np.isfinite(found[visible])).sum())
        if undefined:
            raise UserError(
                f"The reranker {self.name} returns infinite or undefined numbers (NaN) for {undefined} of "
                f"{len(visible)} answers; try --dtype fp32, or choose another model."
            )
        return found

    def _checked_scores(self, query: str, shown: Sequence[Shown]) -> np.ndarray:
        try:
            scores = np.asarray(self._scores(query, shown), np.float64)
        except (UserError, torch.OutOfMemoryError):
            raise
        # What models raise where they are none of this kind.
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"The reranker {self.name} fails ({type(error).__name__}: {reason}); choose another model."
            ) from error
        if scores.shape != (len(shown),):
            raise UserError(
                f"The reranker {self.name} returns numbers of the shape {scores.shape} for {len(shown)} answers, "
                "and not one for each; choose another model."
            )
        return scores

    def cost(self) -> str:
        """Return what it cost since this was last asked, in one sentence."""
        each = self.seconds / self.answers if self.answers else 0.0
        runs = "1 call" if self.calls == 1 else f"{self.calls} calls"
        said = f"{self.name} scored {self.answers} answers again: {runs}, {self.seconds:.1f} s, {each:.3f} s an answer."
        self.calls, self.seconds, self.answers = 0, 0.0, 0
        return said

    def _sees(self, shown: Shown) -> bool:
        return shown.picture is not None

    @abstractmethod
    def _scores(self, query: str, shown: Sequence[Shown]) -> Sequence[float] | np.ndarray:
        """Return the scores of answers that it sees."""


class MatchingReranker(Reranker):
    """A model of transformers with a head for image-text matching, such as BLIP; scores are its probabilities."""

    def __init__(self, name: str, dtype: str, device: str, trust_remote_code: bool) -> None:
        import transformers

        super().__init__(name)
        architecture = str(check_config(name)["architectures"][0])
        model_class = getattr(transformers, architecture, None)
        if model_class is None:
            raise UserError(f"{name} is a {architecture}, which this version of transformers does not know.")
        self.processor = load(transformers.AutoProcessor, name, trust_remote_code=trust_remote_code)
        self.model = load_model(model_class, name, None, dtype, device)

    def _scores(self, query: str, shown: Sequence[Shown]) -> Sequence[float]:
        return [score for start in range(0, len(shown), BATCH) for score in self._batch(query, shown[start:][:BATCH])]

    @torch.inference_mode()
    def _batch(self, query: str, shown: Sequence[Shown]) -> list[float]:
        self.calls += 1
        pictures = [each.picture for each in shown]
        inputs = self.processor(
            images=pictures, text=[query] * len(shown), truncation=True, padding=True, return_tensors="pt"
        ).to(self.model.device, dtype=self.model.dtype)
        # BLIP makes a mask where new tensors go by default.
        with torch.device(self.model.device):
            output = self.model(**inputs)
        return output.itm_score.float().softmax(-1)[:, 1].tolist()


class YesNoReranker(Reranker):
    """A model that answers questions about pictures; the score is the probability of "yes" against "no"."""

    def __init__(self, name: str, dtype: str, device: str, trust_remote_code: bool) -> None:
        super().__init__(name)
        self.describer = LocalDescriber(
            name, dtype=dtype, device=device, batch_size=1, trust_remote_code=trust_remote_code
        )
        tokenizer = self.describer.processor.tokenizer
        self.words = [tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no")]
        if any(word is None or word == tokenizer.unk_token_id for word in self.words):
            raise UserError(f'{name} has no tokens "yes" and "no" to answer with; choose another model to rerank with.')

    @torch.inference_mode()
    def _scores(self, query: str, shown: Sequence[Shown]) -> Sequence[float]:
        found = []
        for each in shown:
            self.calls += 1
            inputs = self.describer.inputs([[each.picture]], JUDGE.format(query=query))  # type: ignore[list-item]
            yes, no = self.describer.model(**inputs).logits[0, -1, self.words].float()
            found.append((yes - no).sigmoid().item())
        return found


class CrossEncoderReranker(Reranker):
    """A `CrossEncoder` of sentence-transformers: of pictures, such as Qwen3-VL-Reranker, or of descriptions only."""

    def __init__(self, name: str, device: str, trust_remote_code: bool) -> None:
        super().__init__(name)
        try:
            from sentence_transformers import CrossEncoder
        except ImportError as error:
            raise missing_extra("sentence-transformers", f"{SENTENCE_TRANSFORMERS}NAME") from error
        try:
            self.model: Any = CrossEncoder(repository_of(name), device=device, trust_remote_code=trust_remote_code)
        except (ImportError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{name} cannot be loaded as a cross-encoder by sentence-transformers: {reason}") from error
        if self.model.num_labels != 1:
            raise UserError(f"{name} gives {self.model.num_labels} numbers a pair, and no score; choose a reranker.")
        self.takes_pictures = bool(self.model.supports("image"))

    def _sees(self, shown: Shown) -> bool:
        return shown.picture is not None if self.takes_pictures else bool(shown.description)

    def _scores(self, query: str, shown: Sequence[Shown]) -> np.ndarray:
        self.calls += -(-len(shown) // BATCH)
        pairs = [(query, each.picture if self.takes_pictures else each.description) for each in shown]
        return np.asarray(self.model.predict(pairs, batch_size=BATCH, show_progress_bar=False), np.float64)


class EndpointReranker(Reranker):
    """A model of pictures behind a server that speaks OpenAI's chat completions."""

    def __init__(self, name: str, endpoint: str) -> None:
        super().__init__(name)
        client = ChatClient(endpoint, name, os.environ.get(KEY_VARIABLE), timeout=TIMEOUT, attempts=ATTEMPTS)
        self.describer = EndpointDescriber(client, REQUESTS)

    def _scores(self, query: str, shown: Sequence[Shown]) -> list[float]:
        self.calls += len(shown)
        try:
            return list(read_ahead(lambda each: self._ask(query, each), shown, REQUESTS))
        except EndpointError as error:
            raise UserError(f"{error} Search again, or leave --rerank-with out.") from error

    def _ask(self, query: str, shown: Shown) -> float:
        decoding = Decoding(max_new_tokens=16)
        [answer] = self.describer.answer([[shown.picture]], RATE.format(query=query), decoding)  # type: ignore[list-item]
        number = re.search(r"\d+(\.\d+)?", answer.text)
        if number is None or float(number[0]) > 100:
            raise UserError(
                f"{self.name} answers {answer.text[:60]!r} where a number from 0 to 100 was asked for; choose another "
                "model to rerank with."
            )
        return float(number[0]) / 100
