"""A client for servers that speak OpenAI's chat completions, such as vLLM, SGLang, llama.cpp and Ollama."""

import http.client
import json
import math
import random
import threading
import time
import urllib.error
import urllib.request
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from ..errors import UserError
from .answers import Answer, Decoding, clean
from .deadline import Deadline, DeadlineHandlers

# The server is busy or ill; the same request may succeed later. 529 is some servers' word for overloaded.
PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529)
# No request will succeed until the user changes something.
HOPELESS = {
    401: "the key was not accepted",
    403: "the key does not allow this",
    404: "there is no such address or model",
    405: "this address takes no chat requests",
}
LONGEST_WAIT = 300.0
LONGEST_ANSWER = 16 * 1024**2


class EndpointError(Exception):
    """A request that did not succeed although it was repeated, or that the server rejected."""


class _Passing(Exception):
    """A failure after which the same request may succeed; `wait` is what the server asked for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Following one would send the key to another host, and turn the request into a GET."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class ChatClient:
    """Sends chat requests; safe to use from many threads.

    Args:
        url: Address of the server, with or without `/chat/completions`, for example `http://localhost:8000/v1`.
        model: Name that the server knows the model by.
        key: Secret sent as a bearer token; it is never part of a message.
        timeout: Seconds after which a request counts as failed, from its first step to the last byte of the answer,
            however slowly the server sends.
        attempts: How often a request is sent at most.
        first_wait: Seconds before the second attempt, doubled each time up to a minute; the actual wait is drawn
            between half of it and the whole, so that many requests do not come back at the same moment.

    Raises:
        UserError: If the address is not an http(s) one.
    """

    def __init__(
        self,
        url: str,
        model: str,
        key: str | None = None,
        *,
        timeout: float,
        attempts: int = 6,
        first_wait: float = 1.0,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise UserError(f"The endpoint {url} is not a web address; write it like http://localhost:8000/v1.")
        self.url = url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        self.model = model
        self.timeout = timeout
        self.attempts = attempts
        self.first_wait = first_wait
        self._key = key
        self._opener = urllib.request.build_opener(_NoRedirects, *DeadlineHandlers)
        self._stopped = threading.Event()
        self._running: set[Deadline] = set()

    def close(self) -> None:
        """Make all requests give up immediately, also those that wait for an answer or for their next attempt."""
        self._stopped.set()
        for deadline in list(self._running):
            deadline.end()

    def ask(self, content: str | list[dict[str, Any]], decoding: Decoding) -> Answer:
        """Send one user message and return the answer.

        Args:
            content: Text, or parts as the chat interface has them.
            decoding: How the server shall draw the answer.

        Raises:
            EndpointError: If the server rejects the request, or fails on every attempt.
            UserError: If no request can succeed: a wrong key, address or model.
        """
        payload = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "seed": decoding.seed,
        }
        body = json.dumps(payload).encode()
        wait = self.first_wait
        if self._stopped.is_set():
            raise EndpointError(f"{self.url} was not asked: the run has ended.")
        for attempt in range(1, self.attempts + 1):
            try:
                return self._post(body)
            except _Passing as failure:
                if attempt == self.attempts or self._stopped.is_set():
                    raise EndpointError(f"{self.url} failed {attempt} times; the last failure: {failure}.") from failure
                drawn = random.uniform(wait / 2, wait)
                self._stopped.wait(drawn if failure.wait is None else max(failure.wait, drawn))
                wait = min(2 * wait, 60.0)
        raise AssertionError("unreachable")

    def _post(self, body: bytes) -> Answer:
        headers = {"Content-Type": "application/json", "User-Agent": "leccr"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self.url, body, headers, method="POST")
        with Deadline(self.timeout) as deadline:
            self._running.add(deadline)
            try:
                return self._exchange(request)
            except (_Passing, EndpointError):
                if deadline.passed:
                    raise _Passing(f"no answer within {self.timeout:g} seconds") from None
                raise
            finally:
                self._running.discard(deadline)

    def _exchange(self, request: urllib.request.Request) -> Answer:
        try:
            with self._opener.open(request, timeout=self.timeout) as response:
                data = response.read(LONGEST_ANSWER + 1)
                if len(data) > LONGEST_ANSWER:
                    raise EndpointError(f"{self.url} answers with more than {LONGEST_ANSWER // 2**20} MiB.")
                return _read_answer(data)
        except urllib.error.HTTPError as error:
            with error:
                self._raise(error.code, error.headers, error)
        except TimeoutError:
            raise _Passing(f"no answer within {self.timeout:g} seconds") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                raise _Passing(f"no answer within {self.timeout:g} seconds") from None
            raise _Passing(f"no connection ({type(reason).__name__}: {reason})") from None
        raise AssertionError("unreachable")

    def _raise(self, status: int, headers: Message, stream: Any) -> None:
        try:
            said = stream.read(2000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            said = ""
        said = clean(said)[:300]
        if self._key:
            said = said.replace(self._key, "***")
        if status in HOPELESS:
            raise UserError(f"{self.url} answers {status}, {HOPELESS[status]} (model {self.model}): {said}")
        if status in PASSING:
            raise _Passing(f"status {status} {said}".strip(), _wait_asked_for(headers.get("Retry-After")))
        if 300 <= status < 400:
            raise UserError(f"{self.url} redirects to {clean(str(headers.get('Location')))}; give that address.")
        raise EndpointError(f"{self.url} rejects a request with status {status}: {said}.")


def _read_answer(data: bytes) -> Answer:
    try:
        choice = json.loads(data)["choices"][0]
        text = choice["message"].get("content")
        reason = choice.get("finish_reason")
        if text is not None and not isinstance(text, str):
            raise TypeError
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise _Passing("an answer that is not a chat completion") from None
    return Answer(text or "", finished=reason != "length")


def _wait_asked_for(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header, which holds a number or a date."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT)
