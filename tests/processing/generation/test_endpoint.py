import threading
import time
from email.utils import formatdate
from typing import Any

import pytest

from processing.generation.answers import Answer, Decoding
from processing.generation.endpoint import ChatClient, EndpointError

from .chat_server import ChatServer, Reply, in_turn

DECODING = Decoding(32, 0.5, 7)
GOOD = Reply("A dog runs.")


def client(server: ChatServer, **options: Any) -> ChatClient:
    return ChatClient(server.url, "tiny", **{"timeout": 300.0, "first_wait": 0.02, **options})


def test_what_is_sent_and_what_comes_back() -> None:
    with ChatServer(in_turn(GOOD)) as server:
        assert client(server, key="secret").ask("What?", DECODING) == Answer("A dog runs.")
    assert server.payloads == [
        {
            "model": "tiny",
            "messages": [{"role": "user", "content": "What?"}],
            "max_tokens": 32,
            "temperature": 0.5,
            "seed": 7,
        }
    ]
    assert server.headers[0]["path"] == "/v1/chat/completions"
    assert server.headers[0]["Authorization"] == "Bearer secret"


def test_the_address_may_be_the_whole_one_and_no_key_is_needed() -> None:
    with ChatServer(in_turn(GOOD)) as server:
        ChatClient(server.url + "/chat/completions/", "tiny", timeout=300.0).ask("What?", DECODING)
    assert server.headers[0]["path"] == "/v1/chat/completions"
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=429),
        Reply(status=500, body=b"<html>oops</html>"),
        Reply(status=503),
        Reply(body=b'{"choices": [{"mess'),
        Reply(body=b"\xff\xfe"),
        Reply(body=b'{"error": "none"}'),
        Reply(body=b'{"choices": []}'),
        Reply(body=b'{"choices": [{"message": {"content": 3}}]}'),
        Reply(cut_off=True),
    ],
    ids=["429", "500", "503", "cut-off JSON", "no UTF-8", "error", "no choice", "number", "cut-off body"],
)
def test_a_passing_failure_is_repeated(failure: Reply) -> None:
    with ChatServer(in_turn(failure, failure, GOOD)) as server:
        assert client(server).ask("What?", DECODING) == Answer("A dog runs.")
    assert len(server.payloads) == 3
    assert server.payloads[0] == server.payloads[2]


def test_a_server_that_does_not_answer_in_time_is_asked_again() -> None:
    over = threading.Event()

    def reply(number: int, payload: dict[str, Any]) -> Reply:
        over.wait()
        return GOOD

    with ChatServer(reply) as server:
        with pytest.raises(EndpointError, match="failed 2 times; the last failure: no answer within 0.2 seconds"):
            client(server, timeout=0.2, attempts=2).ask("What?", DECODING)
        over.set()


@pytest.mark.parametrize("how", ["seconds", "date"])
def test_it_waits_as_long_as_the_server_asks(how: str) -> None:
    def reply(number: int, payload: dict[str, Any]) -> Reply:
        # A date has whole seconds, so that two seconds from now are more than one.
        asked = "0.4" if how == "seconds" else formatdate(time.time() + 2, usegmt=True)
        return GOOD if number else Reply(status=429, headers={"Retry-After": asked})

    with ChatServer(reply) as server:
        client(server).ask("What?", DECODING)
    assert server.times[1] - server.times[0] >= (0.4 if how == "seconds" else 0.9)


@pytest.mark.parametrize("asked", ["nan", "soon", "-3", ""])
def test_a_meaningless_wait_is_passed_over(asked: str) -> None:
    with ChatServer(in_turn(Reply(status=503, headers={"Retry-After": asked}), GOOD)) as server:
        assert client(server).ask("What?", DECODING) == Answer("A dog runs.")


def test_waits_grow() -> None:
    with ChatServer(in_turn(Reply(status=500))) as server, pytest.raises(EndpointError):
        client(server, attempts=4, first_wait=0.1).ask("What?", DECODING)
    first, second, third = (after - before for before, after in zip(server.times, server.times[1:]))
    assert (first >= 0.05, second >= 0.1, third >= 0.2) == (True, True, True)


def test_it_gives_up_in_the_end() -> None:
    with (
        ChatServer(in_turn(Reply(status=500, body=b"out of\nmemory"))) as server,
        pytest.raises(EndpointError, match="failed 3 times; the last failure: status 500 out of memory"),
    ):
        client(server, attempts=3).ask("What?", DECODING)
    assert len(server.payloads) == 3


def test_a_server_that_is_not_there_is_a_passing_failure() -> None:
    with ChatServer(in_turn(GOOD)) as server:
        pass
    with pytest.raises(EndpointError, match="failed 2 times; the last failure: no connection"):
        client(server, attempts=2).ask("What?", DECODING)


def test_a_rejected_request_is_not_repeated() -> None:
    with (
        ChatServer(in_turn(Reply(status=400, body=b"too large"))) as server,
        pytest.raises(EndpointError, match="rejects a request with status 400: too large"),
    ):
        client(server).ask("What?", DECODING)
    assert len(server.payloads) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_hopeless_failures_end_the_run_without_showing_the_key(status: int) -> None:
    with (
        ChatServer(in_turn(Reply(status=status, body=b"Incorrect key: sk-123."))) as server,
        pytest.raises(ValueError, match=rf"answers {status}, .*\(model tiny\): Incorrect key: \*\*\*") as raised,
    ):
        client(server, key="sk-123").ask("What?", DECODING)
    assert "sk-123" not in str(raised.value)
    assert len(server.payloads) == 1


def test_the_key_is_not_taken_elsewhere() -> None:
    with ChatServer(in_turn(GOOD)) as other:
        moved = Reply(status=307, headers={"Location": other.url + "/chat/completions"})
        with (
            ChatServer(in_turn(moved)) as server,
            pytest.raises(ValueError, match="redirects to http://127.0.0.1:.*; give that address"),
        ):
            client(server, key="secret").ask("What?", DECODING)
    assert other.payloads == []


def test_cut_off_and_missing_texts_are_answers() -> None:
    with ChatServer(in_turn(Reply("A dog", finish_reason="length"), Reply(None))) as server:
        asker = client(server)
        assert asker.ask("What?", DECODING) == Answer("A dog", finished=False)
        assert asker.ask("What?", DECODING) == Answer("")


def test_closing_ends_the_waiting() -> None:
    askers: list[ChatClient] = []

    def reply(number: int, payload: dict[str, Any]) -> Reply:
        askers[0]._stopped.set()
        return Reply(status=503, headers={"Retry-After": "60"})

    with ChatServer(reply) as server:
        askers.append(asker := client(server))
        with pytest.raises(EndpointError, match="failed 1 times"):
            asker.ask("What?", DECODING)
    assert len(server.payloads) == 1


@pytest.mark.parametrize("url", ["localhost:8000", "file:///etc/passwd", "ftp://host/v1"])
def test_only_web_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="is not a web address"):
        ChatClient(url, "tiny", timeout=300.0)
