"""A server that answers as it likes can neither hold a run up nor get into its files."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processing.generation.answers import Answer, Decoding, clean
from processing.generation.endpoint import ChatClient, EndpointError

DECODING = Decoding(8)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
Talk = Callable[[socket.socket], None]
GOOD = json.dumps({"choices": [{"message": {"content": "A dog."}, "finish_reason": "stop"}]}).encode()


@contextmanager
def server(talk: Talk) -> Iterator[str]:
    """A server that does with each connection what it is told to."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        try:
            connection.recv(2**16)
            talk(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def accept() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def drip(start: bytes, forever: bytes = b" ") -> Talk:
    """Send a byte now and then, each well within the timeout."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(forever)
            time.sleep(0.05)

    return talk


SLOW = {
    "the body": drip(HEAD % 10**6 + b"{"),
    "the headers": drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "the status": drip(b"HTTP/1.1 2", b"0"),
    "endless notes to go on": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an error's body": drip(b"HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n"),
    "nothing": lambda connection: time.sleep(60),
    "chunks": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}


@pytest.mark.parametrize("what", SLOW)
def test_the_timeout_holds_for_the_whole_request(what: str) -> None:
    with server(SLOW[what]) as url:
        start = time.monotonic()
        with pytest.raises(EndpointError, match="the last failure: no answer within 0.6 seconds"):
            ChatClient(url, "m", timeout=0.6, attempts=2, first_wait=0.01).ask("What?", DECODING)
        assert time.monotonic() - start < 20


@pytest.mark.parametrize("what", ["nothing", "the body"])
def test_closing_ends_requests_that_wait_for_an_answer(what: str) -> None:
    asked = threading.Event()

    def talk(connection: socket.socket) -> None:
        asked.set()
        SLOW[what](connection)

    with server(talk) as url:
        client = ChatClient(url, "m", timeout=600.0)
        threading.Thread(target=lambda: (asked.wait(), client.close()), daemon=True).start()
        with pytest.raises(EndpointError):
            client.ask("What?", DECODING)
        with pytest.raises(EndpointError, match="was not asked"):
            client.ask("What?", DECODING)


def send(body: bytes, length: int | None = None) -> Talk:
    return lambda connection: connection.sendall(HEAD % (len(body) if length is None else length) + body)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"[" * 2**16)


BAD = {
    "nested lists": send(b"[" * 100_000),
    "nested objects": send(b'{"a":' * 100_000),
    "a number without end": send(b"1" * 100_000),
    "a list": send(b"[]"),
    "a short body": send(GOOD[:-5], len(GOOD)),
    "a body longer than announced": send(GOOD, 10),
    "a negative length": send(GOOD[:-1], -1),
    "no HTTP": lambda connection: connection.sendall(b"\x00\xff" * 99),
    "nothing": lambda connection: None,
}


@pytest.mark.parametrize("what", BAD)
def test_answers_of_other_forms_are_failures_of_the_endpoint(what: str) -> None:
    with server(BAD[what]) as url, pytest.raises(EndpointError, match="failed 2 times"):
        ChatClient(url, "m", timeout=60.0, attempts=2, first_wait=0.01).ask("What?", DECODING)


def test_a_body_without_end_is_not_read_to_its_end() -> None:
    with server(endless) as url, pytest.raises(EndpointError, match="answers with more than 16 MiB"):
        ChatClient(url, "m", timeout=60.0, attempts=2).ask("What?", DECODING)


def test_a_good_answer_within_the_time() -> None:
    with server(send(GOOD)) as url:
        assert ChatClient(url, "m", timeout=60.0).ask("What?", DECODING) == Answer("A dog.")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a \x1b[31mred\x1b[0m dog", "a red dog"),
        ("\x1b]0;title\x07a dog", "a dog"),
        ("a\x00dog\x08\x7f\x9b", "a dog"),
        ("a \u202egod\u202c dog", "a god dog"),
        ("a dog\r\nError: forged", "a dog Error: forged"),
        ("نمی\u200cخواهم 👩\u200d👧", "نمی\u200cخواهم 👩\u200d👧"),
        ("\ufeffein\u2028Hund \ud800", "ein Hund ?"),
    ],
)
def test_what_steers_terminals_is_taken_out_of_answers(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_ctrl_c_ends_a_run_with_a_silent_server_and_it_resumes(tmp_path: Path) -> None:
    """In a process of its own: Python waits for threads when it ends."""
    asked = threading.Semaphore(0)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}

    def silent(connection: socket.socket) -> None:
        asked.release()
        time.sleep(120)

    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from tqdm.auto import tqdm\n"
        "from processing.generation.answers import Decoding\n"
        "from processing.generation.endpoint import ChatClient\n"
        "from processing.generation.journal import Journal\n"
        "from processing.generation.running import run_jobs\n"
        "client = ChatClient(sys.argv[1], 'm', timeout=600.0)\n"
        "ask = lambda job: [{'id': name, 'text': client.ask(name, Decoding(8)).text} for name in job]\n"
        "try:\n"
        "    with Journal(sys.argv[2]) as journal:\n"
        "        run_jobs([[str(n)] for n in range(9)], ask, journal, 4, tqdm(disable=True))\n"
        "        print(len(journal))\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
        "finally:\n"
        "    client.close()\n"
    )
    journal = str(tmp_path / "journal.jsonl")
    with server(silent) as url:
        command = [sys.executable, str(script), url, journal]
        run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(4):
            assert asked.acquire(timeout=120)
        run.send_signal(signal.SIGINT)
        # Far below the timeout of 600 seconds; two seconds on a machine that is not busy.
        _, said = run.communicate(timeout=30)
    assert run.returncode == 130
    assert said == ""
    with server(send(GOOD)) as url:
        command[2] = url
        again = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert again.stdout == "9\n", again.stderr
