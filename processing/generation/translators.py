"""Models that translate sentences: sequence-to-sequence models in this process, or any model behind a server."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from ..errors import UserError
from ..languages import language_name
from .answers import Answer, Decoding
from .endpoint import ChatClient
from .language_codes import LANGUAGES, code_of, language, names_of
from .models import generate, load, load_model, read_answers, revision_of

QUESTION = (
    "Translate this caption of a picture from {source} into {target}. Reply with the translation only, "
    "without quotation marks or notes.\n\n{text}"
)
QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "‘": "’"}


class Translator(Protocol):
    """Translates sentences.

    Attributes:
        settings: What the translations depend on besides the text: the model, its revision and so on.
        batch_size: Sentences a call.
        in_flight: Concurrent calls.
    """

    settings: dict[str, Any]
    batch_size: int
    in_flight: int

    def check(self, source: str, target: str) -> None:
        """Raise UserError if the model cannot translate from one language into the other."""

    def translate(self, texts: Sequence[str], source: str, target: str, decoding: Decoding) -> list[Answer]:
        """Translate sentences between languages with ISO 639-1 codes."""


class LocalTranslator:
    """NLLB-200, M2M-100, MADLAD-400 or a Marian model, by transformers.

    Each is told the languages in its own way: NLLB and M2M-100 have a token for the source language in front of the
    text and must begin their answer with that of the target; MADLAD and Marian models with several targets have the
    target in front of the text; other Marian models know one pair.

    Args:
        name: Folder or Hub name.
        revision: Branch, tag or commit on the Hub.
        dtype: As for `load_model`.
        device: As for `load_model`.
        batch_size: Sentences per batch.
        beams: Width of the beam search; 1 is greedy.
        trust_remote_code: Run code that the checkpoint carries.

    Raises:
        UserError: If the model cannot be loaded, or is of no known kind.
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
        beams: int,
        trust_remote_code: bool = False,
    ) -> None:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        self.name = name
        self.tokenizer = load(AutoTokenizer, name, revision=revision, trust_remote_code=trust_remote_code)
        self.model = load_model(
            AutoModelForSeq2SeqLM, name, revision, dtype, device, trust_remote_code=trust_remote_code
        )
        self.batch_size = batch_size
        self.beams = beams
        self.kind = self._find_kind()
        self.settings = {
            "model": name,
            "revision": revision_of(self.model, revision),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "beams": beams,
            "batch_size": batch_size,
        }

    def check(self, source: str, target: str) -> None:
        """Raise UserError if the model cannot translate from one language into the other."""
        if self.kind == "marian-pair":
            for requested, own, end in (
                (source, self.tokenizer.source_lang, "from"),
                (target, self.tokenizer.target_lang, "into"),
            ):
                language(requested)
                known = code_of(own)
                if known and known != requested:
                    raise UserError(f"{self.name} translates {end} {known}, not {requested}; choose another model.")
            return
        for code in (source, target) if self.kind in ("nllb", "m2m100") else (target,):
            if self._token(code) is None:
                supported = [known for known in LANGUAGES if self._token(known)]
                raise UserError(f"{self.name} has no language {code}; it has {', '.join(supported)}.")

    def translate(self, texts: Sequence[str], source: str, target: str, decoding: Decoding) -> list[Answer]:
        """Translate sentences between languages with ISO 639-1 codes, in one batch."""
        options: dict[str, Any] = {"num_beams": self.beams}
        given = list(texts)
        if self.kind in ("nllb", "m2m100"):
            self.tokenizer.src_lang = source if self.kind == "m2m100" else language(source).nllb
            options["forced_bos_token_id"] = self.tokenizer.convert_tokens_to_ids(self._token(target))
        elif self.kind != "marian-pair":
            given = [f"{self._token(target)} {text}" for text in texts]
        inputs = self.tokenizer(given, padding=True, truncation=True, return_tensors="pt").to(self.model.device)
        tokens = generate(self.model, inputs, decoding, **options)
        # The first token starts the decoder; for some models it is also the one that ends.
        forced = int("forced_bos_token_id" in options)
        return read_answers(self.model, self.tokenizer, tokens[:, 1:], decoding, forced)

    def _find_kind(self) -> str:
        if self.model.config.model_type == "marian":
            return "marian-many" if self.tokenizer.supported_language_codes else "marian-pair"
        if hasattr(self.tokenizer, "get_lang_id"):
            return "m2m100"
        if self._knows("eng_Latn"):
            return "nllb"
        if self._knows("<2en>"):
            return "madlad"
        raise UserError(f"{self.name} is not an NLLB-200, M2M-100, MADLAD-400 or Marian model; choose one of these.")

    def _token(self, code: str) -> str | None:
        """Return the token that stands for a language, or None if the model has none."""
        write: Callable[[str], str]
        names: Sequence[str] = (code,)
        match self.kind:
            case "nllb":
                write, names = str, (language(code).nllb,)
            case "m2m100":
                write = "__{}__".format
            case "madlad":
                write, names = "<2{}>".format, names_of(code)
            case _:
                write, names = ">>{}<<".format, (*names_of(code)[1:], code)
        return next((token for token in map(write, names) if self._knows(token)), None)

    def _knows(self, token: str) -> bool:
        number = self.tokenizer.convert_tokens_to_ids(token)
        return number is not None and number != self.tokenizer.unk_token_id


class EndpointTranslator:
    """A model behind a server that speaks OpenAI's chat completions, asked in words.

    Args:
        client: Client of the server.
        in_flight: Concurrent requests.
    """

    batch_size = 1

    def __init__(self, client: ChatClient, in_flight: int) -> None:
        self.client = client
        self.in_flight = in_flight
        self.settings = {"model": client.model, "revision": None, "backend": "endpoint"}

    def check(self, source: str, target: str) -> None:
        """Raise UserError if one of the languages is not among those of this project."""
        language(source)
        language(target)

    def translate(self, texts: Sequence[str], source: str, target: str, decoding: Decoding) -> list[Answer]:
        """Translate sentences, one request after the other."""
        return [self._translate(text, language_name(source), language_name(target), decoding) for text in texts]

    def _translate(self, text: str, source: str, target: str, decoding: Decoding) -> Answer:
        answer = self.client.ask(QUESTION.format(source=source, target=target, text=text), decoding)
        return Answer(_unquoted(answer.text.strip(), text.strip()), answer.finished)


def _unquoted(translation: str, text: str) -> str:
    """Take away quotation marks around a translation whose original has none."""
    quoted = len(translation) > 1 and QUOTES.get(translation[0]) == translation[-1]
    return translation[1:-1] if quoted and text[:1] not in QUOTES else translation
